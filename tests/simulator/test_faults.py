import asyncio
import socket
from collections import Counter

import aiohttp
import pytest

from ingestor.model.errors import UsageError
from ingestor.simulator.options import FaultSchedule, InjectedFault, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.simulator.conftest import Caller, until


def always(fault: InjectedFault) -> SimulatorOptions:
    return SimulatorOptions(faults={fault: 1.0})


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (InjectedFault.ERROR_500, 500, "InternalServerError"),
        (InjectedFault.ERROR_503, 503, "ServiceUnavailable"),
        (InjectedFault.ERROR_409, 409, "IncorrectState"),
        (InjectedFault.ERROR_429, 429, "TooManyRequests"),
    ],
)
async def test_an_injected_error_has_the_shape_of_the_api_and_creates_nothing(
    caller: Caller, fault: InjectedFault, status: int, code: str
) -> None:
    async with Simulator(always(fault)) as simulator:
        response = await caller.create(simulator, opc_request_id="mine")
        assert (response.status, response.json["code"]) == (status, code)
        assert response.headers["opc-request-id"].startswith("mine/")
        assert simulator.statistics.run_count == 0
        assert simulator.statistics.faults == {fault: 1}


@pytest.mark.parametrize(("fault", "status", "runs"), [("html", 502, 0), ("html_ok", 200, 1)])
async def test_a_proxys_page_is_html_without_a_request_id(caller: Caller, fault: str, status: int, runs: int) -> None:
    async with Simulator(always(InjectedFault(fault))) as simulator:
        response = await caller.create(simulator)
        assert response.status == status
        assert response.headers["Content-Type"] == "text/html"
        assert response.text.startswith("<html>")
        assert "opc-request-id" not in response.headers
        assert simulator.statistics.run_count == runs


@pytest.mark.parametrize(("fault", "runs"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset_hides_whether_the_run_was_created(caller: Caller, fault: str, runs: int) -> None:
    async with Simulator(always(InjectedFault(fault))) as simulator:
        with pytest.raises(aiohttp.ClientOSError, match="Connection reset by peer"):
            await caller.create(simulator)
        assert simulator.statistics.run_count == runs
        assert simulator.statistics.statuses == {}


async def test_a_truncated_answer_breaks_off_after_the_run_was_created(caller: Caller) -> None:
    async with Simulator(always(InjectedFault.TRUNCATED)) as simulator:
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.create(simulator)
        assert simulator.statistics.run_count == 1


async def test_a_truncated_answer_starts_like_a_good_one() -> None:
    async with Simulator(always(InjectedFault.TRUNCATED)) as simulator:
        host, port = simulator.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        path = simulator._api.prefix + "runs/create"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")).split()[1])
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert 0 < len(body) < length


@pytest.mark.parametrize("fault", [InjectedFault.HANG, InjectedFault.SLOW])
async def test_a_client_that_stops_waiting_leaves_a_run(caller: Caller, fault: InjectedFault) -> None:
    async with Simulator(SimulatorOptions(faults={fault: 1.0}, slow=1e6)) as simulator:
        waiting = asyncio.create_task(caller.create(simulator, token="t"))
        await until(lambda: simulator.statistics.run_count == 1)
        totals = await caller.get(simulator, "/statistics")
        assert totals.json["in_flight"] == 1
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: simulator.statistics.in_flight == 0)


@pytest.mark.parametrize("fault", [InjectedFault.HANG, InjectedFault.SLOW])
async def test_a_shutdown_leaves_nothing_running(caller: Caller, fault: InjectedFault) -> None:
    before = asyncio.all_tasks()
    async with Simulator(SimulatorOptions(faults={fault: 1.0}, slow=1e6)) as simulator:
        waiting = asyncio.create_task(caller.create(simulator))
        await until(lambda: simulator.statistics.run_count == 1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting
    await until(lambda: asyncio.all_tasks() == before)


async def test_the_words_of_an_injected_error_can_be_chosen(caller: Caller) -> None:
    options = SimulatorOptions(faults={InjectedFault.ERROR_429: 1.0}, fault_message="daily quota used up")
    async with Simulator(options) as simulator:
        assert (await caller.create(simulator)).json["message"] == "daily quota used up"


async def test_faults_begin_after_so_many_requests(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault.ERROR_500: 1.0}, faults_after=2)) as simulator:
        assert [(await caller.create(simulator)).status for _ in range(4)] == [200, 200, 500, 500]


async def test_a_proxy_that_caches_answers_with_the_first_run_and_leaves_searches_alone(caller: Caller) -> None:
    async with Simulator(always(InjectedFault.SAME_RUN)) as simulator:
        first, second = [await caller.create(simulator, token=token) for token in ("a", "b")]
        assert first.run_id == second.run_id
        assert simulator.statistics.run_count == 2
        listed = await caller.call(simulator, "experiments/search", {})
        assert "experiments" in listed.json


async def test_a_malformed_answer_has_two_lengths(caller: Caller) -> None:
    async with Simulator(always(InjectedFault.MALFORMED)) as simulator:
        with pytest.raises(aiohttp.ClientResponseError, match="Content-Length"):
            await caller.create(simulator)
        assert simulator.statistics.run_count == 1


@pytest.mark.parametrize(
    ("fault", "more"), [(InjectedFault.LARGE_HEADER, 8300), (InjectedFault.MANY_HEADERS, 200 * len("X-More-1x"))]
)
async def test_a_correct_answer_may_have_large_headers(caller: Caller, fault: InjectedFault, more: int) -> None:
    async with Simulator(always(fault)) as simulator:
        response = await caller.create(simulator)
        assert response.run_id
        assert sum(len(name) + len(text) for name, text in response.headers.items()) > more


async def test_an_operation_can_be_forbidden_and_a_refusal_vague(caller: Caller) -> None:
    options = SimulatorOptions(
        forbidden=frozenset({"experiments/search"}), missing_experiments=frozenset({"9"}), vague_refusals=True
    )
    async with Simulator(options) as simulator:
        forbidden = await caller.call(simulator, "experiments/search", {})
        missing = await caller.create(simulator, {"experiment_id": "9"})
        assert forbidden.status == missing.status == 404
        assert forbidden.json == missing.json
        assert (await caller.create(simulator)).status == 200


async def test_a_slow_answer_comes(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault.SLOW: 1.0}, slow=0.001)) as simulator:
        assert (await caller.create(simulator)).status == 200


async def test_every_admitted_request_takes_the_latency(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(latency=0.02, jitter=0.001)) as simulator:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await caller.create(simulator)
        assert loop.time() - started >= 0.02


@pytest.mark.parametrize("body", [{"experiment_id": "bad"}, {"experiment_id": "1", "run_name": "bad"}])
async def test_a_poisoned_record_always_gets_500_and_others_do_not(caller: Caller, body: dict[str, str]) -> None:
    async with Simulator(SimulatorOptions(poison=frozenset({"bad"}))) as simulator:
        assert [(await caller.create(simulator, body)).status for _ in range(3)] == [500, 500, 500]
        assert (await caller.create(simulator)).status == 200
        assert simulator.statistics.run_count == 1


async def test_the_service_can_go_away_and_come_back(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(unavailable=True)) as simulator:
        assert (await caller.create(simulator)).status == 503
        simulator.set_available(True)
        assert (await caller.create(simulator)).status == 200
        simulator.set_available(False)
        response = await caller.call(simulator, "experiments/search", {})
        assert (response.status, response.json["code"]) == (503, "ServiceUnavailable")


def test_one_seed_repeats_the_schedule_and_another_does_not() -> None:
    chances = {InjectedFault.ERROR_500: 0.2, InjectedFault.HANG: 0.1}

    def schedule(seed: int) -> list[InjectedFault | None]:
        faults = FaultSchedule(chances, seed)
        return [faults.draw() for _ in range(2000)]

    assert schedule(1) == schedule(1)
    assert schedule(1) != schedule(2)
    shares = Counter(schedule(1))
    assert shares[InjectedFault.ERROR_500] == pytest.approx(400, rel=0.2)
    assert shares[InjectedFault.HANG] == pytest.approx(200, rel=0.2)


def test_probabilities_beyond_certainty_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="faults"):
        SimulatorOptions(faults={InjectedFault.HANG: 0.6, InjectedFault.SLOW: 0.6})


async def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)):
            async with Simulator(port=port):
                pass
