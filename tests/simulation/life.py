"""One simulated life of a batch: process after process over one journal, held to the promises at every step."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from ingestor.flow.pacer import Pacer
from ingestor.flow.pipeline import Ending, Pipeline, PipelineOptions
from ingestor.flow.service import Service as Terms
from ingestor.model.events import Event, InputRead, RecordDuplicate, RecordRejected, RunSettled
from ingestor.model.job import Job
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, Clock, Standing
from ingestor.policy.lookup import settling_time_after_a_crash
from tests.simulation.schedule import HOUR, End, Process, Schedule
from tests.simulation.service import Connection, Service
from tests.support.memory import MemoryInput, MemoryJournal, Row
from tests.support.virtual import run_virtual

T = TypeVar("T")

_LOOKAHEAD = 4  # jobs in hand for each slot, at most
_LONGEST = 30 * 24 * HOUR


def live(schedule: Schedule) -> Counter[str]:
    """Live a life; return how many keys ended how. AssertionError tells of a broken promise."""

    async def lived() -> Counter[str]:
        return await Life(schedule).run()

    return run_virtual(lived())


class SteppedClock:
    """A wall clock that is stepped."""

    def __init__(self) -> None:
        self.offset = 1_700_000_000.0

    def now(self) -> float:
        return self.offset + asyncio.get_running_loop().time()


class WatchedJournal(MemoryJournal):
    """The journal of one process; what had not returned when it crashes may be on disk or not."""

    def __init__(self, clock: Clock, rows: dict[str, Row], most_in_hand: int) -> None:
        super().__init__(clock, rows)
        self.crashed = False
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
        settled = {Standing.DONE, Standing.CONFLICT}
        self._in_hand |= {admission.job.key for admission in admissions if admission.standing not in settled}
        assert len(self._in_hand) <= self._most_in_hand, "more jobs in hand than memory allows"
        return admissions

    async def settle(self, results: Sequence[Result]) -> None:
        await super().settle(results)
        self._in_hand -= {result.job.key for result in results}


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
            case RunSettled(result):
                self.told += 1
                row = self._journal.rows[result.job.key]
                assert (row.outcome, row.run_id) == (result.outcome, result.run_id), "told, and not durable"
                self._hold_true(result.job, result.run_id)
            case RecordDuplicate(job, run_id):
                self.told += 1
                self._hold_true(job, run_id)
            case RecordRejected():
                self.told += 1

    async def ready(self) -> None:
        """Memory never falls behind."""

    def _hold_true(self, job: Job, run_id: str | None) -> None:
        if run_id is not None:
            keys = {run.run_id: run.key for run in self._service.runs}
            assert keys.get(run_id) == job.key, "told of a run that is not the job's"


class Life:
    """All that outlives a process: the service, the journal's rows, the wall clock."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._random = Random(schedule.seed)
        self._service = Service(schedule, self._random)
        self._rows: dict[str, Row] = {}
        self._clock = SteppedClock()

    async def run(self) -> Counter[str]:
        async with asyncio.timeout(_LONGEST):
            for process in self._schedule.processes:
                await self._process(process)
                await asyncio.sleep(process.rest)
            self._service.calm = True
            ending = await self._process(None)
            await asyncio.sleep(HOUR)
        assert ending is not None
        assert (ending.halt, ending.stopped, ending.left) == (None, False, 0), f"a calm process ended {ending}"
        return self._check()

    async def _process(self, process: Process | None) -> Ending | None:
        journal = WatchedJournal(self._clock, self._rows, _LOOKAHEAD * self._schedule.concurrency)
        sink = TruthfulSink(journal, self._service)
        connection = Connection(self._service, self._schedule)
        pipeline = self._pipeline(journal, sink, connection)
        working = asyncio.create_task(pipeline.run())
        world = asyncio.create_task(self._happen(process, pipeline))
        ends = process is not None and process.end is End.CRASHED
        await asyncio.wait({working}, timeout=process.after if process is not None and ends else None)
        world.cancel()
        if working.done():
            ending = working.result()
            assert sink.told == sink.read - ending.left, "a record was read, and nothing was told of it"
        else:
            assert process is not None
            ending = None
            journal.crash(survives=process.commits_survive)
            working.cancel()
            await asyncio.wait({working})
            await asyncio.sleep(0.1)
        assert connection.most_in_flight <= self._schedule.concurrency, "more attempts in flight than slots"
        self._service.in_doubt |= {key for key, row in self._rows.items() if row.outcome is None}
        return ending

    def _pipeline(self, journal: WatchedJournal, sink: TruthfulSink, connection: Connection) -> Pipeline:
        schedule = self._schedule
        terms = Terms(
            target=connection,
            pacer=Pacer(None, sink),
            budget=schedule.budget,
            idempotent=schedule.idempotent,
            settling=settling_time_after_a_crash(schedule.timeout),
            uniform=self._random.uniform,
        )
        options = PipelineOptions(
            concurrency=schedule.concurrency,
            stamped=schedule.stamped,
            drain_timeout=schedule.drain_timeout,
            give_up_after=schedule.give_up_after,
        )
        source = MemoryInput(schedule.records, size=7)
        return Pipeline(options, source, journal, terms, sink, self._clock)

    async def _happen(self, process: Process | None, pipeline: Pipeline) -> None:
        """Let the world change around a process."""
        self._service.outage = None
        if process is None:
            return
        now = asyncio.get_running_loop().time()
        events = []
        if process.outage is not None:
            start, lasting, mishap = process.outage
            self._service.outage = (now + start, now + start + lasting, mishap)
        if process.credentials_expire is not None:
            events.append((process.credentials_expire, self._expire))
        if process.clock_step is not None:
            at, step = process.clock_step
            events.append((at, lambda: self._step(step)))
        if process.end is End.STOPPED:
            events.append((process.after, pipeline.stop))
        for at, happen in sorted(events, key=lambda event: event[0]):
            await asyncio.sleep(now + at - asyncio.get_running_loop().time())
            happen()
        await asyncio.Event().wait()

    def _expire(self) -> None:
        self._service.valid_credentials += 1

    def _step(self, seconds: float) -> None:
        self._clock.offset += seconds

    def _check(self) -> Counter[str]:
        """Hold what the journal says of every key against what the service has."""
        runs = defaultdict(list)
        for run in self._service.runs:
            runs[run.key].append(run.run_id)
        assert all(len(bodies) == 1 for bodies in self._service.bodies.values()), "a key was sent with another body"
        keys = {record.key for record in self._schedule.records if isinstance(record, Job)}
        assert set(self._rows) == keys, "a record was lost"
        for key, row in self._rows.items():
            assert len(runs[key]) <= 1, f"{key} became {len(runs[key])} runs"
            match row.outcome:
                case Outcome.CREATED:
                    assert runs[key] == [row.run_id], f"{key} is said to be {row.run_id} and is {runs[key]}"
                case Outcome.FAILED:
                    assert not runs[key], f"{key} is said to have failed and is {runs[key]}"
                case Outcome.UNRESOLVED:
                    assert key in self._service.in_doubt, f"{key} is unresolved, and was never in doubt"
                case _:
                    raise AssertionError(f"{key} has no outcome after a calm process")
        return Counter(str(row.outcome) for row in self._rows.values())
