"""A service, a journal and a pipeline between them, all in memory and in virtual time."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random

from ingestor.model.events import RecordRejected, RecordsAlreadyDone, RecordsDuplicate, RecordsForgotten, RunsEnded
from ingestor.model.ports import Input
from ingestor.model.record import Job, Reject, Result
from ingestor.model.reply import Reply
from ingestor.model.request import Operation, Request
from ingestor.model.sources import Checkpoint
from ingestor.pipeline.options import Known, PipelineOptions, PipelineResult
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.reported import ReportedRejects
from ingestor.policy.retry import RetryBudget
from ingestor.simulator.memory_service import Late, Lost, MemoryService, SearchScript, always_find
from tests.support.memory import MemoryInput, RecordingSink, SlowJournal
from tests.support.virtual import VirtualClock

Answer = Reply | Lost | Late | None
Script = Callable[[Job, int], Answer]
"""What an attempt to create the run of a job gets; the number counts the attempts of its token, from 1."""
StepScript = Callable[[Request, int], Answer]
"""What an attempt of a step gets."""


def always_create(job: Job, number: int) -> None:
    """Give every create its ordinary answer."""


def always_add(request: Request, number: int) -> None:
    """Give every step its ordinary answer."""


@dataclass
class World:
    """A service and a journal that outlive a batch."""

    script: Script = always_create
    steps: StepScript = always_add
    search: SearchScript = always_find
    latency: float = 0.01
    concurrency: int = 8
    most_outside: int = 0
    timeout: float = 60.0
    rate: float | None = None
    idempotent: bool = True
    stamped: bool = True
    budget: RetryBudget = field(default_factory=RetryBudget)
    probe: Reply | None = None
    give_up_after: float = 3600.0
    wait_for_service: bool = False
    target_is_proven: bool = False
    forgotten_rejects: Collection[bytes] = frozenset()
    repaired_rejects: Collection[bytes] = frozenset()
    reported_rejects: ReportedRejects | None = None
    experiments: Collection[str] | None = None
    random: Random = field(default_factory=lambda: Random(1))
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.service = MemoryService(
            self._answer,
            search=self._look_up,
            latency=self.latency,
            probe=self.probe,
            idempotent=self.idempotent,
            experiments=self.experiments,
        )
        self.journal = SlowJournal(self.clock)
        self.sink = RecordingSink()
        self.jobs: dict[str, Job] = {}

    def _answer(self, request: Request, number: int) -> Answer:
        if request.operation is Operation.CREATE_RUN:
            return self.script(self.job_of(request.token), number)
        return self.steps(request, number)

    def _look_up(self, token: str, number: int) -> Reply | None:
        return self.search(token, number)

    def job_of(self, token: str | None) -> Job:
        """Return the job of a token, which may be a new one that a reconciliation gave it."""
        by_token = {job.token: job for job in self.jobs.values()}
        if token not in by_token:
            [key] = [key for key, row in self.journal.rows.items() if row.token == token]
            return self.jobs[key]
        return by_token[token]

    def job_of_run(self, step: Request) -> Job:
        """Return the job of the run that a step belongs to."""
        run_id = json.loads(step.body)["run_id"]
        return self.job_of(next(run.token for run in self.service.runs if run.run_id == run_id))

    def next_process(self) -> None:
        """Let the next batch be another process, which finds the journal of the last one."""
        self.journal = SlowJournal(self.clock, self.journal.memory)

    def options(self, drain_timeout: float = 25.0, crash_quiescence: float = 5.0) -> PipelineOptions:
        return PipelineOptions(
            concurrency=self.concurrency,
            most_outside=self.most_outside,
            most_jobs=4096,
            timeout=self.timeout,
            stamped=self.stamped,
            drain_timeout=drain_timeout,
            give_up_after=self.give_up_after,
            wait_for_service=self.wait_for_service,
            budget=self.budget,
            idempotent=self.idempotent,
            crash_quiescence=crash_quiescence,
            uniform=self.random.uniform,
        )

    async def ingest(
        self,
        records: Sequence[Job | Reject],
        *,
        open_end: bool = False,
        drain_timeout: float = 25.0,
        meanwhile: Callable[[Pipeline], Coroutine[None, None, None]] | None = None,
    ) -> PipelineResult:
        """Work on a batch in the process of the last one."""
        self.jobs |= {record.key: record for record in records if isinstance(record, Job)}
        return await self.take(MemoryInput(records, open_end=open_end), drain_timeout, meanwhile)

    async def take(
        self,
        source: Input,
        drain_timeout: float = 25.0,
        meanwhile: Callable[[Pipeline], Coroutine[None, None, None]] | None = None,
        *,
        starts: Sequence[Checkpoint] = (),
    ) -> PipelineResult:
        """Work on the records of an input, whose jobs must be known."""
        self.sink.events.clear()
        options = self.options(drain_timeout)
        pacer = Pacer(self.rate, self.sink, max_pause=self.budget.longest_wait)
        known = Known(
            has_runs=self.target_is_proven,
            recent_runs=[(row.run_id, row.token) for row in self.journal.rows.values() if row.run_id],
            forgotten_rejects=self.forgotten_rejects,
            repaired_rejects=self.repaired_rejects,
            reported_rejects=self.reported_rejects,
        )
        ports = (self.journal, self.service, pacer, self.sink, self.clock)
        pipeline = Pipeline(options, source, *ports, starts=starts, known=known)
        helper = asyncio.ensure_future(meanwhile(pipeline)) if meanwhile is not None else None
        try:
            return await pipeline.run()
        finally:
            if helper is not None:
                helper.cancel()

    @property
    def results(self) -> list[Result]:
        return [result for event in self.sink.of(RunsEnded) for result in event.results]

    @property
    def outcomes(self) -> Counter[str]:
        counts = Counter[str](result.outcome for result in self.results)
        counts["duplicate"] += sum(len(event.duplicates) for event in self.sink.of(RecordsDuplicate))
        counts["already_done"] += sum(event.count for event in self.sink.of(RecordsAlreadyDone))
        counts["forgotten"] += sum(event.count for event in self.sink.of(RecordsForgotten))
        counts["rejected"] += len(self.sink.of(RecordRejected))
        return +counts

    @property
    def attempts(self) -> list[tuple[float, Job]]:
        """All attempts of create: when each came, and its job."""
        creates = [it for it in self.service.attempts if it[1].operation is Operation.CREATE_RUN]
        by_token = {job.token: job for job in self.jobs.values()}
        return [(at, by_token.get(request.token or "") or self.job_of(request.token)) for at, request in creates]

    @property
    def created(self) -> list[str]:
        """The key of each run's job."""
        return [self.job_of(run.token).key for run in self.service.runs]
