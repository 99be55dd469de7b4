"""A service that goes down in the middle of a batch, in virtual time."""

import asyncio
from collections import Counter

import pytest

from ingestor.model.events import BatchPaused, BatchResumed
from ingestor.model.record import State
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Request
from ingestor.pipeline.options import PipelineResult
from ingestor.simulator.memory_service import MemoryService
from tests.pipeline.world import World
from tests.support.records import job, jobs
from tests.support.virtual import run_virtual

OUTAGES = [
    Reply(fault=Fault.REFUSED, message="connection refused"),
    Reply(fault=Fault.DNS, message="no such host"),
    Reply(fault=Fault.TIMEOUT, message="no answer"),
    Reply(status=503, message="unavailable"),
    Reply(status=502, message="<html>"),
]


class Downtime(MemoryService):
    """A service that is down from `start` to `end`, by the loop's clock."""

    def __init__(self, down: Reply, start: float, end: float, *, probe_too: bool = True) -> None:
        super().__init__(self._scripted, latency=0.01)
        self._down = down
        self._start = start
        self._end = end
        self._probe_too = probe_too

    def _is_down(self) -> bool:
        return self._start <= asyncio.get_running_loop().time() < self._end

    def _scripted(self, request: Request, number: int) -> Reply | None:
        return self._down if self._is_down() else None

    async def probe(self) -> Reply:
        answer = await super().probe()
        return self._down if self._probe_too and self._is_down() else answer


def world_of(service: MemoryService, **options: object) -> World:
    world = World(rate=20.0, **options)  # type: ignore[arg-type]
    world.service = service
    return world


@pytest.mark.parametrize("down", OUTAGES, ids=lambda reply: str(reply.status or reply.fault))
def test_a_batch_outlasts_an_outage_and_nothing_is_marked_failed(down: Reply) -> None:
    service = Downtime(down, 2.0, 1500.0)
    world = world_of(service)
    result = run_virtual(world.ingest(jobs(200)))
    assert (result.halt, result.stopped) == (None, False)
    assert world.outcomes == {"created": 200}
    assert Counter(world.created) == Counter(job.key for job in jobs(200))
    assert len(world.sink.of(BatchPaused)) > 10
    assert len(world.sink.of(BatchResumed)) == 1


def test_few_requests_are_sent_in_an_outage() -> None:
    service = Downtime(OUTAGES[0], 2.0, 3000.0)
    world = world_of(service)
    run_virtual(world.ingest(jobs(200)))
    during = [at for at, _ in service.attempts if 2.0 <= at < 3000.0]
    assert len(during) + service.probes < 100


def test_a_single_record_outlasts_an_outage_too() -> None:
    service = Downtime(OUTAGES[3], 2.0, 1500.0)
    world = world_of(service)

    async def both() -> None:
        await world.ingest(jobs(1))
        await asyncio.sleep(10.0)
        world.next_process()
        await world.ingest([job(1), job(2)])

    run_virtual(both())
    assert world.outcomes == {"created": 1, "already_done": 1}


def test_an_outage_of_creation_alone_is_seen_by_how_many_fail() -> None:
    service = Downtime(OUTAGES[3], 2.0, 100.0, probe_too=False)
    world = world_of(service)
    run_virtual(world.ingest(jobs(200)))
    assert world.outcomes == {"created": 200}
    assert world.sink.of(BatchPaused)


def test_a_batch_resumes_soon_after_the_service_does() -> None:
    service = Downtime(OUTAGES[0], 2.0, 300.0)
    run_virtual(world_of(service).ingest(jobs(200)))
    assert min(at for at, _ in service.attempts if at >= 300.0) < 365.0


def test_after_the_time_to_give_up_the_batch_ends_resumable_and_nothing_is_failed() -> None:
    service = Downtime(OUTAGES[0], 2.0, 10.0**6)
    world = world_of(service, give_up_after=120.0)

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(200)), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert (result.halt, result.stopped) == (None, True)
    assert result.left > 0
    assert 120.0 <= seconds < 130.0
    assert result.reason == "the service was down for longer than --give-up-after: connection refused"
    assert set(world.outcomes) == {"created"}


def test_a_record_that_always_fails_costs_only_itself_while_others_succeed() -> None:
    poison = Reply(status=500, message="boom")
    world = World(lambda job, number: poison if job.key.endswith("3") else None, rate=200.0)
    result = run_virtual(world.ingest(jobs(100)))
    assert not result.stopped
    assert world.outcomes == {"created": 90, "unresolved": 10}


def test_records_that_always_fail_end_at_the_end_of_a_batch() -> None:
    poison = Reply(status=500, message="boom")
    world = World(lambda job, number: poison if int(job.key[4:]) > 20 else None, rate=200.0)
    result = run_virtual(world.ingest(jobs(40)))
    assert not result.stopped
    assert world.outcomes == {"created": 20, "unresolved": 20}


class Silence(MemoryService):
    """A service that accepts requests and answers none of them, or only probes."""

    def __init__(self, *, answers_probes: bool = False) -> None:
        super().__init__(latency=10.0**6)
        self._answers_probes = answers_probes

    async def probe(self) -> Reply:
        self.probes += 1
        await asyncio.sleep(0.01 if self._answers_probes else self._latency)
        return Reply(status=200)


@pytest.mark.parametrize("count", [1, 200])
def test_a_host_that_accepts_requests_and_never_answers_halts_within_half_a_minute(count: int) -> None:
    world = world_of(Silence())

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(count)), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert result.halt is not None
    assert "never reached" in result.halt.reason
    assert "--endpoint" in result.halt.advice
    assert seconds < 30
    assert result.left >= min(32, count)
    assert world.outcomes == {}
    assert {row.state for row in world.journal.rows.values()} == {State.PENDING}, "what was sent is kept"


def test_a_service_whose_first_answer_takes_long_is_no_halt_if_it_answers_a_probe() -> None:
    service = Silence(answers_probes=True)
    service._latency = 50.0
    world = world_of(service)
    result = run_virtual(world.ingest(jobs(8)))
    assert result.halt is None
    assert world.outcomes == {"created": 8}
    assert service.probes == 1


@pytest.mark.parametrize("down", OUTAGES[:3], ids=lambda reply: str(reply.fault))
def test_a_service_that_was_never_reached_is_waited_for_with_wait_for_service(down: Reply) -> None:
    service = Downtime(down, 0.0, 1500.0)
    world = world_of(service, wait_for_service=True)
    result = run_virtual(world.ingest(jobs(200)))
    assert (result.halt, result.stopped) == (None, False)
    assert world.outcomes == {"created": 200}
    pauses = [event.seconds for event in world.sink.of(BatchPaused)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert len([at for at, _ in service.attempts if at < 1500.0]) + service.probes < 60


def test_a_service_that_is_waited_for_and_never_comes_ends_the_batch_resumable() -> None:
    world = world_of(Downtime(OUTAGES[0], 0.0, 10.0**6), wait_for_service=True, give_up_after=120.0)

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(200)), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert (result.halt, result.stopped) == (None, True)
    assert result.reason == "the service was down for longer than --give-up-after: connection refused"
    assert 120.0 <= seconds < 130.0
    assert world.outcomes == {}


@pytest.mark.parametrize(
    "wrong",
    [
        Reply(status=401, code="NotAuthenticated"),
        Reply(status=404, message="<html>"),
        Reply(fault=Fault.TLS, message="certificate verify failed"),
    ],
    ids=lambda reply: str(reply.status or reply.fault),
)
def test_a_setting_that_is_wrong_halts_a_batch_that_waits_for_the_service_too(wrong: Reply) -> None:
    world = world_of(Downtime(wrong, 0.0, 10.0**6), wait_for_service=True)
    result = run_virtual(world.ingest(jobs(200)))
    assert result.halt is not None
    assert world.outcomes == {}
