import asyncio
import json
import os
import signal

from ingestor.simulator.options import InjectedFault, SimulatorOptions
from ingestor.simulator.server import Simulator, serve
from tests.simulator.conftest import Caller


async def test_the_statistics_are_served_over_http(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"9"}))) as simulator:
        await caller.create(simulator, {"run_name": "a"}, token="a", opc_request_id="one")
        await caller.create(simulator, {"run_name": "a"}, token="a", opc_request_id="two")
        await caller.create(simulator, {"run_name": "a"}, token="b", opc_request_id="two")
        await caller.create(simulator, {"experiment_id": "9"})
        response = await caller.get(simulator, "/statistics")
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.json == {
            "requests": 4,
            "requests_by_operation": {"runs/create": 4},
            "done": {"runs/create": 2},
            "statuses": {"200": 3, "404": 1},
            "throttled": 0,
            "faults": {},
            "in_flight": 0,
            "max_in_flight": 1,
            "request_ids": 2,
            "repeated_request_ids": 1,
            "runs": 2,
            "distinct_bodies": 1,
            "tokens": 2,
            "tokens_with_several_runs": 0,
            "most_requests_of_a_token": 2,
            "replays": 1,
            "token_conflicts": 0,
            "repeated_points": 0,
        }
        assert (await caller.get(simulator, "/account")).json == response.json  # the name of earlier versions


async def test_all_runs_are_served_as_json_lines(caller: Caller) -> None:
    async with Simulator() as simulator:
        made = [
            await caller.create(
                simulator,
                {
                    "experiment_id": "4",
                    "run_name": f"r{number}",
                    "start_time": number,
                    "tags": [{"key": "k", "value": "é"}],
                },
                token=f"t{number}",
            )
            for number in range(1001)
        ]
        lines = (await caller.get(simulator, "/statistics?runs=1")).text.splitlines()
        assert len(lines) == 1001
        assert [json.loads(line)["run_id"] for line in lines] == [one.run_id for one in made]
        assert json.loads(lines[700]) == {
            "run_id": made[700].run_id,
            "token": "t700",
            "experiment_id": "4",
            "run_name": "r700",
            "start_time": 700,
            "tags": [{"key": "k", "value": "é"}],
            "end_time": None,
            "status": "RUNNING",
            "lifecycle_stage": "active",
            "params": [],
            "metrics": [],
            "dataset_inputs": [],
        }


async def test_the_statistics_count_faults_and_tokens_with_several_runs(caller: Caller) -> None:
    options = SimulatorOptions(retry_tokens=False, faults={InjectedFault.HTML_OK: 1.0})
    async with Simulator(options) as simulator:
        await caller.create(simulator, token="t")
        await caller.create(simulator, token="t")
    totals = simulator.statistics.totals()
    assert totals["faults"] == {"html_ok": 2}
    assert totals["tokens_with_several_runs"] == 1
    assert (totals["runs"], totals["distinct_bodies"]) == (2, 1)


async def test_serve_runs_until_a_signal(caller: Caller) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[str] = loop.create_future()
    serving = asyncio.create_task(serve(SimulatorOptions(), "127.0.0.1", 0, ready.set_result))
    url = await ready
    assert url.startswith("http://127.0.0.1:")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 5)


async def test_serve_can_be_cancelled_and_gives_the_signals_back() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    before = signal.getsignal(signal.SIGTERM)
    serving = asyncio.create_task(serve(SimulatorOptions(), "127.0.0.1", 0, ready.set_result))
    await ready
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()
    assert signal.getsignal(signal.SIGTERM) == before
