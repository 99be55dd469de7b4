"""One simulated life of a batch: process after process over one journal, held to the promises at every step."""

import asyncio
from collections import Counter, defaultdict
from random import Random

from ingestor.model.outcome import Outcome
from ingestor.model.ports import Timekeeper
from ingestor.model.record import Job
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline, PipelineOptions, PipelineResult
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.pipeline.service import Service as Terms
from ingestor.policy.lookup import settling_time_after_a_crash
from tests.simulation.schedule import HOUR, LONG_ENOUGH, End, Process, Schedule, Work
from tests.simulation.service import Connection, Service
from tests.simulation.watch import ProcessClock, SteppedClock, TruthfulSink, WatchedJournal
from tests.support.memory import MemoryInput, Rows
from tests.support.virtual import run_virtual

_LOOKAHEAD = 16  # jobs in hand for each slot, at most
_LONGEST = 30 * 24 * HOUR


def live(schedule: Schedule) -> Counter[str]:
    """Live a life; return how many keys ended how. AssertionError tells of a broken promise."""

    async def lived() -> Counter[str]:
        return await Life(schedule).run()

    return run_virtual(lived())


class Life:
    """All that outlives a process: the service, the journal's rows, the wall clock."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._random = Random(schedule.seed)
        self._service = Service(schedule, self._random)
        self._rows = Rows()
        self._clock = SteppedClock()

    async def run(self) -> Counter[str]:
        async with asyncio.timeout(_LONGEST):
            for process in self._schedule.processes:
                await self._process(process)
                self._step(process.step_at_rest)
                await asyncio.sleep(process.rest)
            self._service.calm = True
            await self._calm_process(Work.RUN)
            if self._schedule.is_reconciled:
                await asyncio.sleep(LONG_ENOUGH)
                await self._calm_process(Work.RECONCILIATION)
                await self._calm_process(Work.RUN)
        return self._check()

    async def _calm_process(self, work: Work) -> None:
        ending = await self._process(Process(work=work))
        assert ending is not None
        assert (ending.halt, ending.stopped, ending.left) == (None, False, 0), f"a calm process ended {ending}"
        await asyncio.sleep(HOUR)

    async def _process(self, process: Process) -> PipelineResult | None:
        if self._rows.last is not None:
            self._clock.spare(self._rows.last)
        clock = ProcessClock(self._clock)
        journal = WatchedJournal(clock, self._rows, self._service, _LOOKAHEAD * self._schedule.concurrency)
        self._rows.last = clock.moment()
        sink = TruthfulSink(journal, self._service)
        connection = Connection(self._service, self._schedule)
        task = self._task(process.work, journal, sink, connection, clock)
        working = asyncio.create_task(task.run())
        world = asyncio.create_task(self._happen(process, task))
        await asyncio.wait({working}, timeout=process.after if process.end is End.CRASHED else None)
        world.cancel()
        if working.done():
            ending = working.result()
            self._rows.last = clock.moment()
            assert sink.told == sink.read - ending.left, "a record was read, and nothing was told of it"
        else:
            ending = None
            journal.crash(survives=process.commits_survive)
            working.cancel()
            await asyncio.wait({working})
            await asyncio.sleep(0.1)
        assert connection.most_in_flight <= self._schedule.concurrency, "more attempts in flight than slots"
        assert not connection.sent or process.work is Work.RUN, "a reconciliation has sent something"
        self._service.may_exist |= {key for key, row in self._rows.items() if row.outcome is None}
        return ending

    def _task(
        self, work: Work, journal: WatchedJournal, sink: TruthfulSink, connection: Connection, clock: Timekeeper
    ) -> Pipeline | Reconciliation:
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
        if work is Work.RECONCILIATION:
            return Reconciliation(options, journal, terms, sink, clock)
        return Pipeline(options, MemoryInput(schedule.records, size=7), journal, terms, sink, clock)

    async def _happen(self, process: Process, task: Pipeline | Reconciliation) -> None:
        """Let the world change around a process."""
        self._service.outage = None
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
            events.append((process.after, task.stop))
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
                    assert key in self._service.may_exist, f"{key} is unresolved, and was never in doubt"
                    assert not self._must_be_settled(key), f"{key} is unresolved, and could be settled"
                case _:
                    raise AssertionError(f"{key} has no outcome after a calm process")
        return Counter(str(row.outcome) for row in self._rows.values())

    def _must_be_settled(self, key: str) -> bool:
        """Whether nothing excuses a job without an end: all tokens have expired, and its run would be found."""
        return self._schedule.is_reconciled and self._schedule.stamped and key not in self._schedule.poison
