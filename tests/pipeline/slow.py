"""A service with slow and hung answers, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from ingestor.model.events import RunRetried
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Finding, Reply
from ingestor.model.request import Operation, Request
from ingestor.pipeline.options import PipelineResult
from ingestor.simulator.memory_service import MemoryService
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import loop_time

TIMEOUT = 60.0
QUICK = 0.03
HANGS = 1e9
UNCERTAIN_AT_ONCE = 20  # attempts that are abandoned, at most, if the service hangs or becomes slow for all
LAST = 3.5  # seconds that the last hung attempts of a batch take, even if one of them hangs again
NOT_ANSWERED = Reply(fault=Fault.TIMEOUT, message="no answer", latency_ms=TIMEOUT * 1000)

Latency = Callable[[Request, int], float]
"""How long an attempt takes; the number counts the attempts of its operation and token, from 1."""


class SlowService(MemoryService):
    """A service whose answers take as long as `latency` says; none takes longer than TIMEOUT.

    It carries a request out when it arrives, or, if it `works_late`, at the end of its latency. Both happen even if
    the client is gone by then.
    """

    def __init__(self, latency: Latency, *, works_late: bool = False, idempotent: bool = True) -> None:
        super().__init__(idempotent=idempotent)
        self._latency_of = latency
        self._works_late = works_late

    async def send(self, request: Request) -> Reply:
        self.attempts.append((loop_time(), request))
        self._numbers[request.operation, request.token] += 1
        latency = self._latency_of(request, self._numbers[request.operation, request.token])
        carried_out: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._works_late and latency < HANGS:
            asyncio.get_running_loop().call_later(latency, lambda: carried_out.set_result(self._carry_out(request)))
        else:
            carried_out.set_result(self._carry_out(request))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(min(latency, TIMEOUT))
        finally:
            self.in_flight -= 1
        if latency > TIMEOUT:
            return NOT_ANSWERED
        return self._sent(await asyncio.shield(carried_out))

    async def probe(self) -> Reply:
        self.probes += 1
        latency = self._latency_of(Request(Operation.SEARCH_EXPERIMENTS, b""), self.probes)
        await asyncio.sleep(min(latency, TIMEOUT))
        return NOT_ANSWERED if latency > TIMEOUT else self._sent(Reply(status=200))

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        self._latency = QUICK
        return await super().find(token, experiment_id, pace)


def world_of(latency: Latency, *, works_late: bool = False, **options: object) -> World:
    world = World(**{"latency": QUICK, "concurrency": 32, "timeout": TIMEOUT, **options})  # type: ignore[arg-type]
    world.service = SlowService(latency, works_late=works_late, idempotent=world.idempotent)
    return world


def some_hang(share: float, seed: int = 1) -> Latency:
    """Let a share of the requests never be answered."""
    random = Random(seed)
    return lambda request, number: HANGS if random.random() < share else QUICK


def is_of(request: Request, number: int) -> bool:
    """Whether a request creates the run of a job."""
    return b'"run %d"' % number in request.body


def first_hangs(number: int) -> Latency:
    """Let the first attempt for a job never be answered."""
    return lambda request, attempt: HANGS if attempt == 1 and is_of(request, number) else QUICK


def takes(seconds: float, number: int) -> Latency:
    """Let every attempt for a job take so long."""
    return lambda request, attempt: seconds if is_of(request, number) else QUICK


def changes_at(time: float, later: float) -> Latency:
    """Let every answer take another time from then on."""
    return lambda request, number: QUICK if loop_time() < time else later


async def timed(world: World, count: int, **options: object) -> tuple[PipelineResult, float]:
    result = await world.ingest(jobs(count), **options)  # type: ignore[arg-type]
    return result, loop_time()


def sent_after(world: World, count: int) -> bool:
    """Whether more attempts than these were sent."""
    return len(world.service.attempts) > count


def given_up(world: World) -> list[RunRetried]:
    return [event for event in world.sink.of(RunRetried) if event.reason.startswith("given up")]


def each_is_created_once(world: World, count: int) -> bool:
    return world.outcomes == {"created": count} and Counter(world.created) == Counter(it.key for it in jobs(count))
