"""Hung answers where no token protects, in virtual time: their attempts wait outside the slots."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.model.events import BatchPaused
from ingestor.model.ports import Pace
from ingestor.model.reply import Finding, Presence
from ingestor.model.request import Operation, Request
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.attempt_timeout import LEAST
from tests.pipeline.slow import (
    HANGS,
    NOT_ANSWERED,
    QUICK,
    TIMEOUT,
    SlowService,
    each_is_created_once,
    given_up,
    is_of,
    some_hang,
    takes,
    timed,
    world_of,
)
from tests.support.records import STEPS, job, jobs
from tests.support.virtual import loop_time, run_virtual


def test_hung_requests_wait_outside_the_slots_where_no_token_protects() -> None:
    world = world_of(some_hang(0.02), rate=100.0, idempotent=False, most_outside=1024)
    result, _ = run_virtual(timed(world, 3000))
    assert not result.stopped
    assert world.attempts[-1][0] <= 3000 / 100.0 / 0.9
    assert each_is_created_once(world, 3000)
    assert len(world.attempts) == 3000
    assert len(world.service.lookups) >= 40
    assert given_up(world) == []


@pytest.mark.parametrize("most", [0, 10])
def test_requests_outside_the_slots_are_bounded_in_number(most: int) -> None:
    world = world_of(some_hang(0.05), rate=200.0, idempotent=False, most_outside=most)
    run_virtual(timed(world, 1500))
    assert world.service.most_in_flight == 32 + most
    assert each_is_created_once(world, 1500)


def test_requests_outside_the_slots_do_not_use_up_what_is_read_ahead() -> None:
    """Two slots have 32 jobs read ahead, and more requests hang."""

    def latency(request: Request, attempt: int) -> float:
        return HANGS if any(is_of(request, number) for number in range(101, 500, 10)) else QUICK

    world = world_of(latency, rate=20.0, idempotent=False, most_outside=1024, concurrency=2)
    run_virtual(timed(world, 500))
    assert each_is_created_once(world, 500)
    assert world.attempts[-1][0] < TIMEOUT


def test_an_answer_that_comes_while_its_request_waits_outside_the_slots_counts() -> None:
    world = world_of(takes(20.0, 200), rate=100.0, idempotent=False, most_outside=8, concurrency=1)
    _, seconds = run_virtual(timed(world, 400))
    assert each_is_created_once(world, 400)
    assert world.service.lookups == []
    sent_at = {it.key: at for at, it in world.attempts}
    assert sent_at["job-201"] - sent_at["job-200"] == pytest.approx(LEAST, abs=0.2)
    assert seconds == pytest.approx(sent_at["job-200"] + 20.0, abs=0.1)


def test_a_step_is_given_up_and_repeated_also_where_no_token_protects() -> None:
    records = [job(number, steps=STEPS[:1]) for number in range(1, 301)]
    hung = iter([False] * 200 + [True])
    world = world_of(
        lambda request, number: HANGS if request.operation is Operation.LOG_BATCH and next(hung, False) else QUICK,
        rate=100.0,
        idempotent=False,
        most_outside=8,
    )
    run_virtual(world.ingest(records))
    assert world.outcomes == {"created": 300}
    assert len(given_up(world)) == 1
    assert len(world.attempts) == 300


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_stop_gives_hung_requests_the_time_to_drain_and_gives_none_up(idempotent: bool) -> None:
    """They are in their slots, or outside. Some are answered in time."""

    def latency(request: Request, attempt: int) -> float:
        return 4.0 if loop_time() > 2.9 else HANGS if 2.0 < loop_time() < 2.05 else QUICK

    world = world_of(latency, rate=100.0, idempotent=idempotent, most_outside=8)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(3.0 if idempotent else 5.0)
        pipeline.stop()

    result, seconds = run_virtual(timed(world, 2000, meanwhile=stop, drain_timeout=15.0))
    assert seconds == pytest.approx((3.0 if idempotent else 5.0) + 15.0, abs=0.1)
    assert given_up(world) == []
    assert result.left > 0
    hung = sum(2.0 < at < 2.05 for at, _ in world.attempts)
    assert 4 <= hung <= 6
    assert world.outcomes == {"created": len(world.attempts) - hung}


latencies = st.lists(st.sampled_from([QUICK, 1.5, 3.0, 20.0, 50.0, HANGS]), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    slow=st.dictionaries(st.integers(61, 120), latencies, max_size=12),
    stop_at=st.floats(0.5, 8.0),
    idempotent=st.booleans(),
    works_late=st.booleans(),
)
def test_however_slow_answers_are_no_record_gets_two_runs_and_every_outcome_is_true(
    slow: dict[int, list[float]], stop_at: float, idempotent: bool, works_late: bool
) -> None:
    """A first process is stopped, a second one does the rest, and at last the service carries out everything."""

    run_ids: list[tuple[str, str | None]] = []

    def latency(request: Request, attempt: int) -> float:
        number = next((it for it in slow if is_of(request, it)), 0)
        return (slow.get(number, [])[attempt - 1 : attempt] or [QUICK])[0]

    world = world_of(latency, rate=20.0, idempotent=idempotent, works_late=works_late, most_outside=8)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(stop_at)
        pipeline.stop()

    async def two_processes() -> None:
        await world.ingest(jobs(120), meanwhile=stop, drain_timeout=2.0)
        run_ids.extend((it.job.token, it.run_id) for it in world.results)
        world.next_process()
        await asyncio.sleep(TIMEOUT)
        await world.ingest(jobs(120))
        run_ids.extend((it.job.token, it.run_id) for it in world.results)
        await asyncio.sleep(TIMEOUT)

    run_virtual(two_processes())
    made = Counter(world.created)
    assert max(made.values()) == 1
    assert set(made) == {it.key for it in jobs(120)}
    assert len(run_ids) == 120
    assert dict(run_ids) == world.service.run_ids


class HungLookUps(SlowService):
    """It answers no attempt from second 3 to 20, and never every tenth look-up."""

    def __init__(self) -> None:
        super().__init__(lambda request, number: HANGS if 3.0 <= loop_time() < 20.0 else QUICK, idempotent=False)

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        hangs = len(self.lookups) % 10 == 0
        finding = await super().find(token, experiment_id, pace)
        if not hangs:
            return finding
        await asyncio.sleep(TIMEOUT)
        return Finding(Presence.UNDECIDED, NOT_ANSWERED)


def test_hung_look_ups_are_no_outage_while_others_are_answered() -> None:
    world = world_of(some_hang(0.0), rate=100.0, idempotent=False, concurrency=200)
    world.service = HungLookUps()

    async def killed_and_started_again() -> None:
        killed = asyncio.ensure_future(world.ingest(jobs(450)))
        await asyncio.sleep(20.0)
        killed.cancel()
        await asyncio.wait({killed})
        world.next_process()
        await world.ingest(jobs(450))

    run_virtual(killed_and_started_again())
    assert Counter(world.created) == Counter(it.key for it in jobs(450))
    assert world.sink.of(BatchPaused) == []
