"""What watches a process of a life: its clock, its journal and its log."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from ingestor.app.machine import SteadyClock
from ingestor.model.admission import Admission, AdmissionStatus, JournalTime
from ingestor.model.events import (
    Event,
    InputRead,
    RecordRejected,
    RecordsAlreadyDone,
    RecordsDuplicate,
    RunsEnded,
)
from ingestor.model.ports import Changes, Timekeeper
from ingestor.model.record import Job, Outcome, Result
from ingestor.policy.expiry import CLOCK_ERROR
from tests.simulation.schedule import MOST_SET_BACK, Schedule
from tests.simulation.service import Service
from tests.support.memory import SlowJournal
from tests.support.memory_journal import Memory
from tests.support.virtual import loop_time

T = TypeVar("T")
_LOOKAHEAD = 16  # jobs in flight for each slot, at most


class SteppedClock:
    """The wall clock of a machine, which is stepped, and the monotonic one."""

    def __init__(self) -> None:
        self.offset = 1_700_000_000.0
        self._read_at: dict[JournalTime, float] = {}
        self._room = MOST_SET_BACK

    def wall(self) -> float:
        return self.offset + loop_time()

    def read(self, time: JournalTime) -> None:
        """Record when a time was read."""
        self._read_at[time] = loop_time()

    def spare(self, last: JournalTime) -> None:
        """Set the clock right again, before a process begins, where it was set back unseen by more than may be."""
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

    def now(self) -> JournalTime:
        now = super().now()
        self._machine.read(now)
        return now


class WatchedJournal(SlowJournal):
    """The journal of one process. A change that had not returned when the process crashed may be on disk or not."""

    def __init__(self, clock: Timekeeper, memory: Memory, service: Service, schedule: Schedule) -> None:
        super().__init__(clock, memory)
        self.crashed = False
        self._service = service
        self._in_flight: set[str] = set()
        self._most_in_flight = _LOOKAHEAD * schedule.concurrency
        self._lost = False

    def crash(self, *, survives: bool) -> None:
        """Take no more calls. Those that have not returned are on disk if they survive, and else they are not."""
        self.crashed = True
        self._lost = not survives

    async def _change(self, change: Callable[[], T]) -> T:
        if self.crashed:
            raise asyncio.CancelledError
        return await super()._change(lambda: self._unless_lost(change))

    def _unless_lost(self, change: Callable[[], T]) -> T:
        if self._lost:
            raise asyncio.CancelledError
        return change()

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        assert not self._in_flight & {job.key for job in jobs}, "a key in flight is admitted again"
        admissions = await super().admit(jobs, stamped=stamped)
        ended = {AdmissionStatus.DONE, AdmissionStatus.CONFLICT}
        self._in_flight |= {admission.job.key for admission in admissions if admission.status not in ended}
        assert len(self._in_flight) <= self._most_in_flight, "more jobs in flight than memory allows"
        return admissions

    async def commit(self, changes: Changes) -> int:
        sequence = await super().commit(changes)
        self._in_flight -= {result.job.key for result in changes.results}
        return sequence

    async def conclude(self, results: Sequence[Result]) -> int:
        for result in results:
            if result.outcome is Outcome.FAILED:
                assert not self._service.may_have(result.job.key), "a new token for a job that may have a run"
        return await super().conclude(results)


class TruthfulLog:
    """The log of one process: everything that it reports must be durable and true.

    `rejected` holds the lines that were reported as rejected, `safe` those of them that survive a crash.
    """

    def __init__(self, journal: WatchedJournal, service: Service) -> None:
        self._journal = journal
        self._service = service
        self.reported = 0
        self.read = 0
        self.rejected: set[int] = set()
        self.safe: set[int] = set()

    def emit(self, event: Event) -> None:
        if not self._journal.crashed:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case InputRead(records):
                self.read += records
            case RunsEnded(results):
                self.reported += len(results)
                for result in results:
                    self._check(result)
            case RecordsAlreadyDone(count):
                self.reported += count
            case RecordsDuplicate(duplicates):
                self.reported += len(duplicates)
                for job, run_id in duplicates:
                    self._check_run(job, run_id)
            case RecordRejected(reject):
                self.reported += 1
                self.rejected.add(reject.origin.line)

    def _check(self, result: Result) -> None:
        row = self._journal.rows[result.job.key]
        assert (row.state.value, row.run_id) == (result.outcome.value, result.run_id), "reported, and not durable"
        self._check_run(result.job, result.run_id)
        assert result.outcome is not Outcome.FAILED or not self._service.may_have(result.job.key), (
            "reported as failed, and may have a run"
        )

    async def ready(self) -> None:
        """Memory is never slow."""

    async def sync_rejects(self) -> None:
        await asyncio.sleep(0.001)
        if self._journal.crashed:
            raise asyncio.CancelledError
        self.safe |= self.rejected

    def _check_run(self, job: Job, run_id: str | None) -> None:
        if run_id is not None:
            keys = {run.run_id: run.key for run in self._service.runs}
            assert keys.get(run_id) == job.key, "a run is reported that is not the job's"
