"""In-memory stand-ins for the ports. The contract suites hold them to the ports."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ingestor.model.admission import Admission
from ingestor.model.errors import JournalError
from ingestor.model.events import Event
from ingestor.model.ports import Timekeeper
from ingestor.model.record import Job, Reject
from ingestor.model.sources import Checkpoint, Chunk, Position, Source, SourceEnd
from tests.support.memory_journal import JobRow, Memory, MemoryJournal
from tests.support.records import SCOPE

T = TypeVar("T")

RUNS = Source("runs.jsonl", "/data/runs.jsonl")


@dataclass
class RecordingSink:
    """The port EventLog: keeps what happened, in order."""

    events: list[Event] = field(default_factory=list)
    synced: int = 0
    """How many events there were when the rejected records were last on disk."""

    def emit(self, event: Event) -> None:
        self.events.append(event)

    async def ready(self) -> None:
        """Memory is never slow."""

    async def sync_rejects(self) -> None:
        self.synced = len(self.events)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


class SlowJournal(MemoryJournal):
    """A journal whose changes take a moment, one after the other.

    `fail` makes every later call raise; `admissions` counts the calls of `admit`.
    """

    def __init__(self, clock: Timekeeper, memory: Memory | None = None) -> None:
        super().__init__(SCOPE, clock, memory)
        self.fail = False
        self.admissions = 0
        self._turn = asyncio.Lock()

    @property
    def rows(self) -> dict[str, JobRow]:
        return self.memory.jobs

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        self.admissions += 1
        return await super().admit(jobs, stamped=stamped)

    async def _change(self, change: Callable[[], T]) -> T:
        """Make a change in its turn, whether or not its caller still waits."""
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(change)))

    async def _in_turn(self, change: Callable[[], T]) -> T:
        async with self._turn:
            await asyncio.sleep(0.002)
            if self.fail:
                raise JournalError("The journal can't be written: no space left on device.")
            return change()


class MemoryInput:
    """The port Input over a list, in chunks of `size`; a position is the index of the next record.

    `start` is where it begins. `open_end` keeps it open and silent after the last record. Without a `source` it needs
    no checkpoints.
    """

    def __init__(
        self,
        records: Sequence[Job | Reject],
        *,
        size: int = 10,
        open_end: bool = False,
        source: Source | None = RUNS,
        start: Position | None = None,
    ) -> None:
        self._records = records
        self._size = size
        self._source = source
        self._start = int(start or 0)
        self._stop = asyncio.Event()
        self._end = asyncio.Event()
        if not open_end:
            self._end.set()
        self.read_bytes = 0
        self.total_bytes = None if open_end else sum(map(_stored, records[self._start :]))
        self.acknowledged: list[Checkpoint] = []

    async def chunks(self) -> AsyncIterator[Chunk]:
        for start in range(self._start, len(self._records), self._size):
            if self._stop.is_set():
                return
            records = self._records[start : start + self._size]
            self.read_bytes += sum(map(_stored, records))
            yield Chunk(self._source, records, str(start + len(records)))
        await self._end.wait()
        if not self._stop.is_set():
            yield Chunk(self._source, (), str(len(self._records)), SourceEnd.COMPLETE)

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.acknowledged += checkpoints

    def finish(self) -> None:
        self._end.set()

    def stop(self) -> None:
        self._stop.set()
        self._end.set()


def _stored(record: Job | Reject) -> int:
    """Return the bytes of a record's line, with its end."""
    return len(record.raw if isinstance(record, Job) else record.text.encode()) + 1
