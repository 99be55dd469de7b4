"""The durable memory of a batch: a SQLite file in the state directory.

Invariants:

- The intent comes first: `admit` returns NEW or RESEND only once a row for the job, with its token and the time its
  token's life began, is on disk. An outcome is on disk before `commit` returns. On disk means: in a write-ahead log
  that was fsynced (WAL, `synchronous=FULL`), in a file whose directory entry was fsynced.
- One writer: the owner of the state directory, by one thread and one connection. Readers can read at any time.
- All or nothing: calls are committed in groups. Outcomes and the checkpoints that depend on them are in one
  transaction. After a commit that failed, every call raises JournalError, and the process must end; the next execution
  finds the state after the last good commit.
- `pending` and `unresolved` mean that the run may exist. A row leaves these states only through a result, or through
  `release` if this execution itself wrote the intent. A new token is given only to a job that certainly has no run.
  `first_sent_at` never gets a later time while the service may remember the token.
- A run id that is known stays known, and a row that has one is never created again.
- A record that a checkpoint has passed is a complete run, a rejected record, or a kept text. A text is deleted only
  with the outcome that says that the run exists.
- The journal records the time: when it is opened, with all jobs that may be sent or end, soon after a step of the
  clock, every minute, and at the end. The next execution continues from there (see `policy.expiry`).
- An outcome is logged at least once: it stays in the outbox until it is acknowledged.
- A key has one row in its batch, and is found: by an entry in `key_index` if its row is not after the mark in
  `key_index_mark`, else by an entry that is created again from the row itself. No new row gets a number below the mark.
- The row's token is the one to send: an admitted job carries it, in any generation.
- A job that the user forgets keeps all that is known of it, so that this can be undone.
- An older ingestor refuses a file that a newer one has upgraded; it never writes to it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self

from ingestor.journal import batches, executions, forgotten, memory, unfinished
from ingestor.journal.database import NAME
from ingestor.journal.executions import ExecutionEnd
from ingestor.journal.jobs import MERGE_AFTER
from ingestor.journal.lock import StateDirectory
from ingestor.journal.transactions import BatchTransactions
from ingestor.journal.writer import Writer
from ingestor.model.admission import Admission, JournalTime, UnsettledJob
from ingestor.model.errors import JournalError
from ingestor.model.history import Description, Memory
from ingestor.model.ports import Changes, Timekeeper
from ingestor.model.record import Job, Outcome, Result, State
from ingestor.model.sources import Checkpoint, KeptRecord
from ingestor.policy.identity import Scope
from ingestor.policy.run_ids import WINDOW
from ingestor.system.tasks import in_background

WATCH_EVERY = 1.0
"""Seconds between two readings of the clock."""

_STEP = 1.0  # seconds by which the wall clock may leave the recorded time without a new record
_LONGEST = 60.0  # seconds between two records at most


class SqliteJournal:
    """The ports Journal, UnsettledJobs and Outbox on SQLite. Cancelling a caller does not undo its call.

    One opening of the journal is one execution.
    """

    def __init__(self, writer: Writer, batch: BatchTransactions, clock: Timekeeper) -> None:
        self._do = writer.do
        self.busy_for = writer.busy_for
        self.durations = writer.durations
        self._batch = batch
        self._clock = clock

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

        `merge_after` is how many rows the index keeps in memory (see jobs.py), `watch_every` how many seconds a step
        of the clock may go without a record.
        Raises JournalVersionError if the file has a version that this program can't use, and JournalError if it
        is damaged or can't be written.
        """
        writer, batch = Writer(state.path / NAME), BatchTransactions(scope, merge_after)
        try:
            await writer.open()
            last = await writer.do(batch.enter)
            if last is not None:
                clock.resume(last)
            journal = cls(writer, batch, clock)
            async with journal._recording_time(watch_every):
                yield journal
        finally:
            await writer.close()

    @asynccontextmanager
    async def _recording_time(self, interval: float) -> AsyncIterator[None]:
        """Record the time at the beginning of the block, inside it (see `_watch`) and at its end.

        Raises JournalError at the beginning only.
        """
        now = self._clock.now()
        await self._do(self._batch.record, now)
        async with in_background(self._watch(now, interval)):
            yield
        with suppress(JournalError):  # another caller has already got it
            await self._do(self._batch.record, self._clock.now())

    async def _watch(self, written: JournalTime, interval: float) -> None:
        """Read the clock every `interval` seconds; record the time if the next execution needs it."""
        with suppress(JournalError):  # the next call of the journal raises it
            while True:
                await asyncio.sleep(interval)
                now = self._clock.now()
                if is_worth_writing(written, now):
                    await self._do(self._batch.record, now)
                    written = now

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        """See the port: writes an intent for each job that may be sent."""
        return await self._do(self._batch.admit, jobs, stamped=stamped, now=self._clock.now())

    async def commit(self, changes: Changes) -> int:
        """See the port. Attempts are added to those of earlier executions."""
        return await self._do(self._batch.commit, changes, self._clock.now())

    async def release(self, jobs: Sequence[Job]) -> None:
        """See the port. An intent of an earlier execution stays; a job that had failed becomes failed again."""
        await self._do(self._batch.release, jobs)

    async def states(self, jobs: Sequence[Job]) -> list[State | None]:
        """Return the state of each job; None for one that is not known. Raises JournalError.

        FAILED stands for a job whose key has another content: that record was rejected.
        """
        return await self._do(self._batch.states, jobs)

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> list[KeptRecord]:
        """See the port. UNRESOLVED finds pending jobs too: an execution that sent one again may have been killed."""
        batch, now = self._batch, self._clock.now()
        return await self._do(unfinished.find_kept, batch.id, outcome, now, batch.execution, after=after, limit=limit)

    async def count_unsettled(self) -> int:
        """See the port UnsettledJobs."""
        return await self._do(unfinished.count_unsettled, self._batch.id)

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> list[UnsettledJob]:
        """See the port UnsettledJobs."""
        state = State.PENDING if pending else State.UNRESOLVED
        return await self._do(unfinished.find_unsettled, self._batch.id, state, after=after, limit=limit)

    async def conclude(self, results: Sequence[Result]) -> int:
        """See the port UnsettledJobs."""
        return await self._do(self._batch.conclude, results, self._clock.now())

    async def unacknowledged(self) -> list[tuple[int, Result]]:
        """See the port Outbox. Raises JournalError."""
        return await self._do(unfinished.find_unacknowledged, self._batch.id)

    def acknowledge(self, sequence: int) -> None:
        """See the port Outbox. It is written with the next changes, each minute, and when the journal is closed."""
        self._batch.acknowledged = max(self._batch.acknowledged, sequence)

    async def start_execution(self, *, rehearsal: bool | None = None, checkpoints: Sequence[Checkpoint] = ()) -> None:
        """Record that this execution starts, whether it is a rehearsal, and what it will read.

        `checkpoints` are the sources that will be read, and where each starts. They are written as given: a source
        that is read from its start loses its old checkpoint. Raises JournalError.
        """
        now, batch = self._clock.now().wall, self._batch
        await self._do(
            executions.start, batch.id, batch.execution, now=now, rehearsal=rehearsal, checkpoints=checkpoints
        )

    async def finish_execution(
        self, counts: Mapping[str, int], *, already_done: int, left: int, exit_code: int
    ) -> None:
        """Record how this execution ended. Raises JournalError.

        `counts` is records per outcome, `already_done` the records that earlier executions completed, `left` the
        records that were read and have no outcome. After exit code 0 or 3, files that were read to their end and have
        an outcome for every record are forgotten.
        """
        now = self._clock.now()
        await self._do(self._batch.finish_execution, ExecutionEnd(now.wall, counts, already_done, left, exit_code), now)

    async def describe(self, description: Description) -> None:
        """Record what this execution is. Raises JournalError."""
        await self._do(memory.describe, self._batch.execution, description)

    async def memory(self) -> Memory:
        """Return what is remembered of the batch (see memory.py). Raises JournalError."""
        return await self._do(memory.find_memory, self._batch.id)

    async def remember(self, changes: Memory) -> None:
        """Record changes of it. Raises JournalError."""
        await self._do(memory.remember, self._batch.id, self._batch.execution, changes)

    async def keep_address(self, address: str) -> None:
        """Record a further address of the batch's tracking server. Raises JournalError."""
        await self._do(batches.keep_address, self._batch.id, address)

    async def has_created_in_target(self) -> bool:
        """Return whether any batch of this target has a run. Raises JournalError. Call it after `start_execution`.

        A rehearsal counts for other rehearsals only.
        """
        return await self._do(batches.target_has_runs, self._batch.id)

    async def recent_runs(self) -> list[tuple[str, str]]:
        """Return the batch's last runs, the oldest first, each with its token (see batches.py). Raises JournalError."""
        return await self._do(batches.recent_runs, self._batch.id, WINDOW)

    async def forgotten_rejects(self) -> frozenset[bytes]:
        """Return the digests of the rejected records that are not reported again. Raises JournalError."""
        return await self._do(forgotten.find_rejects, self._batch.id)

    async def repaired_rejects(self) -> frozenset[bytes]:
        """Return the digests of those of them whose `job_id` has a complete run. Raises JournalError."""
        return await self._do(forgotten.find_repaired, self._batch.id)

    async def checkpoints(self) -> list[Checkpoint]:
        """Return how far the sources of the batch are done: all that are known, in the order of reading.

        A name is as it stands in the journal: a byte that is not UTF-8 is its escape. Raises JournalError.
        """
        return await self._do(executions.find_checkpoints, self._batch.id)


def is_worth_writing(written: JournalTime, now: JournalTime) -> bool:
    """Return whether a later execution needs `now`, if the journal has `written`."""
    passed = now.time - written.time
    return passed >= _LONGEST or abs(now.wall - written.wall - passed) > _STEP
