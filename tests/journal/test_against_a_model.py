"""The journal, through restarts and crashes, says what a dictionary says: the one that other tests use in its place."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ingestor.journal.reader import results
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, AdmissionStatus
from ingestor.model.record import Job
from tests.journal.support import HOUR, HandClock, created, failed, opened, unresolved
from tests.support.memory import MemoryJournal
from tests.support.records import job

offered = st.lists(st.integers(1, 12), min_size=1, unique=True)
bodies = st.sampled_from([None, None, None, "another body"])
flags = st.booleans()


class JournalMachine(RuleBasedStateMachine):
    """One process after another over one state directory; `in_hand` is what the present one may send."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.places = TemporaryDirectory()
        self.numbers = count()
        self.path = Path(self.places.name) / "0"
        self.clock = HandClock()
        self.model = MemoryJournal(self.clock)
        self.in_hand: dict[str, Admission] = {}

    def teardown(self) -> None:
        self.stop()
        self.runner.close()
        self.places.cleanup()

    @initialize()
    def start(self) -> None:
        self.process = AsyncExitStack()
        self.journal = self.runner.run(self.process.enter_async_context(opened(self.path, self.clock, merge_after=3)))
        self.in_hand.clear()

    def stop(self) -> None:
        self.runner.run(self.process.aclose())

    @rule(numbers=offered, body=bodies, stamped=flags)
    def admit(self, numbers: list[int], body: str | None, stamped: bool) -> None:
        asked = self.not_in_hand(numbers, body)
        admissions = self.runner.run(self.journal.admit(asked, stamped=stamped))
        assert admissions == self.runner.run(self.model.admit(asked, stamped=stamped))
        sendable = [it for it in admissions if it.status in {AdmissionStatus.NEW, AdmissionStatus.AGAIN}]
        self.in_hand |= {admission.job.key: admission for admission in sendable}

    @rule(data=st.data(), end=st.sampled_from([created, created, failed, unresolved]))
    def settle(self, data: st.DataObject, end: Callable[[Job], Result]) -> None:
        ended = [end(job) for job in self.take(data, list(self.in_hand))]
        self.runner.run(self.journal.settle(ended))
        self.runner.run(self.model.settle(ended))

    @rule(data=st.data(), end=st.sampled_from([created, failed, unresolved]), page=st.integers(1, 5))
    def conclude(self, data: st.DataObject, end: Callable[[Job], Result], page: int) -> None:
        """What earlier processes left is read in pages, and some of it is settled by looking."""
        found = []
        for pending in (False, True):
            after = 0
            while jobs := self.runner.run(self.journal.unsettled(pending=pending, after=after, limit=page)):
                found += [it.admission for it in jobs if it.admission.job.key not in self.in_hand]
                after = jobs[-1].number
        open_rows = {key: row for key, row in self.model.rows.items() if row.outcome in (None, Outcome.UNRESOLVED)}
        assert self.runner.run(self.journal.count_unsettled()) == len(open_rows)
        left = [(key, row.token, row.first_sent_at) for key, row in open_rows.items() if key not in self.in_hand]
        assert sorted((it.job.key, it.job.token, it.first_sent_at) for it in found) == sorted(left)
        looked_for = data.draw(st.sets(st.sampled_from(sorted(key for key, _, _ in left)))) if left else set()
        ended = [end(it.job) for it in found if it.job.key in looked_for]
        self.runner.run(self.journal.conclude(ended))
        self.runner.run(self.model.conclude(ended))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        never_sent = [key for key, admission in self.in_hand.items() if admission.status is AdmissionStatus.NEW]
        released = self.take(data, never_sent)
        self.runner.run(self.journal.release(released))
        self.runner.run(self.model.release(released))

    @rule(hours=st.sampled_from([0.01, 1, 12, 25, -0.05, -2]))
    def time_passes_or_is_set_back(self, hours: float) -> None:
        self.clock.time += hours * HOUR

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()

    @rule(numbers=offered, body=bodies, written=st.floats(0, 1))
    def crash_in_a_commit(self, numbers: list[int], body: str | None, written: float) -> None:
        """Only a part of the last commit reached the disk; its caller never heard of it."""
        asked = self.not_in_hand(numbers, body)
        log = self.path / "journal.db-wal"
        before = log.stat().st_size
        self.runner.run(self.journal.admit(asked, stamped=True))
        torn = log.read_bytes()[: before + int(written * (log.stat().st_size - before))]
        if len(torn) == log.stat().st_size:
            self.runner.run(self.model.admit(asked, stamped=True))
        after = self.path.with_name(str(next(self.numbers) + 1))
        after.mkdir()
        shutil.copy(self.path / "journal.db", after)
        (after / log.name).write_bytes(torn)
        self.stop()
        self.path = after
        self.start()

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        known = [
            (key, row.outcome.value if row.outcome else "pending", row.run_id) for key, row in self.model.rows.items()
        ]
        assert [(row.job_id, row.outcome.value, row.run_id) for row in results(self.path)] == known

    def not_in_hand(self, numbers: Sequence[int], body: str | None) -> list[Job]:
        return [job(number, name=body) for number in numbers if f"job-{number}" not in self.in_hand]

    def take(self, data: st.DataObject, keys: list[str]) -> list[Job]:
        taken = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
        return [self.in_hand.pop(key).job for key in keys if key in taken]


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
