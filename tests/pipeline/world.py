"""A service, a journal and a pipeline between them, all in memory and in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random

from ingestor.model.events import RecordRejected, RecordsDuplicate, RunsEnded
from ingestor.model.outcome import Result
from ingestor.model.record import Job, Reject
from ingestor.model.reply import Reply
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline, PipelineOptions, PipelineResult
from ingestor.pipeline.service import Service
from ingestor.policy.retry import RetryBudget
from tests.support.memory import (
    Lookup,
    MemoryInput,
    MemoryJournal,
    MemoryService,
    RecordingSink,
    Script,
    found_out,
    well_behaved,
)
from tests.support.virtual import VirtualClock


@dataclass
class World:
    """A service, a journal and a state that outlive a batch."""

    script: Script = well_behaved
    latency: float = 0.01
    concurrency: int = 8
    rate: float | None = None
    idempotent: bool = True
    stamped: bool = True
    lookup: Lookup = found_out
    budget: RetryBudget = field(default_factory=RetryBudget)
    probe: Reply | None = None
    give_up_after: float = 3600.0
    follow: bool = False
    random: Random = field(default_factory=lambda: Random(1))
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.target = MemoryService(
            self.script, latency=self.latency, probe=self.probe, lookup=self.lookup, idempotent=self.idempotent
        )
        self.journal = MemoryJournal(self.clock)
        self.sink = RecordingSink()

    async def ingest(
        self,
        records: Sequence[Job | Reject],
        *,
        open_end: bool = False,
        drain_timeout: float = 25.0,
        meanwhile: Callable[[Pipeline], Coroutine[None, None, None]] | None = None,
    ) -> PipelineResult:
        self.sink.events.clear()
        service = Service(
            target=self.target,
            pacer=Pacer(self.rate, self.sink),
            budget=self.budget,
            idempotent=self.idempotent,
            uniform=self.random.uniform,
        )
        options = PipelineOptions(
            concurrency=self.concurrency,
            stamped=self.stamped,
            drain_timeout=drain_timeout,
            give_up_after=self.give_up_after,
            follow=self.follow,
        )
        source = MemoryInput(records, open_end=open_end)
        pipeline = Pipeline(options, source, self.journal, service, self.sink, self.clock)
        helper = asyncio.ensure_future(meanwhile(pipeline)) if meanwhile is not None else None
        try:
            return await pipeline.run()
        finally:
            if helper is not None:
                helper.cancel()

    @property
    def settled(self) -> list[Result]:
        return [result for event in self.sink.of(RunsEnded) for result in event.results]

    @property
    def outcomes(self) -> Counter[str]:
        told = Counter[str](result.outcome for result in self.settled)
        told["duplicate"] += sum(len(event.duplicates) for event in self.sink.of(RecordsDuplicate))
        told["rejected"] += len(self.sink.of(RecordRejected))
        return +told
