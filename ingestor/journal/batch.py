"""What the writer's thread does for one batch, inside its transactions."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.journal import statements, unsettled, untold
from ingestor.journal.admission import judge
from ingestor.journal.statements import Ending
from ingestor.journal.unsettled import Page
from ingestor.model.errors import JournalError
from ingestor.model.job import Job
from ingestor.model.moment import Moment
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, Standing, Unsettled
from ingestor.policy.identity import Scope


@dataclass(frozen=True, slots=True)
class Admittance:
    """Jobs that ask to be sent."""

    jobs: Sequence[Job]
    stamped: bool
    now: Moment


@dataclass(frozen=True, slots=True)
class Settlement:
    """Jobs that ended.

    `told` is how many of this process's outcomes are told already; None where not even those of earlier ones are.
    """

    results: Sequence[Result]
    now: Moment
    told: int | None


class Batch:
    """One batch in the journal. Every method takes the calls of a group and answers each."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._id = 0
        self._pass = 0
        self._found = 0  # the last row of earlier processes
        self._first = 0  # the number of this process's first outcome
        self._settled = 0

    def enter(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[Moment | None]:
        """Find the batch, adding it where it is new; return the last moment witnessed. Comes before all else."""
        self._id = statements.find_batch(connection, self._scope)
        self._found = statements.last_id(connection)
        self._first = untold.next_number(connection, self._id)
        return [statements.last_moment(connection)] * len(calls)

    def witness(self, connection: sqlite3.Connection, calls: Sequence[Moment]) -> list[None]:
        """Remember how far time has come."""
        statements.witness(connection, calls[-1])
        return [None] * len(calls)

    def admit(self, connection: sqlite3.Connection, calls: Sequence[Admittance]) -> list[list[Admission]]:
        """Judge jobs and write what that changes."""
        statements.witness(connection, calls[-1].now)
        return [self._admit(connection, call) for call in calls]

    def _admit(self, connection: sqlite3.Connection, call: Admittance) -> list[Admission]:
        rows = statements.find_rows(connection, self._id, [job.key for job in call.jobs])
        judged = [judge(job, rows.get(job.key), stamped=call.stamped, now=call.now) for job in call.jobs]
        admissions = [judgement.admission for judgement in judged]
        new = [admission.job for admission in admissions if admission.standing is Standing.NEW]
        statements.add_intents(connection, self._id, new, stamped=call.stamped, now=call.now.time)
        moves = [judgement.move for judgement in judged if judgement.move is not None]
        statements.move(connection, moves, now=call.now.time)
        return admissions

    def settle(self, connection: sqlite3.Connection, calls: Sequence[Settlement]) -> list[None]:
        """Write how jobs ended. Raises JournalError where one was never admitted."""
        results = [result for call in calls for result in call.results]
        written = statements.settle(connection, self._id, results, now=calls[-1].now.time)
        if written != len(results):
            raise JournalError(f"The journal misses the intents of {len(results) - written} jobs that were sent.")
        self._forget(connection, calls[-1].told)
        untold.add(connection, self._id, results, first=self._first + self._settled)
        self._settled += len(results)
        return [None] * len(calls)

    def count_unsettled(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[int]:
        """Count the jobs whose end is not known."""
        return [unsettled.count(connection, self._id) for _ in calls]

    def unsettled(self, connection: sqlite3.Connection, calls: Sequence[Page]) -> list[list[Unsettled]]:
        """Find jobs whose end is not known."""
        return [unsettled.find(connection, self._id, page) for page in calls]

    def conclude(self, connection: sqlite3.Connection, calls: Sequence[Settlement]) -> list[None]:
        """Write what became of jobs that were looked for: those that have no run get a new token."""
        statements.witness(connection, calls[-1].now)
        self.settle(connection, calls)
        absent = [result.job.key for call in calls for result in call.results if result.outcome is Outcome.FAILED]
        unsettled.renew(connection, self._scope, self._id, absent)
        return [None] * len(calls)

    def untold(self, connection: sqlite3.Connection, calls: Sequence[None]) -> list[list[Result]]:
        """Find the outcomes that may not be told yet."""
        return [untold.find(connection, self._id) for _ in calls]

    def _forget(self, connection: sqlite3.Connection, told: int | None) -> None:
        if told is not None:
            untold.forget(connection, self._id, before=self._first + told)

    def release(self, connection: sqlite3.Connection, calls: Sequence[Sequence[str]]) -> list[None]:
        """Take back the intents of these keys."""
        keys = [key for call in calls for key in call]
        statements.release(connection, self._id, keys, after=self._found)
        return [None] * len(calls)

    def start_pass(self, connection: sqlite3.Connection, calls: Sequence[tuple[float, bool | None]]) -> list[None]:
        """Write that a pass begins: at these times, as a rehearsal or not."""
        for now, rehearsal in calls:
            self._pass = statements.start_pass(connection, self._id, now=now, rehearsal=rehearsal)
        return [None] * len(calls)

    def finish_pass(self, connection: sqlite3.Connection, calls: Sequence[Ending]) -> list[None]:
        """Write how the pass ended."""
        for ending in calls:
            statements.finish_pass(connection, self._pass, ending)
            self._forget(connection, ending.told)
        return [None] * len(calls)
