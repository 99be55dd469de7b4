"""What the writer's thread does for one batch, inside its transactions."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.journal import outbox, statements, unsettled
from ingestor.journal.admission import judge, move
from ingestor.journal.index import MERGE_AFTER, KeyIndex, hash_of
from ingestor.journal.statements import ExecutionEnd, ExecutionStart
from ingestor.journal.unsettled import Page
from ingestor.model.errors import JournalError
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, AdmissionStatus, Unsettled
from ingestor.model.record import Job
from ingestor.policy.identity import Scope

_MAY_END = frozenset({AdmissionStatus.AGAIN, AdmissionStatus.EXPIRED})


@dataclass(frozen=True, slots=True)
class Admittance:
    """Jobs that ask to be sent."""

    jobs: Sequence[Job]
    stamped: bool
    now: JournalTime


@dataclass(frozen=True, slots=True)
class Settlement:
    """Jobs that ended.

    `told` is how many of this process's outcomes are told already; None where not even those of earlier ones are.
    """

    results: Sequence[Result]
    now: JournalTime
    told: int | None


class Batch:
    """One batch in the journal. Every method takes the calls of a group and answers each."""

    def __init__(self, scope: Scope, merge_after: int = MERGE_AFTER) -> None:
        self._scope = scope
        self._index = KeyIndex(merge_after)
        self._id = 0
        self._pass = 0
        self._found = 0  # the last row of earlier processes
        self._next = 0  # the next row of this one
        self._in_hand: dict[str, int] = {}  # the rows of jobs that were admitted and have not ended
        self._first = 0  # the number of this process's first outcome
        self._settled = 0

    def enter(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[JournalTime | None]:
        """Find the batch, adding it where it is new; return the last moment witnessed. Comes before all else."""
        self._id = statements.find_batch(connection, self._scope)
        self._next = self._index.open(connection)
        self._found = self._next - 1
        self._first = outbox.next_number(connection, self._id)
        return [statements.last_moment(connection)] * len(calls)

    def witness(self, connection: sqlite3.Connection, calls: Sequence[JournalTime]) -> list[None]:
        """Remember how far time has come."""
        statements.witness(connection, calls[-1])
        return [None] * len(calls)

    def admit(self, connection: sqlite3.Connection, calls: Sequence[Admittance]) -> list[list[Admission]]:
        """Judge jobs and write what that changes: nothing, and nothing waits for the disk, where all are done."""
        answers = [self._admit(connection, call) for call in calls]
        if any(admission.status is not AdmissionStatus.DONE for answer in answers for admission in answer):
            statements.witness(connection, calls[-1].now)
        return answers

    def _admit(self, connection: sqlite3.Connection, call: Admittance) -> list[Admission]:
        hashes = [hash_of(self._id, job.key) for job in call.jobs]
        rows = statements.find_rows(connection, self._id, call.jobs, hashes)
        admissions = [judge(job, rows.get(job.key), stamped=call.stamped, now=call.now) for job in call.jobs]
        again = [(it, rows[it.job.key]) for it in admissions if it.status in _MAY_END]
        moves = [moved for admission, row in again if (moved := move(admission, row)) is not None]
        statements.move(connection, moves, now=call.now.time)
        if len(rows) < len(call.jobs):
            new = [it for it in zip(call.jobs, hashes, strict=True) if it[0].key not in rows]
            self._add(connection, new, call)
        self._in_hand |= {admission.job.key: row.id for admission, row in again}
        return admissions

    def _add(self, connection: sqlite3.Connection, new: Sequence[tuple[Job, int]], call: Admittance) -> None:
        """Write the intents of jobs never seen, each with the hash of its key."""
        jobs, numbers = [job for job, _ in new], range(self._next, self._next + len(new))
        statements.add_intents(connection, self._id, jobs, first=self._next, stamped=call.stamped, now=call.now.time)
        self._index.add(connection, [(hash_, number) for (_, hash_), number in zip(new, numbers, strict=True)])
        self._in_hand |= zip((job.key for job in jobs), numbers, strict=True)
        self._next += len(new)

    def settle(self, connection: sqlite3.Connection, calls: Sequence[Settlement]) -> list[None]:
        """Write how jobs ended. Raises JournalError where one was never admitted."""
        statements.witness(connection, calls[-1].now)
        results = [result for call in calls for result in call.results]
        numbers = self._leave_hand(connection, [result.job.key for result in results])
        if missing := numbers.count(None):
            raise JournalError(f"The journal misses the intents of {missing} jobs that were sent.")
        ended = [(number, result) for number, result in zip(numbers, results, strict=True) if number is not None]
        statements.settle(connection, ended, now=calls[-1].now.time)
        self._forget(connection, calls[-1].told)
        outbox.add(connection, self._id, ended, first=self._first + self._settled)
        self._settled += len(results)
        return [None] * len(calls)

    def _leave_hand(self, connection: sqlite3.Connection, keys: Sequence[str]) -> list[int | None]:
        """Return the row of each key, None where there is none."""
        others = [key for key in keys if key not in self._in_hand]
        numbers = self._in_hand | statements.find_ids(connection, self._id, others) if others else self._in_hand
        found = [numbers.get(key) for key in keys]
        for key in keys:
            self._in_hand.pop(key, None)
        return found

    def count_unsettled(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[int]:
        """Count the jobs whose end is not known."""
        return [unsettled.count(connection, self._id) for _ in calls]

    def unsettled(self, connection: sqlite3.Connection, calls: Sequence[Page]) -> list[list[Unsettled]]:
        """Find jobs whose end is not known."""
        return [unsettled.find(connection, self._id, page) for page in calls]

    def conclude(self, connection: sqlite3.Connection, calls: Sequence[Settlement]) -> list[None]:
        """Write what became of jobs that were looked for: those that have no run get a new token."""
        self.settle(connection, calls)
        absent = [result.job.key for call in calls for result in call.results if result.outcome is Outcome.FAILED]
        unsettled.renew(connection, self._scope, list(statements.find_ids(connection, self._id, absent).values()))
        return [None] * len(calls)

    def untold(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[list[Result]]:
        """Find the outcomes that may not be told yet."""
        return [outbox.find(connection, self._id) for _ in calls]

    def _forget(self, connection: sqlite3.Connection, told: int | None) -> None:
        if told is not None:
            outbox.forget(connection, self._id, before=self._first + told)

    def release(self, connection: sqlite3.Connection, calls: Sequence[Sequence[str]]) -> list[None]:
        """Take back the intents of these keys."""
        numbers = self._leave_hand(connection, [key for call in calls for key in call])
        statements.release(connection, [number for number in numbers if number is not None], after=self._found)
        return [None] * len(calls)

    def start_execution(self, connection: sqlite3.Connection, calls: Sequence[ExecutionStart]) -> list[None]:
        """Write that a pass begins."""
        for beginning in calls:
            self._pass = statements.start_execution(connection, self._id, beginning)
        return [None] * len(calls)

    def finish_execution(self, connection: sqlite3.Connection, calls: Sequence[ExecutionEnd]) -> list[None]:
        """Write how the pass ended."""
        for ending in calls:
            statements.finish_execution(connection, self._pass, ending)
            self._forget(connection, ending.told)
        return [None] * len(calls)
