"""The pacer with its bucket, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise

import pytest

from ingestor.model.events import RateChanged
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.ceiling import paced
from ingestor.simulator.limiters import FixedWindow, TokenBucket
from tests.pipeline.paced_client import LATENCY, Client, refuses, virtual
from tests.support.memory import RecordingSink
from tests.support.virtual import loop_time, run_virtual


@pytest.mark.parametrize("rate", [0.7, 3.0, 45.0, 700.0])
def test_a_ceiling_is_kept_to_a_percent_and_never_passed_by_a_burst(rate: float) -> None:
    async def scenario() -> None:
        client = Client(rate)
        await client.send(max(12.0, 20 / rate))
        window = max(1.0, 5 / rate)
        steady = [at for at in client.started if at > 3.0]
        speed = (len(steady) - 1) / (steady[-1] - steady[0])
        assert speed == pytest.approx(paced(rate), rel=0.01)
        for start in steady[:: max(1, len(steady) // 50)]:
            assert client.between(start, start + window) <= rate * window * 1.01 + max(1, 0.05 * rate)
        assert client.between(0.0, 1.0) <= max(rate * 1.05, 1)

    run_virtual(scenario())


@virtual
async def test_a_hidden_limit_is_found() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    await client.send(40.0, refuses(bucket))
    assert client.between(10.0, 39.0) - sum(at >= 10.0 for at in client.refused) >= 0.97 * 200 * 29
    assert len(client.refused) <= 0.01 * len(client.started)


@virtual
async def test_a_change_of_rate_is_reported_and_small_steps_are_not() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    await client.send(40.0, refuses(bucket))
    logged = [event.rate for event in client.sink.of(RateChanged)]
    assert logged[-1] == pytest.approx(200.0, rel=0.15)
    assert all(abs(two - one) > 0.05 * one for one, two in pairwise(logged))


@virtual
async def test_a_large_change_of_rate_is_reported_within_seconds() -> None:
    client, bucket = Client(), TokenBucket(200.0, 0.1)
    await client.send(20.0, refuses(bucket))
    bucket.set_rate(20.0, loop_time())
    client.sink.events.clear()
    await client.send(4.0, refuses(bucket))
    assert client.sink.of(RateChanged)[-1].rate < 60.0


@virtual
async def test_a_limiter_with_windows_causes_few_reports_of_the_rate() -> None:
    client = Client()
    await client.send(60.0, refuses(FixedWindow(200, 1.0)))
    assert 1 <= len(client.sink.of(RateChanged)) <= 20


@virtual
async def test_a_slow_but_steady_service_gets_as_many_in_flight_as_its_throughput_needs() -> None:
    client = Client(100.0)
    await client.send(10.0)
    client.latency = lambda: 10 * LATENCY
    await client.send(20.0)
    assert client.between(22.0, 29.0) >= 0.95 * 100 * 7


@pytest.mark.parametrize(("seconds", "times"), [(2.0, 100.0), (5.0, 5.0), (10.0, 15.0), (30.0, 100.0)])
def test_a_service_that_becomes_slow_little_by_little_does_not_count_as_a_queue(seconds: float, times: float) -> None:
    async def scenario() -> None:
        client = Client(100.0, latency=0.02)
        await client.send(10.0)
        began = loop_time()

        def latency() -> float:
            return float(0.02 * times ** min(1.0, (loop_time() - began) / seconds))

        client.latency = latency
        await client.send(seconds + 180.0)
        end = began + seconds + 180.0
        assert client.between(end - 30.0, end) >= 0.8 * 100 * 30

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("rate", "latency", "bearable", "bearable_then"),
    [(20.0, 0.05, 12, 12), (50.0, 0.2, 28, 16), (100.0, 0.02, 15, 12), (100.0, 0.05, 20, 8), (200.0, 0.02, 25, 8)],
)
def test_a_service_that_gets_slow_gets_few_requests_at_once(
    rate: float, latency: float, bearable: int, bearable_then: int
) -> None:
    """It carries out so many requests a second, then a fifth of that, and the others wait."""

    async def scenario() -> None:
        client, served, pace = Client(), [0.0], [1 / rate]

        def queue() -> float:
            now = loop_time()
            served[0] = max(served[0], now) + pace[0]
            return latency + served[0] - now

        client.latency = queue
        sending = asyncio.ensure_future(client.send(60.0))
        await asyncio.sleep(20.0)
        assert client.in_flight <= bearable
        assert client.between(10.0, 20.0) >= 0.95 * rate * 10
        pace[0] *= 5
        await asyncio.sleep(5.0)
        client.most_in_flight = 0
        await sending
        assert client.most_in_flight <= bearable_then
        assert client.between(30.0, 60.0) >= 0.95 * rate / 5 * 30

    run_virtual(scenario())


@virtual
async def test_a_service_that_takes_everything_is_not_held_back() -> None:
    client = Client(latency=0.01, tasks=30)
    await client.send(5.0)
    assert client.between(3.0, 4.5) >= 0.97 * 30 / 0.011 * 1.5 * 0.9


async def idle(client: Client, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def probe_now_and_then(client: Client, seconds: float) -> None:
    """As the health monitor does while the service is down."""
    for _ in range(int(seconds / 15.0)):
        await client.pacer.acquire()
        await asyncio.sleep(15.0)


async def send_little(client: Client, seconds: float) -> None:
    client.tasks, many = 2, client.tasks  # two by twenty a second
    await client.send(seconds)
    client.tasks = many


async def send_nearly_enough(client: Client, seconds: float) -> None:
    client.tasks, many = 4, client.tasks
    await client.send(seconds)
    client.tasks = many


Slack = Callable[[Client, float], Coroutine[None, None, None]]


@pytest.mark.parametrize(
    ("spend", "seconds", "burst"),
    [
        (idle, 5.0, 0.1),
        (idle, 60.0, 1.0),
        (idle, 3600.0, 0.1),
        (probe_now_and_then, 600.0, 1.0),
        (send_little, 60.0, 0.1),
        (send_nearly_enough, 60.0, 0.1),
    ],
)
def test_a_limit_that_rises_is_found_as_fast_after_a_time_of_little_or_nothing_to_send(
    spend: Slack, seconds: float, burst: float
) -> None:
    async def scenario() -> None:
        client, bucket = Client(), TokenBucket(100.0, burst)
        await client.send(30.0, refuses(bucket))
        await spend(client, seconds)
        bucket.set_rate(1000.0, loop_time())
        begun = loop_time()
        await client.send(13.0, refuses(bucket))
        assert client.between(begun + 11.0, begun + 13.0) >= 500 * 2

    run_virtual(scenario())


@pytest.mark.parametrize(("limit", "burst"), [(100.0, 1.0), (300.0, 0.1)])
def test_a_limit_that_stays_is_kept_to_after_a_time_of_nothing_to_send(limit: float, burst: float) -> None:
    """The burst that the service saved up meanwhile may look like a limit that rose, once."""

    async def scenario() -> None:
        client, bucket = Client(), TokenBucket(limit, burst)
        await client.send(30.0, refuses(bucket))
        await idle(client, 60.0)
        begun = loop_time()
        await client.send(60.0, refuses(bucket))
        sent, refused = client.between(begun, begun + 60.0), sum(at >= begun for at in client.refused)
        assert refused <= 0.01 * sent
        assert sent - refused >= 0.97 * limit * 60

    run_virtual(scenario())


@virtual
async def test_a_ceiling_of_one_attempt_in_decades_is_kept_to() -> None:
    pacer, started = Pacer(1e-9, RecordingSink()), list[float]()
    for _ in range(4):
        await pacer.acquire()
        started.append(loop_time())
        pacer.observe(throttled=False, sent_at=loop_time(), retry_after=None)
    assert [later - sooner for sooner, later in pairwise(started)] == pytest.approx([1e9] * 3, rel=1e-3)
