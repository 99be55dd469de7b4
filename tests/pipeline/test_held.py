"""Attempts that the ceiling holds back right before they leave: nothing was sent, and nothing is counted."""

import asyncio

from ingestor.model.events import AttemptEnded, BatchPaused, RunRetried
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.retry import RetryBudget
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import run_virtual

HELD = Reply(fault=Fault.HELD)


def held_often(job: Job, number: int) -> Reply | None:
    return HELD if number <= 20 else None


def test_an_attempt_that_is_held_is_made_again_and_costs_no_retry_budget() -> None:
    world = World(script=held_often, rate=100.0, budget=RetryBudget(max_attempts=1, max_seconds=0.001))
    result = run_virtual(world.ingest(jobs(20)))
    assert (result.halt, result.stopped) == (None, False)
    assert world.outcomes == {"created": 20}
    assert {it.attempts for it in world.results} == {1}
    assert world.sink.of(RunRetried) == []
    assert len(world.sink.of(AttemptEnded)) == 20


def test_every_attempt_that_is_held_is_paced_again() -> None:
    world = World(script=held_often, rate=100.0)
    run_virtual(world.ingest(jobs(20)))
    times = [at for at, _ in world.attempts]
    assert len(times) == 20 * 21
    assert (len(times) - 1) / (times[-1] - times[0]) <= 101.0


def test_attempts_that_are_held_say_nothing_about_the_service() -> None:
    world = World(script=lambda job, number: HELD if number <= 100 else None, rate=100.0)
    result = run_virtual(world.ingest(jobs(20)))
    assert result.halt is None
    assert world.outcomes == {"created": 20}
    assert world.sink.of(BatchPaused) == []


def test_a_job_that_was_only_held_is_taken_back_at_a_stop() -> None:
    world = World(script=lambda job, number: HELD, rate=10.0)

    async def stop(pipeline: object) -> None:
        await asyncio.sleep(5.0)
        pipeline.stop("enough")  # type: ignore[attr-defined]

    result = run_virtual(world.ingest(jobs(5), meanwhile=stop))
    assert result.stopped
    assert world.journal.rows == {}


def test_a_probe_that_is_held_is_paced_again() -> None:
    probes: list[Reply] = []
    down = Reply(fault=Fault.REFUSED)

    world = World(script=lambda job, number: down if number <= 3 else None, rate=50.0, wait_for_service=True)
    answered = world.service.probe

    async def probe() -> Reply:
        probes.append(HELD if len(probes) < 3 else await answered())
        return probes[-1]

    world.service.probe = probe  # type: ignore[method-assign]
    run_virtual(world.ingest(jobs(30)))
    assert world.outcomes == {"created": 30}
    assert [reply.fault for reply in probes[:3]] == [Fault.HELD] * 3
    assert len(probes) > 3
