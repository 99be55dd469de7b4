"""One simulated life of a batch: process after process over one journal, held to the promises at every step."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from random import Random

from ingestor.model.ports import Input, Timekeeper
from ingestor.model.record import Job, Outcome, Reject, State
from ingestor.model.sources import Checkpoint, Chunk, SourceEnd
from ingestor.pipeline.options import PipelineOptions, PipelineResult
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.policy.lookup import crash_quiescence
from ingestor.sources.inputs import Chained, KeptRecords
from tests.simulation.schedule import HOUR, LONG_ENOUGH, End, Process, Schedule, Work
from tests.simulation.service import Connection, Run, Service
from tests.simulation.watch import ProcessClock, SteppedClock, TruthfulLog, WatchedJournal
from tests.support.memory import RUNS, MemoryInput
from tests.support.memory_journal import JobRow, Memory
from tests.support.records import SCOPE
from tests.support.virtual import run_virtual

_LONGEST = 30 * 24 * HOUR


def live(schedule: Schedule) -> Counter[str]:
    """Live a life; return how many keys ended how. Raises AssertionError where a promise is broken."""

    async def lived() -> Counter[str]:
        return await Life(schedule).run()

    return run_virtual(lived())


class Planned:
    """Kept records with the plans of their jobs, which their texts do not hold."""

    def __init__(self, kept: KeptRecords, plans: dict[str, Job]) -> None:
        self._kept = kept
        self._plans = plans
        self.read_bytes = 0
        self.total_bytes = 0
        self.acknowledge = kept.acknowledge
        self.finish = kept.finish
        self.stop = kept.stop

    async def chunks(self) -> AsyncIterator[Chunk]:
        async for chunk in self._kept.chunks():
            yield replace(chunk, records=[self._planned(record) for record in chunk.records])

    def _planned(self, record: Job | Reject) -> Job:
        assert isinstance(record, Job), "a kept text is no record"
        plan = self._plans[record.key]
        return replace(record, steps=plan.steps, digest=plan.digest)


class Life:
    """All that outlives a process: the service, the journal's memory, the wall clock, what was rejected."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._random = Random(schedule.seed)
        self._service = Service(schedule, self._random)
        self._memory = Memory()
        self._clock = SteppedClock()
        self._rejected: set[int] = set()
        self._plans = {it.key: it for it in reversed(schedule.records) if isinstance(it, Job)}

    async def run(self) -> Counter[str]:
        async with asyncio.timeout(_LONGEST):
            for process in self._schedule.processes:
                await self._process(process)
                self._step(process.step_at_rest)
                await asyncio.sleep(process.rest)
            self._service.calm = True
            await self._calm_process(self._schedule.last_work)
            if self._schedule.is_reconciled:
                await asyncio.sleep(LONG_ENOUGH)
                await self._calm_process(Work.RECONCILIATION)
                await self._calm_process(self._schedule.last_work)
        return self._check()

    async def _calm_process(self, work: Work) -> None:
        result = await self._process(Process(work=work))
        assert result is not None
        assert (result.halt, result.stopped, result.left) == (None, False, 0), f"a calm process ended {result}"
        await asyncio.sleep(HOUR)

    async def _process(self, process: Process) -> PipelineResult | None:
        if self._memory.time is not None:
            self._clock.spare(self._memory.time)
        clock = ProcessClock(self._clock)
        journal = WatchedJournal(clock, self._memory, self._service, self._schedule)
        log = TruthfulLog(journal, self._service)
        connection = Connection(self._service, self._schedule)
        working = asyncio.create_task(self._work(process, journal, log, connection, clock))
        await asyncio.wait({working}, timeout=process.after if process.end is End.CRASHED else None)
        if working.done():
            result = working.result()
            self._memory.time = clock.now()
            assert log.reported == log.read - result.left, "a record was read, and nothing was reported of it"
            self._rejected |= log.rejected
        else:
            result = None
            journal.crash(survives=process.commits_survive)
            working.cancel()
            await asyncio.wait({working})
            await asyncio.sleep(0.1)
            self._rejected |= log.safe
        assert connection.most_in_flight <= self._schedule.concurrency, "more attempts in flight than slots"
        assert not connection.sent or process.work is not Work.RECONCILIATION, "a reconciliation has sent something"
        self._service.may_exist |= {key for key, row in self._memory.jobs.items() if row.state is State.PENDING}
        return result

    async def _work(
        self, process: Process, journal: WatchedJournal, log: TruthfulLog, connection: Connection, clock: Timekeeper
    ) -> PipelineResult:
        task = await self._task(process.work, journal, log, connection, clock)
        world = asyncio.create_task(self._happen(process, task))
        try:
            return await task.run()
        finally:
            world.cancel()

    async def _task(
        self, work: Work, journal: WatchedJournal, log: TruthfulLog, connection: Connection, clock: Timekeeper
    ) -> Pipeline | Reconciliation:
        schedule = self._schedule
        options = PipelineOptions(
            concurrency=schedule.concurrency,
            stamped=schedule.stamped,
            drain_timeout=schedule.drain_timeout,
            # also a calm service has a rate limit, and one of its records may get errors in its place for some seconds
            give_up_after=max(60.0, schedule.give_up_after) if self._service.calm else schedule.give_up_after,
            budget=schedule.budget,
            idempotent=schedule.idempotent,
            crash_quiescence=crash_quiescence(schedule.timeout),
            uniform=self._random.uniform,
        )
        if work is Work.RECONCILIATION:
            return Reconciliation(options, journal, connection, Pacer(None, log), log, clock)
        start = await self._start(work, journal)
        source = self._input(journal, start)
        return Pipeline(options, source, journal, connection, Pacer(None, log), log, clock, starts=[start])

    async def _start(self, work: Work, journal: WatchedJournal) -> Checkpoint:
        """Return where a process starts to read, and let the journal know."""
        known = await journal.checkpoints() if work is Work.RESUME else []
        start = known[0] if known else Checkpoint(RUNS)
        await journal.start_execution(checkpoints=[start])
        return start

    def _input(self, journal: WatchedJournal, start: Checkpoint) -> Input:
        kept = [
            Planned(KeptRecords(journal, outcome, SCOPE), self._plans)
            for outcome in (Outcome.UNRESOLVED, Outcome.FAILED)
        ]
        source = MemoryInput(self._schedule.records, size=self._schedule.chunk, start=start.position)
        return Chained([kept[0], *([] if start.end is SourceEnd.COMPLETE else [source]), kept[1]])

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
        runs: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self._service.runs:
            runs[run.key].append(run)
        assert all(len(bodies) == 1 for bodies in self._service.bodies.values()), "a key was sent with another body"
        assert set(self._memory.jobs) == set(self._plans), "a record was lost"
        assert self._rejected == _rejected_lines(self._schedule.records), "a rejected record was lost"
        for key, row in self._memory.jobs.items():
            assert len(runs[key]) <= 1, f"{key} became {len(runs[key])} runs"
            self._check_row(key, row, runs[key])
        return Counter(str(row.state) for row in self._memory.jobs.values())

    def _check_row(self, key: str, row: JobRow, runs: Sequence[Run]) -> None:
        steps = [step.operation for step in self._plans[key].steps]
        match row.state:
            case State.CREATED | State.PARTIAL:
                assert [run.run_id for run in runs] == [row.run_id], f"{key} is said to be {row.run_id}, not {runs}"
                carried_out = list(dict.fromkeys(runs[0].steps))
                assert row.state is State.PARTIAL or carried_out == steps, f"{key} is incomplete"
                assert row.state is State.CREATED or key in self._service.refused_steps, f"{key} is said to be partial"
            case State.FAILED:
                assert not runs, f"{key} is said to have failed and is {runs}"
            case State.UNRESOLVED | State.PENDING:
                assert key in self._service.may_exist, f"{key} is unresolved, and was never in doubt"
                assert row.run_id is None, f"{key} is {row.run_id}, and the rest of its plan was not sent"
                assert not self._must_be_settled(key), f"{key} is unresolved, and could be settled"
                assert row.state is State.UNRESOLVED or self._schedule.last_work is Work.RESUME, f"{key} has no outcome"

    def _must_be_settled(self, key: str) -> bool:
        """Whether nothing excuses a job without an end: all tokens have expired, and its run would be found."""
        return self._schedule.is_reconciled and self._schedule.stamped and key not in self._schedule.poison


def _rejected_lines(records: Sequence[Job | Reject]) -> set[int]:
    """Return the lines that must be rejected: those that are no record, and those whose key has another body."""
    digests: dict[str, bytes] = {}
    rejected = set()
    for record in records:
        if isinstance(record, Reject) or digests.setdefault(record.key, record.digest) != record.digest:
            rejected.add(record.origin.line)
    return rejected
