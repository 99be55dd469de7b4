import asyncio
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.errors import UsageError
from ingestor.simulator.gate import TokenBucket
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


@given(st.floats(0.5, 500), st.floats(0, 5), st.lists(st.floats(0, 3), max_size=200))
def test_no_more_goes_through_than_rate_and_burst_allow(rate: float, burst: float, pauses: list[float]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(rate, burst, clock)
    started = clock()
    taken = 0
    for pause in pauses:
        clock.advance(pause)
        while bucket.take() == 0:
            taken += 1
    assert taken <= max(1, rate * burst) + rate * (clock() - started) + 1e-3 * (len(pauses) + 1)


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"concurrency": 0}, {"latency": -1}, {"burst": float("nan")}])
def test_a_limit_that_makes_no_sense_is_a_usage_error(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SimulatorOptions(**wrong)  # type: ignore[arg-type]  # each is a number of its own
