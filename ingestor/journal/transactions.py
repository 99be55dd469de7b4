"""The work of the writer's thread for one batch, inside its transactions."""

import sqlite3
from collections.abc import Iterable, Sequence

from ingestor.journal import batches, executions, jobs, unfinished
from ingestor.journal.admission import decide_admission, transition
from ingestor.journal.executions import ExecutionEnd
from ingestor.journal.jobs import MERGE_AFTER, KeyIndex, hash_of
from ingestor.model.admission import Admission, AdmissionStatus, JournalTime
from ingestor.model.errors import JournalError
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Outcome, Result, State
from ingestor.policy.identity import Scope

_MAY_END = frozenset({AdmissionStatus.RESEND, AdmissionStatus.BEGUN, AdmissionStatus.EXPIRED})
_ENDED = frozenset({AdmissionStatus.DONE, AdmissionStatus.FORGOTTEN})


class BatchTransactions:
    """One batch in the journal. Every method runs inside a transaction of the writer, on its thread.

    Attributes:
        id: the row of the batch, once `enter` has run.
        execution: the row of this execution, once `enter` has run.
        acknowledged: up to this number the log has the outcomes. Any thread may increase it; the next change writes it.
    """

    def __init__(self, scope: Scope, merge_after: int = MERGE_AFTER) -> None:
        self.id = 0
        self.execution = 0
        self.acknowledged = 0
        self._scope = scope
        self._index = KeyIndex(merge_after)
        self._found = 0  # the last row of earlier executions
        self._next = 0  # the next row of this one
        self._in_flight: dict[str, int] = {}  # the rows of jobs that were admitted and have not ended
        self._outcomes = 0  # the outbox number of the last outcome
        self._deleted = 0  # up to which number the outbox is deleted
        self._keeps_texts = False  # whether any text is kept: most batches have none to delete

    def enter(self, connection: sqlite3.Connection) -> JournalTime | None:
        """Find or create the batch; return the last time that was recorded. Call it first."""
        self.id = batches.find_or_create(connection, self._scope)
        self.execution = executions.add_execution(connection, self.id)
        self._next = self._index.open(connection)
        self._found = self._next - 1
        self._outcomes = unfinished.last_number(connection, self.id)
        self._keeps_texts = unfinished.keeps_texts(connection)
        return executions.last_time(connection)

    def record(self, connection: sqlite3.Connection, now: JournalTime) -> None:
        """Record the time, and which outcomes the log has."""
        executions.record_time(connection, now)
        if (up_to := self.acknowledged) > self._deleted:
            unfinished.delete_acknowledged(connection, self.id, up_to=up_to)
            self._deleted = up_to

    def admit(
        self, connection: sqlite3.Connection, offered: Sequence[Job], *, stamped: bool, now: JournalTime
    ) -> list[Admission]:
        """Decide about jobs and write the changes. If all jobs are done or forgotten, nothing is written."""
        hashes = self._hashes(offered)
        rows = jobs.find_rows(connection, self.id, offered, hashes, execution=self.execution)
        admissions = [decide_admission(job, rows.get(job.key), stamped=stamped, now=now) for job in offered]
        again = [(it, rows[it.job.key]) for it in admissions if it.status in _MAY_END]
        changes = [change for admission, row in again if (change := transition(admission, row)) is not None]
        jobs.change_states(connection, changes, execution=self.execution, now=now.time)
        self._in_flight |= {admission.job.key: row.id for admission, row in again}
        if len(rows) < len(offered):
            new = [it for it in zip(offered, hashes, strict=True) if it[0].key not in rows]
            self._add(connection, new, stamped=stamped, now=now.time)
        if any(admission.status not in _ENDED for admission in admissions):
            executions.record_time(connection, now)
        return admissions

    def states(self, connection: sqlite3.Connection, wanted: Sequence[Job]) -> list[State | None]:
        """Return the state of each job: None for one that has no row, FAILED for one whose row has another digest."""
        rows = jobs.find_rows(connection, self.id, wanted, self._hashes(wanted), execution=self.execution)
        found = [rows.get(job.key) for job in wanted]
        return [None if row is None else row.state if row.same_body else State.FAILED for row in found]

    def _add(
        self, connection: sqlite3.Connection, new: Sequence[tuple[Job, int]], *, stamped: bool, now: float
    ) -> None:
        """Write the intents of new jobs, each with the hash of its key."""
        added, numbers = [job for job, _ in new], range(self._next, self._next + len(new))
        jobs.add_intents(
            connection, self.id, added, first=self._next, stamped=stamped, execution=self.execution, now=now
        )
        self._index.add(connection, [(hash_, number) for (_, hash_), number in zip(new, numbers, strict=True)])
        self._in_flight |= zip((job.key for job in added), numbers, strict=True)
        self._next += len(new)

    def commit(self, connection: sqlite3.Connection, changes: Changes, now: JournalTime) -> int:
        """Write changes; return the outbox number of the last outcome. Raises JournalError for a job never admitted."""
        if changes.begun:
            numbers = self._rows_of(connection, [job for job, _ in changes.begun])
            run_ids = (run_id for _, run_id in changes.begun)
            jobs.begin_runs(connection, list(zip(numbers, run_ids, strict=True)), now=now.time)
        if changes.results:
            self._end(connection, changes.results, now.time)
        if changes.checkpoints:
            executions.write_checkpoints(connection, self.id, self.execution, changes.checkpoints)
        self.record(connection, now)
        return self._outcomes

    def _end(self, connection: sqlite3.Connection, results: Sequence[Result], now: float) -> None:
        done = [result.job for result in results]
        ended = list(zip(self._rows_of(connection, done), results, strict=True))
        self._leave(done)
        jobs.end_jobs(connection, ended, execution=self.execution, now=now)
        if self._keeps_texts:
            unfinished.drop_texts(connection, ended)
        self._keeps_texts |= unfinished.keep_texts(connection, ended)
        unfinished.note_outcomes(connection, self.id, ended, after=self._outcomes)
        self._outcomes += len(results)

    def conclude(self, connection: sqlite3.Connection, results: Sequence[Result], now: JournalTime) -> int:
        """Write the outcomes of jobs that were looked up: those that have no run get a new token."""
        last = self.commit(connection, Changes(results), now)
        absent = [result.job for result in results if result.outcome is Outcome.FAILED]
        unfinished.renew_tokens(connection, self._scope, self._find_rows(connection, absent).values())
        return last

    def release(self, connection: sqlite3.Connection, unsent: Sequence[Job]) -> None:
        """Take back the intents of jobs."""
        numbers = list(self._find_rows(connection, unsent).values())
        self._leave(unsent)
        jobs.release(connection, numbers, execution=self.execution, after=self._found)

    def finish_execution(self, connection: sqlite3.Connection, end: ExecutionEnd, now: JournalTime) -> None:
        """Write how the execution ended."""
        executions.finish(connection, self.id, self.execution, end)
        self.record(connection, now)

    def _rows_of(self, connection: sqlite3.Connection, ended: Sequence[Job]) -> list[int]:
        """Return the row of each job. Raises JournalError if one has none."""
        rows = self._find_rows(connection, ended)
        if missing := sum(job.key not in rows for job in ended):
            raise JournalError(f"The journal lacks the intents of {missing} jobs that were sent.")
        return [rows[job.key] for job in ended]

    def _find_rows(self, connection: sqlite3.Connection, known: Sequence[Job]) -> dict[str, int]:
        """Return the rows of jobs, by key; a job that has none is left out."""
        rows = {job.key: self._in_flight[job.key] for job in known if job.key in self._in_flight}
        if others := [job for job in known if job.key not in rows]:
            found = jobs.find_rows(connection, self.id, others, self._hashes(others), execution=self.execution)
            rows |= {key: row.id for key, row in found.items()}
        return rows

    def _leave(self, gone: Iterable[Job]) -> None:
        for job in gone:
            self._in_flight.pop(job.key, None)

    def _hashes(self, of: Iterable[Job]) -> list[int]:
        return [hash_of(self.id, job.key) for job in of]
