"""Slow and hung answers, in virtual time: attempts that take too long are given up, where tokens protect."""

import asyncio
from itertools import pairwise
from random import Random

import pytest

from ingestor.model.events import AttemptEnded, BatchPaused
from ingestor.model.reply import Fault
from ingestor.model.request import Request
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.attempt_timeout import LEAST
from ingestor.policy.expiry import MARGIN
from ingestor.policy.identity import TOKEN_LIFE
from ingestor.policy.retry import RetryBudget
from tests.pipeline.slow import (
    HANGS,
    LAST,
    QUICK,
    TIMEOUT,
    UNCERTAIN_AT_ONCE,
    changes_at,
    each_is_created_once,
    first_hangs,
    given_up,
    is_of,
    sent_after,
    some_hang,
    takes,
    timed,
    world_of,
)
from tests.support.virtual import VirtualLoop, run_virtual


@pytest.mark.parametrize(("share", "at_least"), [(0.01, 0.9), (0.05, 0.7)])
def test_hung_requests_cost_next_to_nothing_where_tokens_protect(share: float, at_least: float) -> None:
    world = world_of(some_hang(share), rate=200.0)
    result, seconds = run_virtual(timed(world, 2000))
    assert (result.halt, result.stopped) == (None, False)
    assert each_is_created_once(world, 2000)
    assert seconds <= 2000 / 200.0 / at_least + LAST
    assert world.sink.of(BatchPaused) == []
    assert len(world.attempts) <= (1 + 2 * share) * 2000


def test_requests_that_take_up_to_three_seconds_cost_next_to_nothing() -> None:
    random = Random(1)
    world = world_of(lambda request, number: random.uniform(0.0, 3.0) if random.random() < 0.02 else QUICK, rate=200.0)
    _, seconds = run_virtual(timed(world, 2000))
    assert each_is_created_once(world, 2000)
    assert seconds <= 2000 / 200.0 / 0.9 + LAST


def test_all_requests_that_hang_at_the_end_of_a_batch_are_given_up() -> None:
    world = world_of(lambda request, number: HANGS if number == 1 and sent_after(world, 970) else QUICK, rate=500.0)
    _, seconds = run_virtual(timed(world, 1000))
    assert each_is_created_once(world, 1000)
    assert seconds < 30.0


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_service_that_becomes_slow_for_all_is_not_sent_more(idempotent: bool) -> None:
    world = world_of(changes_at(5.0, 3.0), rate=200.0, idempotent=idempotent, most_outside=1024, concurrency=64)
    run_virtual(timed(world, 2000))
    assert each_is_created_once(world, 2000)
    assert len(world.attempts) <= 2000 + UNCERTAIN_AT_ONCE
    assert world.service.most_in_flight <= 64 + UNCERTAIN_AT_ONCE


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_service_that_hangs_gets_few_attempts_and_its_health_is_judged_as_ever(idempotent: bool) -> None:
    def story(timeout: float) -> tuple[list[float], list[float], str | None]:
        """Return when attempts were sent since it hangs, when and for how long the batch paused, and why it ended."""
        options: dict[str, object] = {"idempotent": idempotent, "most_outside": 1024, "give_up_after": 200.0}
        world = world_of(changes_at(5.0, HANGS), rate=200.0, timeout=timeout, **options)  # type: ignore[arg-type]
        result, _ = run_virtual(timed(world, 3000))
        hung = [at for at, _ in world.attempts if at >= 5.0]
        return hung, [event.seconds for event in world.sink.of(BatchPaused)], result.reason

    usual, adaptive = story(timeout=LEAST), story(timeout=TIMEOUT)
    assert len(adaptive[0]) <= len(usual[0]) + UNCERTAIN_AT_ONCE
    assert adaptive[1] == pytest.approx(usual[1], abs=2.0)
    assert len(usual[1]) > 2
    assert adaptive[2] == usual[2]


def test_a_request_that_is_carried_out_after_it_was_given_up_creates_no_second_run() -> None:
    def latency(request: Request, attempt: int) -> float:
        return 5.0 if attempt == 1 and any(is_of(request, number) for number in range(60, 300, 50)) else QUICK

    world = world_of(latency, rate=100.0, works_late=True)
    run_virtual(timed(world, 800))
    assert len(given_up(world)) == 5
    assert each_is_created_once(world, 800)


def test_a_record_whose_create_always_takes_long_is_created_and_its_budget_is_not_used_up() -> None:
    world = world_of(takes(20.0, 100), rate=20.0, budget=RetryBudget(max_attempts=2), works_late=True)
    run_virtual(timed(world, 800))
    assert each_is_created_once(world, 800)
    starts = [at for at, it in world.attempts if it.key == "job-100"]
    waits = [later - earlier for earlier, later in pairwise(starts)]
    assert len(starts) == 6
    assert all(later > 1.9 * earlier for earlier, later in pairwise(waits)), "each attempt gets twice the time"


def test_a_record_that_is_never_answered_ends_within_its_budget() -> None:
    world = world_of(takes(HANGS, 100), rate=20.0, budget=RetryBudget(max_attempts=2))
    run_virtual(timed(world, 800))
    assert world.outcomes == {"created": 799, "unresolved": 1}
    assert [it.key for _, it in world.attempts].count("job-100") == 6 + 2


def test_what_is_given_up_is_logged_and_counted_as_an_attempt() -> None:
    world = world_of(first_hangs(200), rate=100.0)
    run_virtual(timed(world, 600))
    [event] = given_up(world)
    assert event.job.key == "job-200"
    assert (event.reply.fault, event.attempts, event.delay) == (Fault.TIMEOUT, 1, 0.0)
    assert event.reason == f"given up after {event.reply.latency_ms / 1000:.1f} s"
    assert LEAST <= event.reply.latency_ms / 1000 <= LEAST + 0.2
    attempts = world.sink.of(AttemptEnded)
    assert len(attempts) == len(world.attempts) == 601
    assert sum(it.repeated for it in attempts) == 1
    [result] = [it for it in world.results if it.job.key == "job-200"]
    assert result.attempts == 2


def test_the_first_requests_are_watched_too_once_the_latency_is_known() -> None:
    world = world_of(first_hangs(3), rate=100.0)
    _, seconds = run_virtual(timed(world, 300))
    assert each_is_created_once(world, 300)
    assert seconds < 10.0


def test_a_process_that_was_stopped_for_a_while_gives_nothing_up() -> None:
    """The answers came meanwhile: they have arrived, and are not read yet."""
    world = world_of(lambda request, number: QUICK, rate=100.0)

    async def stop_the_process(pipeline: Pipeline) -> None:
        await asyncio.sleep(2.5)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.jump(30.0)

    run_virtual(timed(world, 600, meanwhile=stop_the_process))
    assert given_up(world) == []
    assert each_is_created_once(world, 600)


def test_no_request_is_given_up_whose_token_may_expire() -> None:
    world = world_of(first_hangs(200), rate=100.0)

    async def let_a_day_pass(pipeline: Pipeline) -> None:
        await asyncio.sleep(2.5)
        world.clock.start += TOKEN_LIFE - MARGIN

    run_virtual(timed(world, 600, meanwhile=let_a_day_pass))
    assert "job-200" not in {event.job.key for event in given_up(world)}
    [result] = [it for it in world.results if it.job.key == "job-200"]
    assert (result.outcome, result.attempts) == ("unresolved", 1)
