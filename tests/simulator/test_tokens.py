import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.runs import RunStore
from ingestor.simulator.server import Simulator
from ingestor.simulator.wire import ApiError
from tests.simulator.conftest import Caller, ManualClock

DAY = 24 * 3600.0


async def test_a_token_that_comes_again_is_answered_with_the_same_run(caller: Caller) -> None:
    async with Simulator() as simulator:
        first = await caller.create(simulator, token="t")
        again = await caller.create(simulator, token="t")
        assert again.status == 200
        assert again.json == first.json
        assert again.headers["etag"] == first.headers["etag"]
        assert (simulator.statistics.run_count, simulator.statistics.replays) == (1, 1)


async def test_requests_with_one_token_at_the_same_time_make_one_run(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        response = await asyncio.gather(*(caller.create(simulator, token="t") for _ in range(20)))
        assert len({one.run_id for one in response}) == 1
        assert simulator.statistics.run_count == 1


async def test_without_a_token_every_request_makes_a_run(caller: Caller) -> None:
    async with Simulator() as simulator:
        first, second = [await caller.create(simulator) for _ in range(2)]
        assert first.run_id != second.run_id
        assert (simulator.statistics.run_count, simulator.statistics.distinct_bodies) == (2, 1)


async def test_a_token_with_another_body_is_a_conflict_that_the_statistics_count(caller: Caller) -> None:
    async with Simulator() as simulator:
        await caller.create(simulator, {"run_name": "a"}, token="t")
        response = await caller.create(simulator, {"run_name": "b"}, token="t")
        assert (response.status, response.json["code"]) == (409, "InvalidatedRetryToken")
        assert (simulator.statistics.run_count, simulator.statistics.token_conflicts) == (1, 1)


async def test_a_token_protects_until_its_life_is_over_and_not_longer(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(now=clock) as simulator:
        first = await caller.create(simulator, token="t")
        clock.advance(DAY - 1)
        protected = await caller.create(simulator, token="t")
        clock.advance(1)
        doubled = await caller.create(simulator, token="t")
        clock.advance(DAY - 1)
        protected_again = await caller.create(simulator, token="t")
        assert protected.run_id == first.run_id
        assert doubled.run_id != first.run_id
        assert protected_again.run_id == doubled.run_id
        assert simulator.statistics.runs_by_token() == {"t": 2}


async def test_an_expired_token_is_free_for_another_body(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(SimulatorOptions(token_life=60), now=clock) as simulator:
        await caller.create(simulator, {"run_name": "a"}, token="t")
        clock.advance(60)
        response = await caller.create(simulator, {"run_name": "b"}, token="t")
        assert response.status == 200
        assert simulator.statistics.token_conflicts == 0


async def test_a_service_that_forgets_tokens_makes_a_run_each_time(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(retry_tokens=False)) as simulator:
        first, second = [await caller.create(simulator, token="t") for _ in range(2)]
        assert first.run_id != second.run_id
        assert simulator.statistics.runs_by_token() == {"t": 2}


async def test_a_refused_request_leaves_its_token_free(caller: Caller) -> None:
    async with Simulator() as simulator:
        refused = await caller.create(simulator, {"experiment_id": ""}, token="t")
        response = await caller.create(simulator, {"experiment_id": "1"}, token="t")
        assert (refused.status, response.status) == (404, 200)
        assert simulator.statistics.requests_by_token == {"t": 2}


@pytest.mark.parametrize(("token", "status"), [("", 400), ("x", 200), ("x" * 64, 200), ("x" * 65, 400)])
async def test_a_token_has_1_to_64_characters(caller: Caller, token: str, status: int) -> None:
    async with Simulator() as simulator:
        assert (await caller.create(simulator, token=token)).status == status


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"1", b"2"]), st.integers(0, 50))))
def test_within_a_life_a_token_stands_for_one_body_and_one_run(requests: list[tuple[str, bytes, int]]) -> None:
    clock = ManualClock()
    store = RunStore(honour_tokens=True, token_life=100, now=clock)
    made: dict[str, tuple[int, bytes, float]] = {}
    for token, body, pause in requests:
        clock.advance(pause)
        number, first_body, born = made.get(token, (-1, b"", float("-inf")))
        if clock() - born >= 100:
            assert store.create(body, token) == (len(store.runs) - 1, False)
            made[token] = (len(store.runs) - 1, body, clock())
        elif body == first_body:
            assert store.create(body, token) == (number, True)
        else:
            with pytest.raises(ApiError):
                store.create(body, token)
