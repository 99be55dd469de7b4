import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestor.model.events import Event
from ingestor.report.appender import ReportError
from ingestor.report.log import StructuredLog
from ingestor.report.rejects import RejectsFile
from ingestor.report.reporter import Reporter
from tests.report.examples import Watch, created, rejected


@dataclass
class Diary:
    name: str
    entries: list[tuple[str, Event]] = field(default_factory=list)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, event: Event) -> None:
        self.entries.append((self.name, event))

    async def ready(self) -> None:
        await self.caught_up.wait()


def test_every_sink_is_told_everything_files_before_views() -> None:
    entries: list[tuple[str, Event]] = []
    reporter = Reporter(views=[Diary("metrics", entries)], files=[Diary("log", entries)])
    reporter.emit(created())
    reporter.emit(rejected())
    assert entries == [("log", created()), ("metrics", created()), ("log", rejected()), ("metrics", rejected())]


async def test_it_is_ready_when_every_file_is() -> None:
    log, rejects = Diary("log"), Diary("rejects")
    ready = asyncio.create_task(Reporter(files=[log, rejects], views=[Diary("metrics")]).ready())
    rejects.caught_up.set()
    await asyncio.sleep(0)
    assert not ready.done()
    log.caught_up.set()
    await asyncio.wait_for(ready, 10)


async def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    log = StructuredLog.open("/dev/full", Watch())
    reporter = Reporter(files=[RejectsFile(tmp_path / "rejects.jsonl"), log], views=[])
    reporter.emit(created())
    with pytest.raises(ReportError):
        await log.flush()
    with pytest.raises(ReportError, match="No space left"):
        await reporter.ready()
    with pytest.raises(ReportError):
        await log.close()
