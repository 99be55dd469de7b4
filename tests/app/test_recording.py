"""What a batch was like is written into its journal while it runs, so that a kill loses little of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestor.app.description import description_of
from ingestor.app.observing.recording import EVERY, Recording
from ingestor.app.options import BatchOptions
from ingestor.app.target import aidp, mlflow
from ingestor.journal.journal import SqliteJournal
from ingestor.model.errors import JournalError
from ingestor.model.events import RecordRejected
from ingestor.model.history import Description, Memory
from ingestor.model.record import Origin, Reject
from ingestor.report.metrics import Metrics
from ingestor.report.recorder import Recorder
from tests.journal.support import opened

DESCRIBED = Description(command="run")
REJECT = RecordRejected(Reject(Origin("a.jsonl", 1), "not JSON", "text"))


START = 1_700_000_000.0


@dataclass
class Clock:
    """A clock that runs from START to `end` as fast as it is asked, and then stands still.

    While the journal writes, it does not run.
    """

    end: float
    now: float = START
    runs: asyncio.Event = field(default_factory=asyncio.Event)
    _still: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if self.now >= self.end:
            self._still.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        await self.runs.wait()
        self.now += seconds

    async def until_it_stands_still(self) -> None:
        async with asyncio.timeout(30):
            await self._still.wait()


class Watching(SqliteJournal):
    """A journal that notes when something is remembered."""

    clock_of_the_test: Clock
    times: list[float]
    asked: asyncio.Event
    answers: asyncio.Event

    async def remember(self, changes: Memory) -> None:
        self.times.append(self.clock_of_the_test.now - START)
        self.asked.set()
        await self.answers.wait()
        self.clock_of_the_test.runs.clear()
        try:
            await super().remember(changes)
        finally:
            self.clock_of_the_test.runs.set()


@asynccontextmanager
async def watching(folder: Path, clock: Clock) -> AsyncIterator[Watching]:
    async with opened(folder) as journal:
        journal.__class__ = Watching
        assert isinstance(journal, Watching)
        journal.clock_of_the_test, journal.times = clock, []
        journal.asked, journal.answers = asyncio.Event(), asyncio.Event()
        journal.answers.set()
        clock.runs.set()
        yield journal


def recording(journal: SqliteJournal, clock: Clock) -> Recording:
    recorder = Recorder(Metrics(clock.read), clock.read, clock.read)
    return Recording(journal, recorder, lambda: None, clock.read, clock.sleep)


async def kill_at_the_end(written: Recording, clock: Clock) -> None:
    """Record until the clock stands still, and end then as a process that is killed: without another word."""

    async def record() -> None:
        async with written.of(DESCRIBED, continues=False):
            await asyncio.Event().wait()

    task = asyncio.create_task(record())
    await clock.until_it_stands_still()
    task.cancel()
    await asyncio.wait({task})


async def remembered(folder: Path) -> Memory:
    async with opened(folder) as journal:
        return await journal.memory()


async def test_a_killed_process_leaves_all_but_the_last_minute(tmp_path: Path) -> None:
    clock = Clock(START + 170)
    async with watching(tmp_path, clock) as journal:
        await kill_at_the_end(recording(journal, clock), clock)
    points = (await remembered(tmp_path)).points
    seconds = [it for it in points if it.step == 1]
    assert 170 - EVERY <= len(seconds) < 170
    assert len([it for it in points if it.step == 60]) >= 2


async def test_the_journal_is_written_every_few_seconds_at_first_then_once_a_minute_and_at_the_end(
    tmp_path: Path,
) -> None:
    clock = Clock(START + 400)
    async with watching(tmp_path, clock) as journal:
        async with recording(journal, clock).of(DESCRIBED, continues=False):
            await clock.until_it_stands_still()
        times = journal.times
    assert [it for it in times if it < EVERY] == list(range(1, 60, 5)), "`status` has something to say from the start"
    assert [it for it in times if it >= EVERY] == [116.0, 176.0, 236.0, 296.0, 356.0, 400.0]


async def test_a_rejected_record_is_written_soon(tmp_path: Path) -> None:
    clock = Clock(START + 121)
    async with watching(tmp_path, clock) as journal:
        written = recording(journal, clock)
        written.recorder.tick(None)
        await kill_at_the_end(written, clock)
        assert journal.times[-1] == 116.0
    clock = Clock(START + 6)
    async with watching(tmp_path, clock) as journal:
        written = recording(journal, clock)
        async with written.of(DESCRIBED, continues=True):
            written.recorder.emit(REJECT)
            await clock.until_it_stands_still()
            rejects = (await journal.memory()).rejects
    assert rejects is not None
    assert rejects.total == 1


async def test_samples_are_taken_while_the_journal_waits_for_its_disk(tmp_path: Path) -> None:
    clock = Clock(START + 90)
    async with watching(tmp_path, clock) as journal:
        journal.answers.clear()
        written = recording(journal, clock)
        async with written.of(DESCRIBED, continues=False):
            await clock.until_it_stands_still()
            assert len(written.recorder.history.points(1)) == 90
            assert journal.times == [1.0], "it asks once, and waits for the answer"
            journal.answers.set()
    assert len((await remembered(tmp_path)).points) == 90 + 2 + 1


async def test_a_journal_that_breaks_ends_the_recording_and_not_the_batch(tmp_path: Path) -> None:
    clock = Clock(START + 100)
    async with watching(tmp_path, clock) as journal:
        async with recording(journal, clock).of(DESCRIBED, continues=False):
            (tmp_path / "lock").unlink()
            await journal.asked.wait()
            with pytest.raises(JournalError):
                await journal.checkpoints()
        assert len(journal.times) == 2, "once, and at the end; it does not try again and again"


def test_no_value_of_a_description_is_a_secret() -> None:
    options = BatchOptions(state=Path("s"), rate=5.0)
    server = mlflow("http://127.0.0.1:5000", auth="basic", basic_username="me", basic_password="hunter2")
    token = mlflow("http://127.0.0.1:5000", auth="bearer", bearer_token="hunter2")
    service = aidp(
        region="us-ashburn-1", platform_id="p", workspace="w", oci_passphrase="hunter2", user_principal="hunter2"
    )
    for target in (server, token, service):
        described = description_of(target, options, ["-"])
        assert "hunter2" not in str(described)
        assert "********" in described.settings.values()
        assert (described.settings["rate"], described.settings["time_budget"]) == ("5.0", "")
    assert description_of(server, options, ["-"], continues=True).command == "resume"


def test_a_description_is_bounded() -> None:
    options = BatchOptions(batch="b" * 100, state=Path("s" * 3000))
    described = description_of(mlflow("http://127.0.0.1:5000"), options, [f"{'n' * 5000}{it}" for it in range(1000)])
    assert (len(described.sources), described.other_sources) == (20, 980)
    assert len(str(described)) < 30_000
