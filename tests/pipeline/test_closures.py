"""A service that refuses everything for a while, and Retry-After: when the pacer sends; in virtual time."""

import asyncio
from itertools import count, pairwise

import pytest

from ingestor.model.events import BatchPaused, BatchResumed
from ingestor.simulator.limiters import FixedWindow, TokenBucket
from tests.pipeline.paced_client import LATENCY, Client, Refuses, refuses, virtual
from tests.support.virtual import loop_time


def every(number: int) -> Refuses:
    """Refuse one of so many requests."""
    requests = count(1)
    return lambda: next(requests) % number == 0


async def close(client: Client) -> None:
    """Let the service refuse everything, until only single requests are sent."""
    for _ in range(6):
        await client.pacer.acquire()
        client.pacer.observe(throttled=True, sent_at=loop_time(), retry_after=None)


@virtual
async def test_a_retry_after_delays_no_other_request_while_most_are_accepted() -> None:
    client = Client(200.0)
    client.retry_after = 60.0
    await client.send(30.0, every(50))
    assert len(client.refused) > 80
    assert max(later - sooner for sooner, later in pairwise(client.started)) < 0.1
    assert client.sink.of(BatchPaused) == []


@virtual
async def test_a_service_that_refuses_everything_gets_single_requests_further_and_further_apart() -> None:
    client = Client()
    await client.send(600.0, lambda: True)
    assert client.between(0.0, 10.0) <= 60
    assert client.between(10.0, 60.0) <= 50
    assert 5 <= client.between(300.0, 600.0) <= 61


@virtual
async def test_a_retry_after_delays_every_request_while_the_service_refuses_everything() -> None:
    client = Client()
    client.retry_after = 7.0
    await client.send(100.0, lambda: True)
    gaps = [later - sooner for sooner, later in pairwise(client.started) if later > 10.0]
    assert len(gaps) >= 10
    assert gaps == pytest.approx([7.0 + LATENCY] * len(gaps), abs=0.01)


@virtual
async def test_a_longer_retry_after_is_cut_to_the_longest_pause() -> None:
    client = Client(max_pause=20.0)
    client.retry_after = 86_400.0
    await client.send(200.0, lambda: True)
    gaps = [later - sooner for sooner, later in pairwise(client.started)]
    assert max(gaps) == pytest.approx(20.0 + LATENCY, abs=0.01)


@virtual
async def test_a_request_that_waits_is_sent_later_where_the_service_asks_for_more_time() -> None:
    client = Client()
    await close(client)
    waiting = asyncio.ensure_future(client.pacer.acquire())
    await asyncio.sleep(0.01)
    asked_at = loop_time()
    client.pacer.observe(throttled=True, sent_at=asked_at, retry_after=9.0)
    await waiting
    assert loop_time() == pytest.approx(asked_at + 9.0, abs=0.01)


@virtual
async def test_at_the_first_acceptance_a_request_that_waits_is_sent_at_once() -> None:
    client = Client()
    await close(client)
    client.pacer.observe(throttled=True, sent_at=loop_time(), retry_after=9.0)
    waiting = asyncio.ensure_future(client.pacer.acquire())
    await asyncio.sleep(1.0)
    accepted_at = loop_time()
    client.pacer.observe(throttled=False, sent_at=accepted_at - LATENCY, retry_after=None)
    await waiting
    assert loop_time() == pytest.approx(accepted_at, abs=0.001)


@virtual
async def test_a_closed_service_that_does_not_answer_gets_the_next_request_all_the_same() -> None:
    client = Client()
    await close(client)
    times = []
    for _ in range(5):
        await client.pacer.acquire()
        times.append(loop_time())
    assert max(later - sooner for sooner, later in pairwise(times)) < 1.0


@virtual
async def test_requests_that_wait_are_sent_one_by_one_in_their_order() -> None:
    client, started = Client(), list[int]()
    await close(client)
    client.pacer.observe(throttled=True, sent_at=loop_time(), retry_after=3.0)

    async def send(number: int) -> None:
        await client.pacer.acquire()
        started.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(send(number))
        await asyncio.sleep(3.001)
        assert started == [0]
    assert started == [0, 1, 2, 3, 4]


@virtual
async def test_the_first_requests_after_a_closure_are_no_closer_together_than_before_it() -> None:
    client, started = Client(), list[float]()
    await close(client)
    client.pacer.observe(throttled=True, sent_at=loop_time(), retry_after=3.0)
    for _ in range(4):
        await client.pacer.acquire()
        started.append(loop_time())
        client.pacer.observe(throttled=False, sent_at=started[-1], retry_after=None)
    first_rate = 30.0
    assert min(later - sooner for sooner, later in pairwise(started)) >= 0.9 / first_rate


@virtual
async def test_after_a_closure_most_of_the_limit_is_used_again_within_seconds() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    await client.send(20.0, refuses(bucket))
    before = client.between(15.0, 20.0) / 5
    closed_until = loop_time() + 7.0
    await client.send(20.0, lambda: loop_time() < closed_until or refuses(bucket)())
    reopened_at = next(at for at in client.started if at >= closed_until)
    assert reopened_at < closed_until + 1.2
    assert client.between(reopened_at + 3.0, reopened_at + 11.0) / 8 >= 0.65 * before


@virtual
async def test_a_closure_is_reported_once_with_its_end() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    await client.send(20.0, refuses(bucket))
    closed_until = loop_time() + 30.0
    await client.send(40.0, lambda: loop_time() < closed_until or refuses(bucket)())
    assert len(client.sink.of(BatchPaused)) == len(client.sink.of(BatchResumed)) == 1


@virtual
async def test_closures_shorter_than_a_second_are_not_reported() -> None:
    client = Client()
    await client.send(60.0, refuses(FixedWindow(200, 1.0)))
    assert len(client.refused) >= 10
    assert client.sink.of(BatchPaused) == []


@virtual
async def test_closures_of_a_long_window_are_reported_one_by_one() -> None:
    client = Client()
    await client.send(120.0, refuses(FixedWindow(2000, 10.0)))
    reports = [event for event in client.sink.events if isinstance(event, BatchPaused | BatchResumed)]
    assert 2 <= len(reports) <= 2 * 12
    assert [type(event) for event in reports] == ([BatchPaused, BatchResumed] * 12)[: len(reports)]


@virtual
async def test_a_long_wait_that_the_service_asks_for_is_reported_each_time_with_its_seconds() -> None:
    client = Client()
    client.retry_after = 60.0
    await client.send(200.0, lambda: True)
    assert [event.seconds for event in client.sink.of(BatchPaused)] == pytest.approx([60.0] * 4, abs=0.01)
    assert client.sink.of(BatchResumed) == []


@virtual
async def test_where_every_refusal_has_a_retry_after_a_limit_is_used_all_the_same() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    client.retry_after = 2.0
    await client.send(60.0, refuses(bucket))
    assert client.between(20.0, 60.0) >= 0.97 * 200 * 40
