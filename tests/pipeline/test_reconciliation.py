"""Reconcile in virtual time: every unsettled job is looked for, and nothing is ever sent."""

import asyncio
from dataclasses import replace

import pytest

from ingestor.model.outcome import Outcome
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import PipelineOptions, PipelineResult
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.pipeline.service import Service
from ingestor.policy.retry import RetryBudget
from tests.pipeline.world import World
from tests.support.memory import Late, Lost, MemoryJournal
from tests.support.records import jobs
from tests.support.virtual import run_virtual

HOUR = 3600.0
GONE = Reply(status=500, message="boom")
INVALIDATED = Reply(status=409, code="InvalidatedRetryToken")


async def reconcile(world: World, *, stop_after: float | None = None) -> PipelineResult:
    """Look for what is unsettled, as the process after the last one does."""
    world.sink.events.clear()
    world.journal = MemoryJournal(world.clock, world.journal.rows)
    options = PipelineOptions(
        concurrency=world.concurrency, stamped=True, drain_timeout=1.0, give_up_after=world.give_up_after
    )
    service = Service(
        target=world.target,
        pacer=Pacer(world.rate, world.sink),
        budget=world.budget,
        idempotent=world.idempotent,
        settling=60.0,
    )
    work = Reconciliation(options, world.journal, service, world.sink, world.clock)
    if stop_after is not None:
        asyncio.get_running_loop().call_later(stop_after, work.stop)
    return await work.run()


async def left_behind(world: World, count: int, hours: float) -> None:
    """Try `count` records, and let time pass."""
    await world.ingest(jobs(count))
    await asyncio.sleep(hours * HOUR)


def odd_ones_lost(world: World) -> World:
    """Create the runs of odd records, and answer none of them."""
    world.target._script = lambda job, number: Lost(GONE) if int(job.key[4:]) % 2 else GONE
    return world


@pytest.mark.parametrize("idempotent", [True, False])
def test_after_a_day_what_was_created_is_found_and_the_rest_is_created_by_the_next_run(idempotent: bool) -> None:
    world = odd_ones_lost(World(idempotent=idempotent, rate=500.0, lookup=lambda token, number: refuse.get(token)))
    refuse: dict[str, Reply] = {}

    async def story() -> None:
        if not idempotent:
            refuse.update({job.token: Reply(status=403, code="NotAuthorized") for job in jobs(6)})
        await left_behind(world, 6, 25.0)
        assert {row.outcome for row in world.journal.rows.values()} == {Outcome.UNRESOLVED}
        refuse.clear()
        sent = len(world.target.attempts)
        ending = await reconcile(world)
        assert (ending.halt, ending.stopped, ending.left) == (None, False, 0)
        assert world.outcomes == {"created": 3, "failed": 3}
        assert len(world.target.attempts) == sent
        world.target._script = lambda job, number: None
        await world.ingest(jobs(6))

    run_virtual(story())
    assert world.outcomes == {"duplicate": 3, "created": 3}
    assert sorted(world.target.created) == [job.key for job in jobs(6)]
    assert {row.run_id for row in world.journal.rows.values()} == {run.run_id for run in world.target.made}


def test_while_a_token_lives_an_absent_run_stays_unresolved_and_the_next_run_sends_it_under_that_token() -> None:
    world = odd_ones_lost(World(rate=500.0))

    async def story() -> None:
        await left_behind(world, 2, 1.0)
        await reconcile(world)
        assert world.outcomes == {"created": 1, "unresolved": 1}
        assert world.journal.settled[-1].error_message is not None
        world.target._script = lambda job, number: None
        await world.ingest(jobs(2))

    run_virtual(story())
    assert world.target.runs.keys() == {job.token for job in jobs(2)}


def test_just_before_and_after_its_end_a_token_is_left_alone() -> None:
    world = World(lambda job, number: GONE, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 23.8)
        await reconcile(world)
        assert world.outcomes == {"unresolved": 1}
        assert "reconcile again" in (world.journal.settled[-1].error_message or "")
        await asyncio.sleep(HOUR)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 1}


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    world = World(lambda job, number: GONE, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 1.0)
        world.clock.start -= 48 * HOUR
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"unresolved": 1}


def test_a_token_that_the_service_let_go_of_is_replaced_at_once_where_there_is_no_run() -> None:
    world = World(lambda job, number: INVALIDATED, rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 0.0)
        await reconcile(world)
        assert world.outcomes == {"failed": 1}
        world.target._script = lambda job, number: None
        await world.ingest(jobs(1))

    run_virtual(story())
    assert world.outcomes == {"created": 1}
    assert world.target.runs.keys() != {jobs(1)[0].token}


def test_a_token_that_the_service_let_go_of_is_known_as_such_until_that_is_settled() -> None:
    busy = [Reply(status=403, code="NotAuthorized")]
    world = World(lambda job, number: INVALIDATED, rate=500.0, lookup=lambda *_: busy[0] if busy else None)

    async def story() -> None:
        await left_behind(world, 1, 0.0)
        await reconcile(world)
        assert world.outcomes == {"unresolved": 1}
        busy.clear()
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 1}


def test_without_tokens_an_absence_counts_only_when_what_a_dead_process_sent_has_settled() -> None:
    world = World(idempotent=False, rate=500.0, latency=100.0)

    async def story() -> float:
        killed = asyncio.ensure_future(world.ingest(jobs(2)))
        await asyncio.sleep(1.0)
        killed.cancel()
        await asyncio.wait({killed})
        world.target.made.pop()
        world.target._latency = 0.01
        begun = asyncio.get_running_loop().time()
        await reconcile(world)
        return asyncio.get_running_loop().time() - begun

    seconds = run_virtual(story())
    assert world.outcomes == {"created": 1, "failed": 1}
    assert 60.0 <= seconds < 62.0


def test_no_token_is_replaced_before_what_a_dead_process_sent_has_settled_however_old_it_looks() -> None:
    """A clock that is set far ahead makes a token look old whose request is still under way."""
    sent = Reply(fault=Fault.RESET, message="connection reset")
    world = World(lambda job, number: Late(sent, 50.0), rate=500.0, budget=RetryBudget(max_attempts=1))

    async def story() -> None:
        await world.ingest(jobs(1))
        world.clock.start += 30 * 24 * HOUR
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"created": 1}


def test_what_is_looked_for_once_all_has_settled_is_looked_for_once() -> None:
    world = World(rate=20.0, concurrency=2)

    async def story() -> None:
        await world.journal.admit(jobs(400), stamped=True)
        await asyncio.sleep(25 * HOUR)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"failed": 400}
    assert len(world.target.lookups) <= 400 + 16 * world.concurrency


def test_a_run_without_a_stamp_stays_unresolved_and_is_not_looked_for() -> None:
    world = World(lambda job, number: GONE, rate=500.0, stamped=False)

    async def story() -> None:
        await left_behind(world, 2, 25.0)
        await reconcile(world)

    run_virtual(story())
    assert world.outcomes == {"unresolved": 2}
    assert world.target.lookups == []


def test_two_runs_of_one_token_are_told_of() -> None:
    world = World(lambda job, number: Lost(GONE), rate=500.0)

    async def story() -> None:
        await left_behind(world, 1, 1.0)
        world.target.made.append(replace(world.target.made[0], run_id="another"))
        await reconcile(world)

    run_virtual(story())
    (result,) = world.journal.settled
    assert (result.outcome, result.run_id) == ("created", "run-1")
    assert "another" in (result.error_message or "")


def test_wrong_credentials_halt_with_nothing_changed() -> None:
    world = odd_ones_lost(World(rate=500.0, lookup=lambda *_: Reply(status=401, code="NotAuthenticated")))

    async def story() -> PipelineResult:
        await left_behind(world, 40, 1.0)
        before = {key: replace(row) for key, row in world.journal.rows.items()}
        ending = await reconcile(world)
        assert world.journal.rows == before
        return ending

    ending = run_virtual(story())
    assert ending.halt is not None
    assert ending.left > 0
    assert len(world.target.lookups) < 10


def test_a_service_that_is_down_is_waited_for() -> None:
    world = odd_ones_lost(World(rate=50.0))

    async def story() -> PipelineResult:
        await left_behind(world, 60, 1.0)
        back_at = asyncio.get_running_loop().time() + 600.0
        down = Reply(fault=Fault.REFUSED)
        world.target._lookup = lambda *_: down if 1.0 < back_at - asyncio.get_running_loop().time() < 580.0 else None
        world.target._probe = down
        asyncio.get_running_loop().call_at(back_at, lambda: setattr(world.target, "_probe", Reply(status=200)))
        world.target._latency = 10.0
        ending = await reconcile(world)
        assert asyncio.get_running_loop().time() - back_at < 200.0
        return ending

    ending = run_virtual(story())
    assert (ending.halt, ending.stopped) == (None, False)
    assert world.outcomes.keys() == {"created", "unresolved"}
    assert sum(world.outcomes.values()) == len(world.journal.rows)


def test_it_stops_when_it_is_told_to_and_holds_few_jobs_at_a_time() -> None:
    world = odd_ones_lost(World(rate=10.0, concurrency=2))

    async def story() -> PipelineResult:
        world.rate = 500.0
        await left_behind(world, 200, 1.0)
        world.rate = 10.0
        return await reconcile(world, stop_after=5.0)

    ending = run_virtual(story())
    assert ending.stopped
    assert 0 < ending.left <= 32
    assert 20 < sum(world.outcomes.values()) < 80
