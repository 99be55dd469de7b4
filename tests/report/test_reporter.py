import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestor.model.events import Event
from ingestor.report.appender import ReportError
from ingestor.report.log import Reporter, StructuredLog
from ingestor.report.rejects import RejectsFile
from tests.report.examples import Watch, created, rejected


@dataclass
class Recorder:
    name: str
    entries: list[tuple[str, Event]] = field(default_factory=list)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, event: Event) -> None:
        self.entries.append((self.name, event))

    async def ready(self) -> None:
        await self.caught_up.wait()

    async def sync_rejects(self) -> None:
        await self.caught_up.wait()


def test_every_sink_gets_every_event_files_before_views() -> None:
    entries: list[tuple[str, Event]] = []
    reporter = Reporter(views=[Recorder("metrics", entries)], files=[Recorder("log", entries)])
    reporter.emit(created())
    reporter.emit(rejected())
    assert entries == [("log", created()), ("metrics", created()), ("log", rejected()), ("metrics", rejected())]


@pytest.mark.parametrize("method", [Reporter.ready, Reporter.sync_rejects])
async def test_it_waits_for_every_file_and_for_no_view(
    method: Callable[[Reporter], Coroutine[None, None, None]],
) -> None:
    log, rejects = Recorder("log"), Recorder("rejects")
    ready = asyncio.create_task(method(Reporter(files=[log, rejects], views=[Recorder("metrics")])))
    rejects.caught_up.set()
    await asyncio.sleep(0)
    assert not ready.done()
    log.caught_up.set()
    await asyncio.wait_for(ready, 10)


async def test_rejects_are_on_disk_in_every_file_once_they_are_synced(tmp_path: Path) -> None:
    log, rejects = StructuredLog(str(tmp_path / "log.jsonl"), Watch()), RejectsFile(tmp_path / "rejects.jsonl")
    reporter = Reporter(files=[log, rejects], views=[])
    reporter.emit(rejected())
    await reporter.sync_rejects()
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 1
    assert (tmp_path / "rejects.jsonl").read_text().count("\n") == 1
    await log.close()
    await rejects.close(completed=True)


async def test_a_file_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    log = StructuredLog("/dev/full", Watch())
    reporter = Reporter(files=[RejectsFile(tmp_path / "rejects.jsonl"), log], views=[])
    reporter.emit(created())
    with pytest.raises(ReportError):
        await log.flush()
    with pytest.raises(ReportError, match="No space left"):
        await reporter.ready()
    with pytest.raises(ReportError):
        await log.close()
