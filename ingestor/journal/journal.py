"""The durable memory of a batch: a SQLite file in the state directory.

Invariants:

- No byte without intent: `admit` says NEW or AGAIN only once a row for the job, with its token and the time its
  token's life began, is on disk. An outcome is on disk before `settle` returns. On disk means: in a write-ahead log
  that was fsynced (WAL, `synchronous=FULL`) in a file whose directory entry was fsynced.
- One writer: the owner of the state directory, by one thread and one connection. Readers are beside it at any time.
- All or nothing: calls are committed in groups, and a group whose commit fails is never believed. After it, every
  call raises JournalError, and the process must end; the next one finds what the last good commit left.
- `pending` and `unresolved` mean that the run may exist. They leave that state only through a result, or through
  `release` where this process itself wrote the intent. A new token is given only to a job that surely has no run.
  `first_sent_at` is never made younger while the service may remember the token.
- Time goes on: how far it has come is written when the journal is opened, with all jobs that may be sent or end, soon
  after a step of the clock, each minute, and at its end; the next process goes on from there (see `policy.expiry`).
- An outcome is told at least once: what is settled stays noted as untold until `told` says otherwise.
- A key has one row in its batch, and is found: by an entry in `known` where its row is not past the mark in `indexed`,
  and else by one that is made again from the row itself. No row is numbered below the mark.
- The row's token is the one to send: an admitted job carries it, whatever generation it is of.
- An older ingestor refuses a file that a newer one has migrated; it never writes to it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

from ingestor.journal.batch import Admittance, Batch, Settlement
from ingestor.journal.clock_checkpoint import ClockCheckpoint
from ingestor.journal.database import NAME
from ingestor.journal.index import MERGE_AFTER
from ingestor.journal.lock import StateDirectory
from ingestor.journal.schema import State
from ingestor.journal.statements import ExecutionEnd, ExecutionStart
from ingestor.journal.unsettled import Page
from ingestor.journal.writer import Writer
from ingestor.model.outcome import Result
from ingestor.model.ports import Admission, Timekeeper, Unsettled
from ingestor.model.record import Job
from ingestor.model.source import Source
from ingestor.policy.identity import Scope

WATCH_EVERY = 1.0
"""Seconds between two looks at the clock."""


class SqliteJournal:
    """The port Journal on SQLite. Cancelling a caller does not undo its call."""

    def __init__(self, writer: Writer, batch: Batch, clock: Timekeeper) -> None:
        self._writer = writer
        self._batch = batch
        self._clock = clock
        self._told: int | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        state: StateDirectory,
        scope: Scope,
        clock: Timekeeper,
        merge_after: int = MERGE_AFTER,
        watch_every: float = WATCH_EVERY,
    ) -> AsyncIterator[Self]:
        """Open the journal of an owned state directory for one batch, and close it at the end.

        `merge_after` is how many rows their index keeps in memory (see index.py), `watch_every` how many seconds a
        step of the clock may go unnoticed.
        Raises JournalError where the file is damaged, of a newer version, or can't be written.
        """
        writer, batch = Writer(state.path / NAME), Batch(scope, merge_after)
        try:
            await writer.open()
            last = await writer.do(batch.enter, None)
            if last is not None:
                clock.resume(last)
            async with ClockCheckpoint(writer, batch, clock).watching(watch_every):
                yield cls(writer, batch, clock)
        finally:
            await writer.close()

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        """See the port: writes an intent for each job that may be sent."""
        return await self._writer.do(self._batch.admit, Admittance(jobs, stamped, self._clock.moment()))

    async def settle(self, results: Sequence[Result]) -> None:
        """See the port: records how admitted jobs ended. Attempts are added to those of earlier processes."""
        await self._writer.do(self._batch.settle, Settlement(results, self._clock.moment(), self._told))

    async def release(self, jobs: Sequence[Job]) -> None:
        """See the port. An intent of an earlier process stays; a job that had failed before has failed again."""
        await self._writer.do(self._batch.release, [job.key for job in jobs])

    async def count_unsettled(self) -> int:
        """See the port UnsettledJobs."""
        return await self._writer.do(self._batch.count_unsettled, None)

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> list[Unsettled]:
        """See the port UnsettledJobs."""
        page = Page(State.PENDING if pending else State.UNRESOLVED, after, limit)
        return await self._writer.do(self._batch.unsettled, page)

    async def conclude(self, results: Sequence[Result]) -> None:
        """See the port UnsettledJobs."""
        await self._writer.do(self._batch.conclude, Settlement(results, self._clock.moment(), self._told))

    async def untold(self) -> list[Result]:
        """Return the outcomes that earlier processes settled and may not have told, oldest first. Raises JournalError.

        Their jobs have no body and no text: the journal keeps neither.
        """
        return await self._writer.do(self._batch.untold, None)

    def told(self, count: int) -> None:
        """Say that what `untold` returned is told, and the first `count` outcomes that this process settled.

        Costs nothing: it is written with the next outcomes, or with the end of the pass. Until then they are untold.
        """
        self._told = count

    async def start_execution(self, *, rehearsal: bool | None = None, sources: Sequence[Source] = ()) -> None:
        """Record that a pass over the batch begins, whether it is a rehearsal, and what it is to read.

        Raises JournalError.
        """
        beginning = ExecutionStart(self._clock.moment().wall, rehearsal, sources)
        await self._writer.do(self._batch.start_execution, beginning)

    async def finish_execution(self, counts: Mapping[str, int], *, left: int, exit_code: int) -> None:
        """Record how the pass ended: records per outcome, jobs left without one. Raises JournalError."""
        now = self._clock.moment().wall
        await self._writer.do(self._batch.finish_execution, ExecutionEnd(counts, left, exit_code, now, self._told))
