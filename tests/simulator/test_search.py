from typing import Any

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.simulator.conftest import Caller


async def make_runs(caller: Caller, simulator: Simulator, count: int) -> list[str]:
    """Create runs 0, 1, 2...: odd ones in experiment 1, each tagged with its number modulo 3."""
    return [
        (
            await caller.create(
                simulator,
                {"experiment_id": str(number % 2), "tags": [{"key": "a.b c", "value": str(number % 3)}]},
            )
        ).run_id
        for number in range(count)
    ]


def ids(document: dict[str, Any]) -> list[str]:
    return [run["info"]["run_id"] for run in document["runs"]]


async def test_runs_are_found_by_experiment_and_tag(caller: Caller) -> None:
    async with Simulator() as simulator:
        made = await make_runs(caller, simulator, 12)
        search = {"experiment_ids": ["1"], "filter": "tags.`a.b c` = '0'"}
        response = await caller.call(simulator, "runs/search", search)
        assert ids(response.json) == [made[3], made[9]]
        assert response.json["runs"][0]["data"]["tags"] == [{"key": "a.b c", "value": "0"}]
        more = await make_runs(caller, simulator, 4)
        assert ids((await caller.call(simulator, "runs/search", search)).json) == [made[3], made[9], more[3]]


@pytest.mark.parametrize(
    "search",
    [
        {"experiment_ids": ["0", "1"], "filter": "tags.`a.b c` = 'none'"},
        {"experiment_ids": ["0", "1"], "filter": "tags.other = '0'"},
        {"experiment_ids": ["5"]},
        {"experiment_ids": []},
        {},
    ],
)
async def test_no_match_is_an_empty_object(caller: Caller, search: dict[str, Any]) -> None:
    async with Simulator() as simulator:
        await make_runs(caller, simulator, 3)
        response = await caller.call(simulator, "runs/search", search)
        assert (response.status, response.json) == (200, {})


@pytest.mark.parametrize(("tag", "page"), [("", 7), ("tags.`a.b c` = '1'", 3)])
async def test_pages_add_up_to_all_matches_each_once(caller: Caller, tag: str, page: int) -> None:
    async with Simulator() as simulator:
        made = await make_runs(caller, simulator, 21)
        search = {"experiment_ids": ["0", "1"], "filter": tag, "max_results": page}
        found: list[str] = []
        pages = 0
        while True:
            response = (await caller.call(simulator, "runs/search", search)).json
            found += ids(response)
            pages += 1
            if "next_page_token" not in response:
                break
            search["page_token"] = response["next_page_token"]
        assert found == (made[1::3] if tag else made)
        assert pages == 3


@pytest.mark.parametrize(
    "search",
    [
        {"filter": "tags.`a` IN ('1', '2')"},
        {"filter": "params.a = '1'"},
        {"max_results": 0},
        {"max_results": 50_001},
        {"max_results": "10"},
        {"experiment_ids": "1"},
        {"page_token": "-1"},
        {"run_view_type": "SOME"},
    ],
)
async def test_an_invalid_search_is_refused(caller: Caller, search: dict[str, Any]) -> None:
    async with Simulator() as simulator:
        response = await caller.call(simulator, "runs/search", search)
        assert (response.status, response.json["code"]) == (400, "InvalidParameter")


async def test_a_run_is_found_by_its_id(caller: Caller) -> None:
    async with Simulator() as simulator, Simulator() as another:
        created = await caller.create(simulator, {"experiment_id": "3", "run_name": "here"})
        response = await caller.call(simulator, f"runs/get?run_id={created.run_id}", method="GET")
        assert (response.status, response.json) == (200, created.json)
        for unknown in ("", "x", created.run_id[:-1] + "f"):
            missing = await caller.call(simulator, f"runs/get?run_id={unknown}", method="GET")
            assert (missing.status, missing.json["code"]) == (404, "NotAuthorizedOrNotFound")
        await caller.create(another)
        elsewhere = await caller.call(another, f"runs/get?run_id={created.run_id}", method="GET")
        assert elsewhere.status == 404


@pytest.mark.parametrize(("view", "there"), [("ACTIVE_ONLY", True), ("ALL", True), ("DELETED_ONLY", False)])
async def test_a_view_of_deleted_ones_is_empty_where_nothing_is_deleted(caller: Caller, view: str, there: bool) -> None:
    async with Simulator() as simulator:
        await make_runs(caller, simulator, 2)
        search = {"experiment_ids": ["0", "1"], "run_view_type": view, "order_by": ["attributes.start_time DESC"]}
        response = await caller.call(simulator, "runs/search", search)
        assert ("runs" in response.json) is there
        listed = await caller.call(simulator, "experiments/search", {"view_type": view})
        assert bool(listed.json["experiments"]) is there


async def test_experiments_come_in_pages(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(experiments=frozenset("abcde"))) as simulator:
        found: list[str] = []
        search: dict[str, object] = {"max_results": 2}
        while True:
            response = (await caller.call(simulator, "experiments/search", search)).json
            found += [one["experiment_id"] for one in response["experiments"]]
            if "next_page_token" not in response:
                break
            search["page_token"] = response["next_page_token"]
        assert found == list("abcde")


@pytest.mark.parametrize("search", [{"view_type": "SOME"}, {"page_token": "x"}, {"filter": "name = 'a'"}])
async def test_an_invalid_search_for_experiments_is_refused(caller: Caller, search: dict[str, object]) -> None:
    async with Simulator() as simulator:
        response = await caller.call(simulator, "experiments/search", search)
        assert (response.status, response.json["code"]) == (400, "InvalidParameter")
