from typing import Any

import pytest

from ingestor.simulator.options import FaultSchedule, InjectedFault, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.simulator.conftest import Caller, ManualClock, Response

LOSS = {"key": "loss", "value": 0.5, "timestamp": 1000, "step": 1}
DATASET = {"name": "trees", "digest": "abc", "source_type": "local", "source": "{}", "schema": "{}"}
INPUTS = [{"dataset": DATASET, "tags": [{"key": "mlflow.data.context", "value": "training"}]}]


async def step(
    caller: Caller, simulator: Simulator, operation: str, body: dict[str, object], token: str | None = None
) -> Response:
    return await caller.call(simulator, f"runs/{operation}", body, {} if token is None else {"opc-retry-token": token})


async def run_of(caller: Caller, simulator: Simulator, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = (await caller.call(simulator, f"runs/get?run_id={run_id}", method="GET")).json["run"]
    return run


async def test_a_run_shows_what_its_steps_added(caller: Caller) -> None:
    async with Simulator() as simulator:
        run_id = (
            await caller.create(simulator, {"tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]})
        ).run_id
        batch: dict[str, object] = {
            "run_id": run_id,
            "metrics": [LOSS, {**LOSS, "step": 2, "value": 1}, {**LOSS, "key": "auc", "value": "NaN"}],
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "b", "value": "2"}],
        }
        assert (await step(caller, simulator, "log-batch", batch)).json == {}
        assert (await step(caller, simulator, "log-inputs", {"run_id": run_id, "dataset_inputs": INPUTS})).json == {}
        update: dict[str, object] = {"run_id": run_id, "status": "FINISHED", "end_time": 2000, "run_name": "renamed"}
        updated = await step(caller, simulator, "update", update)

        run = await run_of(caller, simulator, run_id)
        assert updated.json == {"run_info": run["info"]}
        assert {name: run["info"][name] for name in ("status", "end_time", "run_name")} == {
            "status": "FINISHED",
            "end_time": 2000,
            "run_name": "renamed",
        }
        assert run["data"] == {
            "metrics": [
                {"key": "auc", "value": "NaN", "timestamp": 1000, "step": 1},
                {"key": "loss", "value": 1.0, "timestamp": 1000, "step": 2},
            ],
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
        }
        assert run["inputs"] == {"dataset_inputs": INPUTS, "model_inputs": []}
        found = await caller.call(simulator, "runs/search", {"experiment_ids": ["0"]})
        assert found.json["runs"] == [run]


async def test_every_metric_point_is_kept_and_an_equal_one_is_counted(caller: Caller) -> None:
    points = [{**LOSS, "step": number, "value": value} for number in (2, 1) for value in (1e300, "NaN", "-Infinity")]
    async with Simulator() as simulator:
        run_id = (await caller.create(simulator)).run_id
        for number in (1, 2):
            await step(caller, simulator, "log-batch", {"run_id": run_id, "metrics": points}, token=f"t{number}")
        [run] = simulator.statistics.runs()
        assert run["metrics"] == points
        assert simulator.statistics.repeated_points == 6


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("log-batch", {"tags": [{"key": "k", "value": "first"}]}),
        ("log-inputs", {"dataset_inputs": INPUTS}),
        ("update", {"status": "FINISHED", "run_name": "first"}),
        ("delete", {}),
    ],
)
async def test_a_step_with_a_token_that_comes_again_is_not_done_again(
    caller: Caller, operation: str, body: dict[str, object]
) -> None:
    async with Simulator() as simulator:
        run_id = (await caller.create(simulator, token="create")).run_id
        request = {"run_id": run_id, **body}
        first = await step(caller, simulator, operation, request, token="t")
        if operation != "delete":
            await step(caller, simulator, "update", {"run_id": run_id, "status": "RUNNING", "run_name": "later"})
            await step(caller, simulator, "log-batch", {"run_id": run_id, "tags": [{"key": "k", "value": "later"}]})
        before = await run_of(caller, simulator, run_id)
        again = await step(caller, simulator, operation, request, token="t")
        assert (again.status, again.json) == (200, first.json)
        assert await run_of(caller, simulator, run_id) == before
        other = await step(caller, simulator, "update", {"run_id": run_id, "status": "KILLED"}, token="t")
        assert (other.status, other.json["code"]) == (409, "InvalidatedRetryToken")
        reused = await step(caller, simulator, operation, request, token="create")
        assert (reused.status, reused.json["code"]) == (409, "InvalidatedRetryToken")
        assert await run_of(caller, simulator, run_id) == before
        assert (simulator.statistics.replays, simulator.statistics.token_conflicts) == (1, 2)
        assert simulator.statistics.done[f"runs/{operation}"] == (1 if operation in ("log-inputs", "delete") else 2)


async def test_a_token_of_a_step_is_free_for_create_only_after_its_life(caller: Caller, clock: ManualClock) -> None:
    async with Simulator(SimulatorOptions(token_life=60), now=clock) as simulator:
        run_id = (await caller.create(simulator)).run_id
        await step(caller, simulator, "update", {"run_id": run_id, "status": "FAILED"}, token="t")
        assert (await caller.create(simulator, token="t")).status == 409
        clock.advance(60)
        assert (await caller.create(simulator, token="t")).status == 200


async def test_a_service_that_ignores_tokens_does_a_step_again(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(retry_tokens=False)) as simulator:
        run_id = (await caller.create(simulator)).run_id
        for status in ("FAILED", "FINISHED", "FAILED"):
            await step(caller, simulator, "update", {"run_id": run_id, "status": status}, token=status)
        assert (await run_of(caller, simulator, run_id))["info"]["status"] == "FAILED"
        assert simulator.statistics.done["runs/update"] == 3


@pytest.mark.parametrize("operation", ["log-batch", "log-inputs", "update", "delete"])
async def test_a_step_of_an_unknown_run_is_refused_with_404_and_leaves_its_token_free(
    caller: Caller, operation: str
) -> None:
    async with Simulator() as simulator:
        run_id = (await caller.create(simulator)).run_id
        missing = await step(caller, simulator, operation, {"run_id": run_id[:-1] + "7"}, token="t")
        assert (missing.status, missing.json["code"]) == (404, "NotAuthorizedOrNotFound")
        assert (await step(caller, simulator, operation, {"run_id": run_id}, token="t")).status == 200


METRIC = [{"key": "m", "value": 1, "timestamp": 0}]


def numbered(count: int, **member: object) -> list[dict[str, object]]:
    return [{"key": f"k{number}", **member} for number in range(count)]


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("log-batch", {"metrics": numbered(1001, value=1, timestamp=0)}, "InvalidParameter"),
        ("log-batch", {"params": numbered(101, value="1")}, "InvalidParameter"),
        ("log-batch", {"tags": numbered(101, value="1")}, "InvalidParameter"),
        (
            "log-batch",
            {"metrics": numbered(1000, value=1, timestamp=0), "tags": numbered(1, value="1")},
            "InvalidParameter",
        ),
        ("log-batch", {"metrics": [{"key": "m", "value": "nan", "timestamp": 0}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"key": "m", "value": True, "timestamp": 0}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"key": "m", "value": 10**400, "timestamp": 0}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"key": "m", "value": float("inf"), "timestamp": 0}]}, "CannotParseRequest"),
        ("log-batch", {"metrics": [{"key": "m", "value": 1}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": -1}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": 0, "step": 1.5}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [{"value": 1, "timestamp": 0}]}, "InvalidParameter"),
        ("log-batch", {"metrics": [*METRIC, 1]}, "InvalidParameter"),
        ("log-batch", {"metrics": METRIC, "params": numbered(2, key="p", value="1")}, "InvalidParameter"),
        ("log-batch", {"metrics": METRIC, "params": [{"key": "p", "value": "1", "x": 1}]}, "CannotParseRequest"),
        ("log-batch", {"metrics": METRIC, "params": [{"key": "fixed", "value": "2"}]}, "InvalidParameter"),
        ("log-inputs", {"datasets": INPUTS}, "CannotParseRequest"),
        ("log-inputs", {"dataset_inputs": [{"tags": []}]}, "InvalidParameter"),
        ("log-inputs", {"dataset_inputs": [{"dataset": {**DATASET, "size": 1}}]}, "CannotParseRequest"),
        ("log-inputs", {"dataset_inputs": [{"dataset": {"name": "n", "digest": "d"}}]}, "InvalidParameter"),
        ("update", {"status": "finished"}, "InvalidParameter"),
        ("update", {"end_time": "2024"}, "InvalidParameter"),
        ("delete", {"is_permanent": True}, "InvalidParameter"),
        ("update", {"run_id": ""}, "InvalidParameter"),
    ],
)
async def test_a_step_that_breaks_the_schema_or_a_limit_is_refused_and_changes_nothing(
    caller: Caller, operation: str, body: dict[str, object], code: str
) -> None:
    async with Simulator() as simulator:
        run_id = (await caller.create(simulator)).run_id
        await step(caller, simulator, "log-batch", {"run_id": run_id, "params": [{"key": "fixed", "value": "1"}]})
        before = await run_of(caller, simulator, run_id)
        response = await step(caller, simulator, operation, {"run_id": run_id, **body})
        assert (response.status, response.json["code"]) == (400, code)
        assert await run_of(caller, simulator, run_id) == before


async def test_the_largest_batch_is_accepted(caller: Caller) -> None:
    batch = {
        "metrics": numbered(800, value=1, timestamp=0),
        "params": numbered(100, value="1"),
        "tags": numbered(100, value="1"),
    }
    async with Simulator() as simulator:
        run_id = (await caller.create(simulator)).run_id
        assert (await step(caller, simulator, "log-batch", {"run_id": run_id, **batch})).status == 200


async def test_a_deleted_run_is_found_only_where_deleted_runs_are_searched(caller: Caller) -> None:
    async with Simulator() as simulator:
        kept, deleted = [(await caller.create(simulator, {"experiment_id": "1"})).run_id for _ in range(2)]
        for _ in range(2):
            assert (await step(caller, simulator, "delete", {"run_id": deleted})).status == 200
        found = {}
        for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
            search = {"experiment_ids": ["1"], "run_view_type": view}
            response = await caller.call(simulator, "runs/search", search)
            found[view] = [run["info"]["run_id"] for run in response.json["runs"]]
        assert found == {"ACTIVE_ONLY": [kept], "DELETED_ONLY": [deleted], "ALL": [kept, deleted]}
        assert (await run_of(caller, simulator, deleted))["info"]["lifecycle_stage"] == "deleted"
        for operation in ("log-batch", "log-inputs", "update"):
            assert (await step(caller, simulator, operation, {"run_id": deleted})).status == 400


async def test_a_search_by_tag_follows_tags_that_are_set_later(caller: Caller) -> None:
    async with Simulator() as simulator:
        runs = [(await caller.create(simulator, {"tags": [{"key": "k", "value": "a"}]})).run_id for _ in range(3)]

        async def found(value: str) -> list[str]:
            response = await caller.call(
                simulator, "runs/search", {"experiment_ids": ["0"], "filter": f"tags.k = '{value}'"}
            )
            return [run["info"]["run_id"] for run in response.json.get("runs", [])]

        assert await found("a") == runs
        await step(caller, simulator, "log-batch", {"run_id": runs[1], "tags": [{"key": "k", "value": "b"}]})
        assert (await found("a"), await found("b")) == ([runs[0], runs[2]], [runs[1]])
        await step(caller, simulator, "log-batch", {"run_id": runs[0], "tags": [{"key": "k", "value": "b"}]})
        await step(caller, simulator, "log-batch", {"run_id": runs[1], "tags": [{"key": "k", "value": "a"}]})
        assert (await found("a"), await found("b")) == ([runs[1], runs[2]], [runs[0]])


@pytest.mark.parametrize(
    ("fault", "status", "stage"),
    [("error_500", 500, "active"), ("html", 502, "active"), ("html_ok", 200, "deleted"), ("slow", 200, "deleted")],
)
async def test_a_step_suffers_faults_as_create_does(caller: Caller, fault: str, status: int, stage: str) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault(fault): 1.0}, slow=0.001)) as simulator:
        faults, simulator._faults = simulator._faults, FaultSchedule({}, 0)
        run_id = (await caller.create(simulator)).run_id
        simulator._faults = faults
        assert (await step(caller, simulator, "delete", {"run_id": run_id})).status == status
        [run] = simulator.statistics.runs()
        assert run["lifecycle_stage"] == stage
        assert simulator.statistics.faults == {fault: 1}
