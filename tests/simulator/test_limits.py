import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from ingestor.model.errors import UsageError
from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.options import InjectedFault, RetryAfter, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.simulator.conftest import Caller, ManualClock, until


async def statuses(caller: Caller, simulator: Simulator, count: int) -> list[int]:
    return [(await caller.create(simulator)).status for _ in range(count)]


async def test_beyond_the_burst_the_rate_binds(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(SimulatorOptions(rate=10, burst=0.3), now=clock) as simulator:
        assert await statuses(caller, simulator, 5) == [200, 200, 200, 429, 429]
        clock.advance(0.1)
        assert await statuses(caller, simulator, 2) == [200, 429]
        clock.advance(60)
        assert await statuses(caller, simulator, 4) == [200, 200, 200, 429]
        assert simulator.statistics.throttled == 4
        assert simulator.statistics.run_count == 7


async def test_the_rate_can_change_while_it_runs(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(SimulatorOptions(rate=1, burst=0), now=clock) as simulator:
        assert await statuses(caller, simulator, 2) == [200, 429]
        simulator.set_rate(100)
        clock.advance(0.01)
        assert await statuses(caller, simulator, 2) == [200, 429]
        simulator.set_rate(None)
        assert await statuses(caller, simulator, 5) == [200] * 5
        simulator.set_rate(1)
        assert await statuses(caller, simulator, 2) == [200, 429]


async def test_a_429_has_the_shape_of_the_api_and_no_retry_after_unless_asked(
    caller: Caller, clock: ManualClock
) -> None:
    async with Simulator(SimulatorOptions(rate=1, burst=0), now=clock) as simulator:
        await caller.create(simulator)
        response = await caller.create(simulator, opc_request_id="mine")
        assert response.json["code"] == "TooManyRequests"
        assert response.headers["opc-request-id"].startswith("mine/")
        assert "Retry-After" not in response.headers


async def test_retry_after_in_seconds_is_enough_to_wait(caller: Caller, clock: ManualClock) -> None:
    options = SimulatorOptions(rate=0.4, burst=0, retry_after=RetryAfter.SECONDS)
    async with Simulator(options, now=clock) as simulator:
        await caller.create(simulator)
        response = await caller.create(simulator)
        assert response.headers["Retry-After"] == "3"
        clock.advance(3)
        assert await statuses(caller, simulator, 1) == [200]


async def test_retry_after_as_a_date_goes_by_the_services_own_clock(caller: Caller, clock: ManualClock) -> None:
    options = SimulatorOptions(rate=0.5, burst=0, retry_after=RetryAfter.DATE)
    async with Simulator(options, now=clock) as simulator:
        await caller.create(simulator)
        response = await caller.create(simulator)
        until, now = (parsedate_to_datetime(response.headers[name]) for name in ("Retry-After", "Date"))
        assert now.timestamp() == clock()
        assert (until - now).total_seconds() == 2


async def test_more_at_once_than_the_concurrency_is_refused(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(concurrency=3, faults={InjectedFault.HANG: 1.0})) as simulator:
        held = [asyncio.create_task(caller.create(simulator)) for _ in range(3)]
        await until(lambda: simulator.statistics.run_count == 3)
        simulator.clear_faults()
        assert await statuses(caller, simulator, 7) == [429] * 7
        assert simulator.statistics.max_in_flight == 4
        for one in held:
            one.cancel()
        await until(lambda: simulator.statistics.in_flight == 0)
        assert await statuses(caller, simulator, 4) == [200] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"concurrency": 0},
        {"latency": -1},
        {"burst": float("nan")},
        {"retry_after": -1},
        {"slow_jitter": -1},
    ],
)
def test_a_limit_that_makes_no_sense_is_a_usage_error(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SimulatorOptions(**wrong)  # type: ignore[arg-type]  # each is a number of its own


def limited(text: str, **options: Any) -> SimulatorOptions:
    return SimulatorOptions(limiter=parse_limiter(text), **options)


async def test_a_limiter_refuses_with_429_until_it_admits_again(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(limited("fixed:3/s,window=10"), now=clock) as simulator:
        assert await statuses(caller, simulator, 32) == [200] * 30 + [429] * 2
        clock.advance(9)
        assert await statuses(caller, simulator, 1) == [429]
        clock.advance(1)
        assert await statuses(caller, simulator, 1) == [200]


async def test_rate_concurrency_and_limiter_refuse_one_after_the_other(caller: Caller, clock: ManualClock) -> None:
    options = limited("bucket:3/s", rate=5.0, burst=1.0, concurrency=1)
    async with Simulator(options, now=clock) as simulator:
        assert await statuses(caller, simulator, 6) == [200] * 3 + [429] * 3
        clock.advance(1)
        assert await statuses(caller, simulator, 4) == [200] * 3 + [429]


async def test_the_same_seed_refuses_the_same_requests(caller: Caller, clock: ManualClock) -> None:
    refused = list[list[int]]()
    for seed in (7, 7, 8):
        async with Simulator(limited("shed:50%", seed=seed), now=clock) as simulator:
            refused.append(await statuses(caller, simulator, 30))
    assert refused[0] == refused[1]
    assert refused[0] != refused[2]


async def test_a_leaky_bucket_delays_the_answer(caller: Caller) -> None:
    async with Simulator(limited("leaky:40/s,queue=1")) as simulator:
        begun = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(caller.create(simulator) for _ in range(9)))
        assert [answer.status for answer in answers] == [200] * 9
        assert asyncio.get_running_loop().time() - begun >= 8 / 40


async def test_retry_after_comes_from_the_limiter_that_refused(caller: Caller, clock: ManualClock) -> None:
    options = limited("bucket:100/s+fixed:30/min,window=60", retry_after=RetryAfter.SECONDS)
    async with Simulator(options, now=clock) as simulator:
        clock.advance(22)
        assert await statuses(caller, simulator, 30) == [200] * 30
        response = await caller.create(simulator)
        assert response.headers["Retry-After"] == str(60 - 22)


async def test_each_429_may_ask_for_the_same_time(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(limited("shed:100%", retry_after=7), now=clock) as simulator:
        responses = [await caller.create(simulator) for _ in range(3)]
        assert [response.headers["Retry-After"] for response in responses] == ["7"] * 3


async def test_a_slow_answer_may_take_a_random_time(caller: Caller) -> None:
    options = SimulatorOptions(faults={InjectedFault.SLOW: 1.0}, slow=0.0, slow_jitter=0.2, seed=1)
    async with Simulator(options) as simulator:
        times = []
        for _ in range(6):
            begun = asyncio.get_running_loop().time()
            await caller.create(simulator)
            times.append(asyncio.get_running_loop().time() - begun)
        assert max(times) - min(times) > 0.05


async def test_the_latency_can_change_while_it_runs(caller: Caller) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        await caller.create(simulator)
        simulator.set_latency(0.1)
        begun = asyncio.get_running_loop().time()
        await caller.create(simulator)
        assert asyncio.get_running_loop().time() - begun >= 0.1
