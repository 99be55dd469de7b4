"""Reconcile in virtual time: every unsettled job is looked up, and nothing is created."""

import asyncio
from dataclasses import replace

import pytest

from ingestor.model.record import State
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.options import PipelineResult
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.policy.retry import RetryBudget
from ingestor.simulator.memory_service import Late, Lost
from tests.pipeline.world import World, always_create
from tests.support.records import STEPS, jobs
from tests.support.virtual import run_virtual

HOUR = 3600.0
GONE = Reply(status=500, message="boom")
INVALIDATED = Reply(status=409, code="InvalidatedRetryToken")


async def reconcile(world: World, *, stop_after: float | None = None) -> PipelineResult:
    """Look up what is unsettled, in the process after the last one."""
    world.sink.events.clear()
    world.journal = type(world.journal)(world.clock, world.journal.memory)
    options, pacer = world.options(drain_timeout=1.0, crash_quiescence=60.0), Pacer(world.rate, world.sink)
    work = Reconciliation(options, world.journal, world.service, pacer, world.sink, world.clock)
    if stop_after is not None:
        asyncio.get_running_loop().call_later(stop_after, work.stop)
    return await work.run()


async def left_behind(world: World, count: int, hours: float) -> None:
    """Try `count` records, and let time pass."""
    await world.ingest(jobs(count))
    await asyncio.sleep(hours * HOUR)


def odd_ones_lost(world: World) -> World:
    """Create the runs of odd records, and answer none of them."""
    world.script = lambda job, number: Lost(GONE) if int(job.key[4:]) % 2 else GONE
    return world


@pytest.mark.parametrize("idempotent", [True, False])
def test_after_a_day_what_was_created_is_found_and_the_rest_is_created_by_the_next_run(idempotent: bool) -> None:
    world = odd_ones_lost(World(idempotent=idempotent, rate=500.0, search=lambda token, number: refuse.get(token)))
    refuse: dict[str, Reply] = {}

    async def story() -> None:
        if not idempotent:
            refuse.update({job.token: Reply(status=403, code="NotAuthorized") for job in jobs(6)})
        await left_behind(world, 6, 25.0)
        assert {row.state for row in world.journal.rows.values()} == {State.UNRESOLVED}
        refuse.clear()
        sent = len(world.attempts)
        result = await reconcile(world)
        assert (result.halt, result.stopped, result.left) == (None, False, 0)
        assert world.outcomes == {"created": 3, "failed": 3}
        assert len(world.attempts) == sent
        world.script = always_create
        world.next_process()
        await world.ingest(jobs(6))

    run_virtual(story())
    assert world.outcomes == {"already_done": 3, "created": 3}
    assert sorted(world.created) == [job.key for job in jobs(6)]
    assert {row.run_id for row in world.journal.rows.values()} == {run.run_id for run in world.service.runs}


def test_while_a_token_protects_an_absent_run_stays_unresolved_and_the_next_run_sends_it_under_that_token() -> None:
    world = odd_ones_lost(World(rate=500.0))

    async def story() -> None:
        await left_behind(world, 2, 1.0)
        await reconcile(world)
        assert world.outcomes == {"created": 1, "unresolved": 1}
        assert world.results[-1].error_message is not None
        world.script = always_create
        await world.ingest(jobs(2))

    run_virtual(story())
    assert world.service.run_ids.keys() == {job.token for job in jobs(2)}


def test_just_before_and_after_its_end_a_token_is_left_alone() -> None:
    world = World(lambda job, number: GONE, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 23.8)
        await reconcile(world)
        assert world.outcomes == {"unresolved": 1}
        assert "reconcile again" in (world.results[-1].error_message or "")
        await asyncio.sleep(HOUR)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 1}


def test_a_clock_that_was_set_back_gives_no_new_token() -> None:
    world = World(lambda job, number: GONE, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 1.0)
        world.clock.start -= 48 * HOUR
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"unresolved": 1}


def test_a_token_that_the_service_has_withdrawn_is_replaced_at_once_where_there_is_no_run() -> None:
    world = World(lambda job, number: INVALIDATED, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 0.0)
        await reconcile(world)
        assert world.outcomes == {"failed": 1}
        world.script = always_create
        await world.ingest(jobs(1))

    run_virtual(story())
    assert world.outcomes == {"created": 1}
    assert world.service.run_ids.keys() != {jobs(1)[0].token}


def test_a_token_that_the_service_has_withdrawn_is_known_as_such_until_its_job_is_settled() -> None:
    busy = [Reply(status=403, code="NotAuthorized")]
    world = World(lambda job, number: INVALIDATED, rate=500.0, search=lambda *_: busy[0] if busy else None)

    async def story() -> None:
        await left_behind(world, 1, 0.0)
        await reconcile(world)
        assert world.outcomes == {"unresolved": 1}
        busy.clear()
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 1}


def test_without_tokens_an_absence_counts_only_after_the_requests_of_a_killed_execution_have_ended() -> None:
    world = World(idempotent=False, rate=500.0, latency=100.0)

    async def story() -> float:
        killed = asyncio.ensure_future(world.ingest(jobs(2)))
        await asyncio.sleep(1.0)
        killed.cancel()
        await asyncio.wait({killed})
        world.service.runs.pop()
        world.service._latency = 0.01
        begun = asyncio.get_running_loop().time()
        await reconcile(world)
        return asyncio.get_running_loop().time() - begun

    seconds = run_virtual(story())
    assert world.outcomes == {"created": 1, "failed": 1}
    assert 60.0 <= seconds < 62.0


def test_no_token_is_replaced_before_the_requests_of_a_killed_execution_have_ended_at_any_age() -> None:
    """A clock that is set far ahead makes a token look old whose request is still under way."""
    sent = Reply(fault=Fault.RESET, message="connection reset")
    world = World(lambda job, number: Late(sent, 50.0), rate=500.0, budget=RetryBudget(max_attempts=1))

    async def story() -> None:
        await world.ingest(jobs(1))
        world.clock.start += 30 * 24 * HOUR
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"created": 1}


def test_a_job_is_looked_up_once_where_nothing_is_under_way_any_more() -> None:
    world = World(rate=20.0, concurrency=2)

    async def story() -> None:
        await world.journal.admit(jobs(400), stamped=True)
        await asyncio.sleep(25 * HOUR)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 400}
    assert len(world.service.lookups) <= 400 + 16 * world.concurrency


def test_a_run_without_a_stamp_stays_unresolved_and_is_not_looked_up() -> None:
    world = World(lambda job, number: GONE, rate=500.0, stamped=False)

    async def story() -> None:
        await left_behind(world, 2, 25.0)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"unresolved": 2}
    assert world.service.lookups == []


def test_two_runs_of_one_token_are_reported() -> None:
    world = World(lambda job, number: Lost(GONE), rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 1.0)
        world.service.runs.append(replace(world.service.runs[0], run_id="another"))
        await reconcile(world)

    run_virtual(story())
    (result,) = world.results
    assert (result.outcome, result.run_id) == ("created", "run-1")
    assert "another" in (result.error_message or "")


def test_a_run_whose_plan_is_not_finished_is_found_and_completed_by_the_next_run() -> None:
    world = World(lambda job, number: Lost(GONE), rate=500.0)

    async def story() -> None:
        await world.ingest(jobs(3, steps=STEPS))
        await asyncio.sleep(25 * HOUR)
        await reconcile(world)
        assert world.outcomes == {"unresolved": 3}
        world.next_process()
        await world.ingest(jobs(3, steps=STEPS))

    run_virtual(story())
    assert world.outcomes == {"created": 3}
    assert [len(run.steps) for run in world.service.runs] == [len(STEPS)] * 3


def test_wrong_credentials_halt_with_nothing_changed() -> None:
    world = odd_ones_lost(World(rate=500.0, search=lambda *_: Reply(status=401, code="NotAuthenticated")))

    async def story() -> PipelineResult:
        await left_behind(world, 40, 1.0)
        before = {key: replace(row) for key, row in world.journal.rows.items()}
        result = await reconcile(world)
        assert world.journal.rows == before
        return result

    result = run_virtual(story())
    assert result.halt is not None
    assert result.left > 0
    assert len(world.service.lookups) < 10


def test_a_service_that_is_down_is_waited_for() -> None:
    world = odd_ones_lost(World(rate=50.0))

    async def story() -> PipelineResult:
        await left_behind(world, 60, 1.0)
        back_at = asyncio.get_running_loop().time() + 600.0
        down = Reply(fault=Fault.REFUSED)
        world.search = lambda *_: down if 1.0 < back_at - asyncio.get_running_loop().time() < 580.0 else None
        world.service._probe = down
        asyncio.get_running_loop().call_at(back_at, lambda: setattr(world.service, "_probe", Reply(status=200)))
        world.service._latency = 10.0
        result = await reconcile(world)
        assert asyncio.get_running_loop().time() - back_at < 200.0
        return result

    result = run_virtual(story())
    assert (result.halt, result.stopped) == (None, False)
    assert world.outcomes.keys() == {"created", "unresolved"}
    assert sum(world.outcomes.values()) == len(world.journal.rows)


def test_it_stops_on_request_and_has_few_jobs_in_flight() -> None:
    world = odd_ones_lost(World(rate=10.0, concurrency=2))

    async def story() -> PipelineResult:
        world.rate = 500.0
        await left_behind(world, 200, 1.0)
        world.rate = 10.0
        return await reconcile(world, stop_after=5.0)

    result = run_virtual(story())
    assert result.stopped
    assert 0 < result.left <= 32
    assert 20 < sum(world.outcomes.values()) < 80
