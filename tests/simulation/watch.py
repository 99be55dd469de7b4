"""What watches a process of a life: its clock, its journal and its account."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from ingestor.app.clock import SteadyClock
from ingestor.model.events import Event, InputRead, RecordRejected, RecordsDuplicate, RunsEnded
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, AdmissionStatus, Timekeeper
from ingestor.model.record import Job
from ingestor.policy.expiry import CLOCK_ERROR
from tests.simulation.schedule import MOST_SET_BACK
from tests.simulation.service import Service
from tests.support.memory import MemoryJournal, Rows
from tests.support.virtual import loop_time

T = TypeVar("T")


class SteppedClock:
    """The wall clock of a machine, which is stepped, and beside it the monotonic one."""

    def __init__(self) -> None:
        self.offset = 1_700_000_000.0
        self._read_at: dict[JournalTime, float] = {}
        self._room = MOST_SET_BACK

    def wall(self) -> float:
        return self.offset + loop_time()

    def read(self, moment: JournalTime) -> None:
        """Take note of when a moment was read."""
        self._read_at[moment] = loop_time()

    def spare(self, last: JournalTime) -> None:
        """Set the clock right again, before a process resumes, where it was set back unseen by more than may be."""
        passed, seen = loop_time() - self._read_at[last], self.wall() - last.wall
        if seen < -CLOCK_ERROR:
            return
        unseen = passed - max(0.0, seen)
        if unseen > self._room:
            self.offset += passed - seen
        else:
            self._room -= max(0.0, unseen)


class ProcessClock(SteadyClock):
    """What a process makes of its machine's clocks."""

    def __init__(self, machine: SteppedClock) -> None:
        super().__init__(machine.wall, loop_time)
        self._machine = machine

    def moment(self) -> JournalTime:
        moment = super().moment()
        self._machine.read(moment)
        return moment


class WatchedJournal(MemoryJournal):
    """The journal of one process; what had not returned when it crashes may be on disk or not."""

    def __init__(self, clock: Timekeeper, rows: Rows, service: Service, most_in_hand: int) -> None:
        super().__init__(clock, rows)
        self.crashed = False
        self._service = service
        self._in_hand: set[str] = set()
        self._most_in_hand = most_in_hand
        self._lost = False

    def crash(self, *, survives: bool) -> None:
        """Take no more calls. Those that have not returned are on disk if they survive, and else they are not."""
        self.crashed = True
        self._lost = not survives

    async def _write(self, change: Callable[[], T]) -> T:
        if self.crashed:
            raise asyncio.CancelledError
        return await super()._write(lambda: self._unless_lost(change))

    def _unless_lost(self, change: Callable[[], T]) -> T:
        if self._lost:
            raise asyncio.CancelledError
        return change()

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        assert not self._in_hand & {job.key for job in jobs}, "a key in hand is admitted again"
        admissions = await super().admit(jobs, stamped=stamped)
        settled = {AdmissionStatus.DONE, AdmissionStatus.CONFLICT}
        self._in_hand |= {admission.job.key for admission in admissions if admission.status not in settled}
        assert len(self._in_hand) <= self._most_in_hand, "more jobs in hand than memory allows"
        return admissions

    async def settle(self, results: Sequence[Result]) -> None:
        await super().settle(results)
        self._in_hand -= {result.job.key for result in results}

    async def conclude(self, results: Sequence[Result]) -> None:
        for result in results:
            if result.outcome is Outcome.FAILED:
                assert not self._service.may_have(result.job.key), "a new token for a job that may have a run"
        await super().conclude(results)


class TruthfulSink:
    """The account of one process: whatever it is told must be durable and true."""

    def __init__(self, journal: WatchedJournal, service: Service) -> None:
        self._journal = journal
        self._service = service
        self.told = 0
        self.read = 0

    def emit(self, event: Event) -> None:
        if not self._journal.crashed:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        match event:
            case InputRead(records):
                self.read += records
            case RunsEnded(results):
                self.told += len(results)
                for result in results:
                    self._check(result)
            case RecordsDuplicate(duplicates):
                self.told += len(duplicates)
                for job, run_id in duplicates:
                    self._hold_true(job, run_id)
            case RecordRejected():
                self.told += 1

    def _check(self, result: Result) -> None:
        row = self._journal.rows[result.job.key]
        assert (row.outcome, row.run_id) == (result.outcome, result.run_id), "told, and not durable"
        self._hold_true(result.job, result.run_id)
        assert result.outcome is not Outcome.FAILED or not self._service.may_have(result.job.key), (
            "told to have failed, and may have a run"
        )

    async def ready(self) -> None:
        """Memory never falls behind."""

    def _hold_true(self, job: Job, run_id: str | None) -> None:
        if run_id is not None:
            keys = {run.run_id: run.key for run in self._service.runs}
            assert keys.get(run_id) == job.key, "told of a run that is not the job's"
