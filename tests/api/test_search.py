"""Looking for a run by its stamp, over real sockets: what is found, what is surely absent, and what decides nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from ingestor.api.client import HttpService, make_target
from ingestor.api.endpoint import Endpoint, aidp, mlflow
from ingestor.api.options import AuthKind, AuthOptions, TargetOptions
from ingestor.model.finding import Finding, Presence
from ingestor.policy.identity import STAMP
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.api.conftest import Serve
from tests.support.records import job

TOKEN = "5" * 64
OURS = {"info": {"run_id": "r1", "experiment_id": "7"}, "data": {"tags": [{"key": STAMP, "value": TOKEN}]}}
OTHER = {"info": {"run_id": "r2"}, "data": {"tags": [{"key": STAMP, "value": "6" * 64}]}}


@dataclass
class Pacing:
    """Counts how often a further request was paced."""

    waits: int = 0

    async def __call__(self) -> None:
        self.waits += 1


@asynccontextmanager
async def target_at(endpoint: Endpoint) -> AsyncIterator[HttpService]:
    async with make_target(
        TargetOptions(endpoint=endpoint, auth=AuthOptions(kind=AuthKind.NONE), connections=4, timeout=10.0)
    ) as target:
        yield target


@dataclass
class Script:
    """A service that answers each search with the next of `answers`, and keeps the questions."""

    answers: list[object]
    status: int = 200
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.path.rpartition("mlflow/")[2], json.loads(await request.read())))
        answer = self.answers.pop(0)
        body = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=self.status, body=body.encode(), content_type="application/json")


async def look(serve: Serve, script: Script, experiment_id: str | None = "7", pacing: Pacing | None = None) -> Finding:
    async with serve(script) as url, target_at(mlflow(str(url))) as target:
        return await target.find(TOKEN, experiment_id, pacing or Pacing())


@pytest.mark.parametrize("experiment_id", ["0", None])
async def test_the_simulators_runs_are_found_by_their_stamp_and_no_others(experiment_id: str | None) -> None:
    async with Simulator(SimulatorOptions(experiments=frozenset("0123"))) as simulator:
        endpoint = aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY)
        async with target_at(endpoint) as target:
            here, unstamped, absent = (job(number, experiment_id="0") for number in (1, 2, 3))
            made = await target.create(here, stamped=True)
            await target.create(unstamped, stamped=False)
            found = await target.find(here.token, experiment_id, Pacing())
            assert (found.presence, found.reply.run_id, found.reply.experiment_id) == (Presence.FOUND, made.run_id, "0")
            for other in (unstamped, absent):
                assert (await target.find(other.token, experiment_id, Pacing())).presence is Presence.ABSENT


async def test_the_question_is_the_one_that_the_service_understands(serve: Serve) -> None:
    script = Script([{}])
    finding = await look(serve, script)
    assert finding.presence is Presence.ABSENT
    ((path, question),) = script.asked
    assert path == "runs/search"
    assert question == {
        "experiment_ids": ["7"],
        "filter": f"tags.`{STAMP}` = '{TOKEN}'",
        "run_view_type": "ALL",
        "max_results": 10,
    }


async def test_pages_are_followed_to_their_end_and_each_is_paced(serve: Serve) -> None:
    pacing = Pacing()
    script = Script([{"next_page_token": "a"}, {"runs": [], "next_page_token": "b"}, {"runs": [OURS]}])
    finding = await look(serve, script, pacing=pacing)
    assert finding.presence is Presence.FOUND
    assert [question.get("page_token") for _, question in script.asked] == [None, "a", "b"]
    assert pacing.waits == 2


async def test_where_the_record_names_no_experiment_all_are_searched(serve: Serve) -> None:
    first = {"experiments": [{"experiment_id": "1"}, {"experiment_id": "2"}], "next_page_token": "x"}
    script = Script([first, {"experiments": [{"experiment_id": "3"}]}, {}, {"runs": [OURS]}])
    finding = await look(serve, script, None)
    assert finding.presence is Presence.FOUND
    assert [path for path, _ in script.asked] == ["experiments/search"] * 2 + ["runs/search"] * 2
    assert [question.get("experiment_ids") for _, question in script.asked[2:]] == [["1", "2"], ["3"]]
    assert script.asked[0][1]["view_type"] == "ALL"


async def test_several_runs_of_one_token_are_told_of(serve: Serve) -> None:
    double = OURS | {"info": {"run_id": "r9"}}
    finding = await look(serve, Script([{"runs": [OURS, double]}]))
    assert finding.reply.run_id == "r1"
    assert "r9" in finding.reply.message


@pytest.mark.parametrize(
    "answer",
    [
        "<html>welcome</html>",
        "",
        "[]",
        "null",
        '{"runs": [',
        {"error": "try later"},
        {"runs": "none"},
        {"runs": [{"data": {"tags": []}}]},
        {"runs": [OTHER]},
        {"runs": [OURS, OTHER]},
        {"runs": [{"info": {"run_id": "r1"}}]},
        {"runs": [OURS | {"info": {}}]},
    ],
    ids=str,
)
async def test_an_answer_that_can_not_be_relied_on_decides_nothing(serve: Serve, answer: object) -> None:
    finding = await look(serve, Script([answer]))
    assert finding.presence is Presence.UNDECIDED
    assert finding.reply.message


async def test_a_search_without_an_end_is_given_up(serve: Serve) -> None:
    script = Script([{"next_page_token": "again"}] * 1000)
    finding = await look(serve, script)
    assert finding.presence is Presence.UNDECIDED
    assert len(script.asked) == 100


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_refusal_decides_nothing_and_is_told(serve: Serve, status: int) -> None:
    finding = await look(serve, Script([{"code": "Some", "message": "no"}], status))
    assert finding.presence is Presence.UNDECIDED
    assert (finding.reply.status, finding.reply.code, finding.reply.message) == (status, "Some", "no")


async def test_a_workspace_that_tells_of_no_experiment_proves_no_absence(serve: Serve) -> None:
    finding = await look(serve, Script([{}]), None)
    assert finding.presence is Presence.UNDECIDED
