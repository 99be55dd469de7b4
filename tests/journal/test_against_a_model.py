"""Through restarts and crashes, the journal on disk returns what the journal in memory returns."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ingestor.journal.database import transaction
from ingestor.journal.forgotten import FORGETTABLE, forget_jobs, recall_jobs
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.reader import known_sources, results
from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.errors import ExitCode
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Outcome, Result, State
from ingestor.model.sources import Checkpoint, KeptRecord, Source, SourceEnd
from tests.journal.support import HOUR, ManualClock, created, failed, opened, partial, unresolved
from tests.support.memory_journal import MemoryJournal
from tests.support.records import SCOPE, job

T = TypeVar("T")
AnyJournal = SqliteJournal | MemoryJournal

offered = st.lists(st.integers(1, 12), min_size=1, unique=True)
bodies = st.sampled_from([None, None, None, "another body"])
flags = st.booleans()
outcomes = st.sampled_from([created, created, partial, failed, unresolved])
sources = st.sampled_from([Source("a", "/d/a"), Source("./a", "/d/a"), Source("b", "/d/b"), Source("-", None)])
checkpoints = st.builds(
    Checkpoint, sources, st.sampled_from([None, "[1]", "[2]"]), st.integers(0, 2), st.sampled_from([None, *SourceEnd])
)
several_checkpoints = st.lists(checkpoints, max_size=2, unique_by=lambda it: it.source.path)

_MAY_BE_SENT = {AdmissionStatus.NEW, AdmissionStatus.RESEND, AdmissionStatus.BEGUN}


class JournalMachine(RuleBasedStateMachine):
    """One process after another over one state directory; `in_flight` is what the present one may send."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.places = TemporaryDirectory()
        self.numbers = count()
        self.path = Path(self.places.name) / "0"
        self.clock = ManualClock()
        self.model_clock = ManualClock()
        self.model = MemoryJournal(SCOPE, self.model_clock)
        self.in_flight: dict[str, Admission] = {}

    def teardown(self) -> None:
        self.stop()
        self.runner.close()
        self.places.cleanup()

    @initialize()
    def start(self) -> None:
        self.process = AsyncExitStack()
        self.journal = self.runner.run(self.process.enter_async_context(opened(self.path, self.clock, merge_after=3)))
        self.model = MemoryJournal(SCOPE, self.model_clock, self.model.memory)
        self.in_flight.clear()

    def stop(self) -> None:
        self.runner.run(self.process.aclose())
        self.runner.run(self.model.commit(Changes()))  # the clock and the acknowledged outcomes

    def both(self, call: Callable[[AnyJournal], Awaitable[T]]) -> T:
        """Do the same with both journals, whose answers must be equal."""
        answer = self.runner.run(_await(call(self.journal)))
        assert self.runner.run(_await(call(self.model))) == answer
        return answer

    @rule(numbers=offered, body=bodies, stamped=flags)
    def admit(self, numbers: list[int], body: str | None, stamped: bool) -> None:
        new = self.not_in_flight(numbers, body)
        admissions = self.both(lambda it: it.admit(new, stamped=stamped))
        self.in_flight |= {it.job.key: it for it in admissions if it.status in _MAY_BE_SENT}

    @rule(data=st.data(), end=outcomes, positions=several_checkpoints)
    def commit(self, data: st.DataObject, end: Callable[[Job], Result], positions: list[Checkpoint]) -> None:
        changes = self.draw_changes(data, end, positions)
        self.both(lambda it: it.commit(changes))
        self.in_flight |= {job.key: replace(self.in_flight[job.key], run_id=run_id) for job, run_id in changes.begun}
        for result in changes.results:
            del self.in_flight[result.job.key]

    @rule(data=st.data(), end=st.sampled_from([created, failed, unresolved]), page=st.integers(1, 5))
    def conclude(self, data: st.DataObject, end: Callable[[Job], Result], page: int) -> None:
        """What earlier processes left is read in pages, and some of it is looked up."""
        found = []
        for pending in (False, True):
            after = 0
            while jobs := self.runner.run(self.journal.unsettled(pending=pending, after=after, limit=page)):
                found += jobs
                after = jobs[-1].number
        expected = [
            it
            for pending in (False, True)
            for it in self.runner.run(self.model.unsettled(pending=pending, after=0, limit=99))
        ]
        assert [it.admission for it in found] == [it.admission for it in expected]
        assert self.both(lambda it: it.count_unsettled()) == len(found)
        left = {it.admission.job.key: it.admission.job for it in found if it.admission.job.key not in self.in_flight}
        keys = data.draw(st.sets(st.sampled_from(sorted(left)))) if left else set()
        self.both(lambda it: it.conclude([end(left[key]) for key in sorted(keys)]))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        released = self.draw(data)
        self.both(lambda it: it.release([admission.job for admission in released]))
        for admission in released:
            del self.in_flight[admission.job.key]

    @rule(outcome=st.sampled_from([Outcome.FAILED, Outcome.UNRESOLVED]), page=st.integers(1, 5))
    def read_kept_records(self, outcome: Outcome, page: int) -> None:
        expected = self.runner.run(self.model.kept_records(outcome, after=0, limit=99))
        found: list[KeptRecord] = []
        while records := self.runner.run(
            self.journal.kept_records(outcome, after=found[-1].number if found else 0, limit=page)
        ):
            found += records
        assert [(it.origin, it.text) for it in found] == [(it.origin, it.text) for it in expected]

    @rule(back=st.integers(-1, 2))
    def acknowledge(self, back: int) -> None:
        sequence = self.both(lambda it: it.commit(Changes()))
        if sequence > back >= 0:
            self.journal.acknowledge(sequence - back)
            self.model.acknowledge(sequence - back)

    @rule(read=several_checkpoints, exit_code=st.sampled_from([None, *ExitCode]))
    def execute(self, read: list[Checkpoint], exit_code: ExitCode | None) -> None:
        self.both(lambda it: it.start_execution(checkpoints=read))
        if exit_code is not None:
            self.both(lambda it: it.finish_execution({}, already_done=0, left=0, exit_code=exit_code))

    @rule(hours=st.sampled_from([0.01, 1, 12, 25, -0.05, -2]))
    def time_passes_or_is_set_back(self, hours: float) -> None:
        self.clock.time += hours * HOUR
        self.model_clock.time += hours * HOUR

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()

    @rule(data=st.data(), undo=flags)
    def forget_between_two_processes(self, data: st.DataObject, undo: bool) -> None:
        self.stop()
        memory, wanted = self.model.memory, {State.FORGOTTEN} if undo else FORGETTABLE
        known = [key for key, row in memory.jobs.items() if row.state in wanted]
        keys = data.draw(st.sets(st.sampled_from(known))) if known else set()
        with transaction(self.path / "journal.db") as connection:
            counts = (recall_jobs if undo else forget_jobs)(connection, 1, keys=keys)
        assert counts.total() == len(keys)
        (memory.recall if undo else memory.forget)(*keys)
        self.start()

    @rule(numbers=offered, body=bodies, written=st.floats(0, 1))
    def crash_in_the_commit_of_intents(self, numbers: list[int], body: str | None, written: float) -> None:
        new = self.not_in_flight(numbers, body)
        self.crash(lambda it: it.admit(new, stamped=True), written)

    @rule(data=st.data(), end=outcomes, positions=several_checkpoints, written=st.floats(0, 1))
    def crash_in_the_commit_of_outcomes(
        self, data: st.DataObject, end: Callable[[Job], Result], positions: list[Checkpoint], written: float
    ) -> None:
        changes = self.draw_changes(data, end, positions)
        self.crash(lambda it: it.commit(changes), written)

    def crash(self, call: Callable[[AnyJournal], Awaitable[object]], written: float) -> None:
        """Only a part of the last commit reached the disk, and its caller got no answer."""
        log = self.path / "journal.db-wal"
        before = log.stat().st_size
        self.runner.run(_await(call(self.journal)))
        torn = log.read_bytes()[: before + int(written * (log.stat().st_size - before))]
        if len(torn) == log.stat().st_size:
            self.runner.run(_await(call(self.model)))
        after = self.path.with_name(str(next(self.numbers) + 1))
        after.mkdir()
        shutil.copy(self.path / "journal.db", after)
        (after / log.name).write_bytes(torn)
        self.runner.run(self.process.aclose())
        self.path = after
        self.start()

    @invariant()
    def rows_checkpoints_and_outbox_are_those_of_the_model(self) -> None:
        rows = [(key, row.state, row.run_id, row.attempts) for key, row in self.model.memory.jobs.items()]
        assert [(row.job_id, row.outcome, row.run_id, row.attempts) for row in results(self.path)] == rows
        assert known_sources(self.path, SCOPE) == self.both(lambda it: it.checkpoints())
        in_the_outbox = self.runner.run(self.journal.unacknowledged())
        expected = self.runner.run(self.model.unacknowledged())
        assert [(number, it.job.key) for number, it in in_the_outbox] == [(n, it.job.key) for n, it in expected]

    def not_in_flight(self, numbers: Sequence[int], body: str | None) -> list[Job]:
        return [job(number, name=body) for number in numbers if f"job-{number}" not in self.in_flight]

    def draw_changes(self, data: st.DataObject, end: Callable[[Job], Result], positions: list[Checkpoint]) -> Changes:
        """Begin some of the jobs in flight and end some; a job whose run exists does not fail."""
        ended = [end(it.job) for it in self.draw(data) if end is not failed or it.run_id is None]
        without_run = {result.job.key for result in ended if end is failed}
        begun = [(it.job, f"run of {it.job.key}") for it in self.draw(data) if it.job.key not in without_run]
        return Changes(ended, begun, positions)

    def draw(self, data: st.DataObject) -> list[Admission]:
        """Return some of the jobs in flight, in the order of their admission."""
        keys = data.draw(st.sets(st.sampled_from(list(self.in_flight)))) if self.in_flight else set()
        return [admission for key, admission in self.in_flight.items() if key in keys]


async def _await(call: Awaitable[T]) -> T:
    return await call


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
