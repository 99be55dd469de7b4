import re

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.server import Simulator
from ingestor.simulator.wire import MAX_BODY
from tests.simulator.conftest import Caller


async def test_a_created_run_is_answered_with_the_whole_schema_of_the_page(caller: Caller) -> None:
    body = {
        "experiment_id": "7",
        "run_name": "first",
        "start_time": -(2**63),
        "tags": [{"key": "π", "value": ""}, {"key": "b", "value": "x"}],
    }
    async with Simulator() as simulator:
        response = await caller.create(simulator, body, dh_user_principal="someone")
    run = response.json["run"]
    assert response.status == 200
    assert response.headers["etag"]
    assert response.headers["Content-Type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", run["info"]["run_id"])
    assert run == {
        "info": {
            "artifact_uri": run["info"]["artifact_uri"],
            "experiment_id": "7",
            "lifecycle_stage": "active",
            "run_id": response.run_id,
            "run_name": "first",
            "run_uuid": response.run_id,
            "start_time": -(2**63),
            "status": "RUNNING",
            "user_id": run["info"]["user_id"],
        },
        "data": {"metrics": [], "params": [], "tags": body["tags"]},
        "inputs": {"dataset_inputs": [], "model_inputs": []},
        "outputs": {"model_outputs": []},
    }


async def test_every_field_may_be_left_out(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = await caller.create(simulator, {})
    assert response.status == 200
    assert response.json["run"]["info"]["experiment_id"] == "0"
    assert response.json["run"]["info"]["run_name"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "CannotParseRequest"),
        (b"\xff", "CannotParseRequest"),
        (b"", "CannotParseRequest"),
        (b"[" * 100_000, "CannotParseRequest"),
        (b"[]", "CannotParseRequest"),
        ({"name": "x"}, "CannotParseRequest"),
        ({"tags": [{"key": "a", "value": "b", "more": 1}]}, "CannotParseRequest"),
        ({"experiment_id": 1}, "InvalidParameter"),
        ({"run_name": None}, "InvalidParameter"),
        ({"start_time": "1700000000000"}, "InvalidParameter"),
        ({"start_time": 1.5}, "InvalidParameter"),
        ({"start_time": True}, "InvalidParameter"),
        ({"start_time": 2**63}, "InvalidParameter"),
        ({"tags": {"a": "b"}}, "InvalidParameter"),
        ({"tags": ["a"]}, "InvalidParameter"),
        ({"tags": [{"key": "a", "value": 1}]}, "InvalidParameter"),
        ({"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, "InvalidParameter"),
    ],
)
async def test_a_create_body_that_breaks_the_schema_is_refused_and_creates_nothing(
    caller: Caller, body: object, code: str
) -> None:
    async with Simulator() as simulator:
        response = await caller.create(simulator, body)
        assert (response.status, response.json["code"]) == (400, code)
        assert response.json["message"]
        assert simulator.statistics.run_count == 0


async def test_a_body_beyond_the_limit_is_refused_with_413(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = await caller.create(simulator, b" " * (MAX_BODY + 1))
        assert (response.status, response.json["code"]) == (413, "RequestEntityTooLarge")


async def test_a_body_of_many_megabytes_goes_through(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = await caller.create(simulator, {"tags": [{"key": "big", "value": "x" * (8 * 2**20)}]})
        assert response.status == 200


async def test_only_the_configured_platform_and_workspace_exist(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(workspace_key="another")) as simulator:
        response = await caller.create(simulator)
        assert (response.status, response.json["code"]) == (404, "NotAuthorizedOrNotFound")
        assert simulator.statistics.run_count == 0
    async with Simulator(SimulatorOptions(platform_id="another")) as simulator:
        response = await caller.create(simulator)
        assert (response.status, response.json["code"]) == (404, "NotAuthorizedOrNotFound")


@pytest.mark.parametrize(
    ("options", "experiment_id", "status"),
    [
        (SimulatorOptions(), "anything", 200),
        (SimulatorOptions(), "", 404),
        (SimulatorOptions(missing_experiments=frozenset({"9"})), "9", 404),
        (SimulatorOptions(experiments=frozenset({"1"})), "1", 200),
        (SimulatorOptions(experiments=frozenset({"1"})), "2", 404),
    ],
)
async def test_a_run_needs_an_experiment_that_exists(
    caller: Caller, options: SimulatorOptions, experiment_id: str, status: int
) -> None:
    async with Simulator(options) as simulator:
        response = await caller.create(simulator, {"experiment_id": experiment_id})
        assert response.status == status
        if status == 404:
            assert response.json["code"] == "NotAuthorizedOrNotFound"
            assert f"experiment {experiment_id}" in response.json["message"]


async def test_the_answer_carries_the_clients_request_id_before_the_services_own(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = [await caller.create(simulator, opc_request_id="Mine_1-a") for _ in range(2)]
        refused = await caller.create(simulator, b"{", opc_request_id="Mine_2")
        made_up = await caller.create(simulator)
    first, second = (one.headers["opc-request-id"].split("/") for one in response)
    assert first[0] == second[0] == "Mine_1-a"
    assert first[1] == second[1]
    assert first[2] != second[2]
    assert refused.headers["opc-request-id"].startswith("Mine_2/")
    assert len(made_up.headers["opc-request-id"].split("/")) == 3


async def test_a_request_id_with_other_characters_is_refused(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = await caller.create(simulator, opc_request_id="a/b")
        assert (response.status, response.json["code"]) == (400, "InvalidParameter")
        assert "a/b" not in response.headers["opc-request-id"]


async def test_another_method_is_refused(caller: Caller) -> None:
    async with Simulator() as simulator:
        response = await caller.call(simulator, "runs/create", {}, method="PUT")
        assert (response.status, response.json["code"]) == (405, "MethodNotAllowed")


async def test_the_experiments_can_be_listed_which_creates_nothing(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(experiments=frozenset({"1", "2", "3"}))) as simulator:
        response = await caller.call(simulator, "experiments/search", {"max_results": 2})
        assert [one["experiment_id"] for one in response.json["experiments"]] == ["1", "2"]
        assert simulator.statistics.run_count == 0
        assert simulator.statistics.requests_by_operation == {"experiments/search": 1}
