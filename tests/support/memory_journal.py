"""A journal without a file: for a batch whose memory may end with its process, and for tests."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from ingestor.journal.admission import Row, decide_admission, transition
from ingestor.journal.executions import ExecutionEnd
from ingestor.model.admission import Admission, AdmissionStatus, JournalTime, UnsettledJob
from ingestor.model.errors import ExitCode, JournalError
from ingestor.model.ports import Changes, Timekeeper
from ingestor.model.record import Job, Origin, Outcome, Result, State
from ingestor.model.sources import Checkpoint, KeptRecord, SourceEnd
from ingestor.policy.expiry import NEVER, protects
from ingestor.policy.identity import Scope, retry_token
from ingestor.policy.retry import INVALIDATED_TOKEN

T = TypeVar("T")

_OPEN = frozenset({State.PENDING, State.UNRESOLVED})


@dataclass(slots=True)
class JobRow:
    """What is known of a job. The fields mean what the columns of the table `job` mean (see schema.py)."""

    number: int
    origin: Origin
    digest: bytes
    token: str
    experiment_id: str | None
    stamped: bool
    first_sent_at: float
    execution: int
    has_steps: bool = False
    state: State = State.PENDING
    former_state: State | None = None
    run_id: str | None = None
    error_code: str | None = None
    attempts: int = 0
    generation: int = 0
    text: bytes = b""
    """The record's text, while its run is not complete and may have to be sent again by a later execution."""


@dataclass(slots=True)
class Memory:
    """What a process leaves for the next one: the tables of one batch, by key and by source."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    checkpoints: dict[str | tuple[str], Checkpoint] = field(default_factory=dict)
    outbox: list[tuple[int, Result]] = field(default_factory=list)
    executions: list[ExecutionEnd | None] = field(default_factory=list)
    time: JournalTime | None = None
    next_row: int = 1
    outcomes: int = 0
    rehearsal: bool | None = None

    def forget(self, *keys: str) -> None:
        """Give up jobs, between two processes."""
        for row in map(self.jobs.__getitem__, keys):
            row.state, row.former_state = State.FORGOTTEN, row.state

    def recall(self, *keys: str) -> None:
        """Undo `forget`."""
        for row in map(self.jobs.__getitem__, keys):
            row.state, row.former_state = row.former_state or row.state, None


class MemoryJournal:
    """The ports Journal, UnsettledJobs and Outbox in memory. It makes the promises of SqliteJournal but durability.

    It keeps about half a kilobyte for every job. A journal over the memory of another one is that of the next
    execution. Where a call fails, every later one raises JournalError.
    """

    def __init__(self, scope: Scope, clock: Timekeeper, memory: Memory | None = None) -> None:
        self.memory = Memory() if memory is None else memory
        self._scope = scope
        self._clock = clock
        self._found = self.memory.next_row
        self._read: set[str | tuple[str]] = set()
        self._acknowledged = 0
        self._dead = False
        self.memory.executions.append(None)
        self._execution = len(self.memory.executions)
        if self.memory.time is not None:
            clock.resume(self.memory.time)
        self.memory.time = clock.now()

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        """See the port."""
        now = self._clock.now()
        return await self._change(lambda: [self._admit(job, now, stamped=stamped) for job in jobs])

    def _admit(self, job: Job, now: JournalTime, *, stamped: bool) -> Admission:
        row = self.memory.jobs.get(job.key)
        known = None if row is None else self._as_row(row, job)
        admission = decide_admission(job, known, stamped=stamped, now=now)
        if row is None:
            self.memory.jobs[job.key] = JobRow(
                self.memory.next_row,
                job.origin,
                job.digest,
                job.token,
                job.experiment_id,
                stamped,
                now.time,
                self._execution,
                bool(job.steps),
            )
            self.memory.next_row += 1
        elif known is not None and (change := transition(admission, known)) is not None:
            _, row.state, row.first_sent_at = change
            row.execution = self._execution
        if admission.status not in (AdmissionStatus.DONE, AdmissionStatus.FORGOTTEN):
            self.memory.time = now
        return admission

    def _as_row(self, row: JobRow, job: Job) -> Row:
        return Row(
            0,
            row.number,
            row.digest == job.digest,
            row.state,
            None if row.token == job.token else row.token,
            row.first_sent_at,
            row.stamped,
            row.run_id,
            row.execution == self._execution,
        )

    async def commit(self, changes: Changes) -> int:
        """See the port."""
        now = self._clock.now()
        return await self._change(lambda: self._commit(changes, now))

    def _commit(self, changes: Changes, now: JournalTime) -> int:
        keys = [job.key for job, _ in changes.begun] + [result.job.key for result in changes.results]
        if missing := sum(key not in self.memory.jobs for key in keys):
            raise JournalError(f"The journal lacks the intents of {missing} jobs that were sent.")
        self.memory.time = now
        for job, run_id in changes.begun:
            self.memory.jobs[job.key].run_id = run_id
        for result in changes.results:
            self._end(result)
        self._write(changes.checkpoints)
        self._delete_acknowledged()
        return self.memory.outcomes

    def _end(self, result: Result) -> None:
        row = self.memory.jobs[result.job.key]
        row.state = State(result.outcome.value)
        row.run_id = result.run_id or row.run_id
        row.error_code = result.error_code
        row.experiment_id = result.job.experiment_id
        row.attempts += result.attempts
        row.execution = self._execution
        has_run = result.outcome in (Outcome.CREATED, Outcome.PARTIAL)
        row.text = b"" if has_run else row.text or result.job.raw
        self.memory.outcomes += 1
        self.memory.outbox.append((self.memory.outcomes, _without_text(result, row)))

    async def release(self, jobs: Sequence[Job]) -> None:
        """See the port."""
        await self._change(lambda: self._release(jobs))

    def _release(self, jobs: Sequence[Job]) -> None:
        for key in [job.key for job in jobs if job.key in self.memory.jobs]:
            row = self.memory.jobs[key]
            if row.state is not State.PENDING or row.run_id is not None or row.execution != self._execution:
                continue
            if row.number >= self._found and not row.attempts and not row.text:
                del self.memory.jobs[key]
            else:
                row.state = State.FAILED

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> list[KeptRecord]:
        """See the port."""
        now = self._clock.now()
        rows = (row for row in self.memory.jobs.values() if row.number > after and self._is_sendable(row, outcome, now))
        found = (KeptRecord(row.number, row.origin, row.text) for row in rows)
        return await self._change(lambda: list(islice(found, limit)))

    def _is_sendable(self, row: JobRow, outcome: Outcome, now: JournalTime) -> bool:
        if not row.text or row.execution == self._execution:
            return False
        if outcome is Outcome.FAILED:
            return row.state is State.FAILED
        return row.state in _OPEN and (row.run_id is not None or protects(row.first_sent_at, now))

    async def count_unsettled(self) -> int:
        """See the port UnsettledJobs."""
        return await self._change(lambda: sum(map(_is_unsettled, self.memory.jobs.values())))

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> list[UnsettledJob]:
        """See the port UnsettledJobs."""
        state = State.PENDING if pending else State.UNRESOLVED
        wanted = (
            _unsettled(key, row)
            for key, row in self.memory.jobs.items()
            if row.number > after and row.state is state and _is_unsettled(row)
        )
        return await self._change(lambda: list(islice(wanted, limit)))

    async def conclude(self, results: Sequence[Result]) -> int:
        """See the port UnsettledJobs."""
        now = self._clock.now()
        return await self._change(lambda: self._conclude(results, now))

    def _conclude(self, results: Sequence[Result], now: JournalTime) -> int:
        last = self._commit(Changes(results), now)
        for key in [it.job.key for it in results if it.outcome is Outcome.FAILED]:
            row = self.memory.jobs[key]
            row.generation += 1
            row.token = retry_token(self._scope, key, row.generation)
            row.first_sent_at = NEVER
        return last

    async def unacknowledged(self) -> list[tuple[int, Result]]:
        """See the port Outbox."""
        return await self._change(self._unacknowledged)

    def _unacknowledged(self) -> list[tuple[int, Result]]:
        rows = ((it, self.memory.jobs.get(it[1].job.key)) for it in self.memory.outbox)
        return [it for it, row in rows if row is not None and (row.former_state or row.state) is not State.PENDING]

    def acknowledge(self, sequence: int) -> None:
        """See the port Outbox."""
        self._acknowledged = max(self._acknowledged, sequence)

    def _delete_acknowledged(self) -> None:
        if self.memory.outbox and self.memory.outbox[0][0] <= self._acknowledged:
            self.memory.outbox = [it for it in self.memory.outbox if it[0] > self._acknowledged]

    async def start_execution(self, *, rehearsal: bool | None = None, checkpoints: Sequence[Checkpoint] = ()) -> None:
        """See SqliteJournal."""
        await self._change(lambda: self._start(rehearsal, checkpoints))

    def _start(self, rehearsal: bool | None, checkpoints: Sequence[Checkpoint]) -> None:
        self._clock.now()  # the clock sees a step of the wall clock here, as it does for SqliteJournal
        self.memory.rehearsal = self.memory.rehearsal if rehearsal is None else rehearsal
        for checkpoint in checkpoints:
            self.memory.checkpoints.pop(_identity(checkpoint), None)
        self._write(checkpoints)

    def _write(self, checkpoints: Sequence[Checkpoint]) -> None:
        written = {_identity(checkpoint): checkpoint for checkpoint in checkpoints}
        self.memory.checkpoints |= written
        self._read |= written.keys()

    async def finish_execution(
        self, counts: Mapping[str, int], *, already_done: int, left: int, exit_code: int
    ) -> None:
        """See SqliteJournal."""
        now = self._clock.now()
        end = ExecutionEnd(now.wall, counts, already_done, left, exit_code)
        await self._change(lambda: self._finish(end, now))

    def _finish(self, end: ExecutionEnd, now: JournalTime) -> None:
        self.memory.time = now
        self.memory.executions[self._execution - 1] = end
        self._delete_acknowledged()
        if end.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE):
            for key in self._read & self.memory.checkpoints.keys():
                checkpoint = self.memory.checkpoints[key]
                if checkpoint.end is SourceEnd.COMPLETE and checkpoint.source.path is not None:
                    del self.memory.checkpoints[key]
                elif checkpoint.end is SourceEnd.COMPLETE:
                    self.memory.checkpoints[key] = replace(checkpoint, rejected=0)

    async def checkpoints(self) -> list[Checkpoint]:
        """See SqliteJournal."""
        return await self._change(lambda: list(self.memory.checkpoints.values()))

    async def _change(self, change: Callable[[], T]) -> T:
        """Make a change, whether or not its caller still waits, and give other tasks their turn."""
        if self._dead:
            raise JournalError("The journal has failed before.")
        try:
            result = change()
        except BaseException:
            self._dead = True
            raise
        await asyncio.sleep(0)
        return result


def _identity(checkpoint: Checkpoint) -> str | tuple[str]:
    """Return what a source is known by: its path, or the name of one that has no path."""
    source = checkpoint.source
    return (source.name,) if source.path is None else source.path


def _is_unsettled(row: JobRow) -> bool:
    return row.state in _OPEN and row.run_id is None


def _unsettled(key: str, row: JobRow) -> UnsettledJob:
    job = Job(row.origin, key, b"", row.digest, row.token, row.experiment_id, b"")
    admission = Admission(
        job,
        AdmissionStatus.RESEND,
        row.stamped,
        row.first_sent_at,
        may_exist=True,
        invalidated=row.error_code == INVALIDATED_TOKEN,
    )
    return UnsettledJob(row.number, admission, row.has_steps)


def _without_text(result: Result, row: JobRow) -> Result:
    """Return a result as the outbox has it: its job as in the journal, without body and text."""
    known = Job(row.origin, result.job.key, b"", row.digest, row.token, row.experiment_id, b"")
    return replace(result, job=known, run_id=row.run_id)
