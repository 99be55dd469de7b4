"""The search for a run by its stamp, over real sockets: what is found, what is absent, and what proves nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from ingestor.api.options import AuthOptions, Endpoint, TargetOptions, aidp, mlflow
from ingestor.api.service import HttpService
from ingestor.api.values import AuthKind
from ingestor.model.reply import Finding, Presence
from ingestor.policy.identity import STAMP
from ingestor.policy.plan import create_request
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.api.conftest import Serve
from tests.support.records import job

TOKEN = "5" * 64
OURS = {"info": {"run_id": "r1", "experiment_id": "7"}, "data": {"tags": [{"key": STAMP, "value": TOKEN}]}}
OTHER = {"info": {"run_id": "r2"}, "data": {"tags": [{"key": STAMP, "value": "6" * 64}]}}


@dataclass
class Pacing:
    """Counts the requests that were paced."""

    waits: int = 0

    async def __call__(self) -> None:
        self.waits += 1


@asynccontextmanager
async def service_at(endpoint: Endpoint) -> AsyncIterator[HttpService]:
    async with HttpService(
        TargetOptions(endpoint=endpoint, auth=AuthOptions(kind=AuthKind.NONE), connections=4, timeout=10.0)
    ) as service:
        yield service


@dataclass
class Script:
    """A service that answers each search with the next of `answers`, and keeps the searches."""

    answers: list[object]
    status: int = 200
    searches: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.searches.append((request.path.rpartition("mlflow/")[2], json.loads(await request.read())))
        answer = self.answers.pop(0)
        body = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=self.status, body=body.encode(), content_type="application/json")


async def look_up(
    serve: Serve, script: Script, experiment_id: str | None = "7", pacing: Pacing | None = None
) -> Finding:
    async with serve(script) as url, service_at(mlflow(str(url))) as service:
        return await service.find(TOKEN, experiment_id, pacing or Pacing())


@pytest.mark.parametrize("experiment_id", ["0", None])
async def test_only_stamped_runs_of_the_simulator_are_found(experiment_id: str | None) -> None:
    async with Simulator(SimulatorOptions(experiments=frozenset("0123"))) as simulator:
        endpoint = aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY)
        async with service_at(endpoint) as service:
            here, unstamped, absent = (job(number, experiment_id="0") for number in (1, 2, 3))
            created = await service.send(create_request(here, stamped=True))
            await service.send(create_request(unstamped, stamped=False))
            found = await service.find(here.token, experiment_id, Pacing())
            assert (found.presence, found.reply.run_id, found.reply.experiment_id) == (
                Presence.FOUND,
                created.run_id,
                "0",
            )
            for other in (unstamped, absent):
                assert (await service.find(other.token, experiment_id, Pacing())).presence is Presence.ABSENT


async def test_the_search_has_the_form_that_the_service_understands(serve: Serve) -> None:
    script = Script([{}])
    finding = await look_up(serve, script)
    assert finding.presence is Presence.ABSENT
    ((path, members),) = script.searches
    assert path == "runs/search"
    assert members == {
        "experiment_ids": ["7"],
        "filter": f"tags.`{STAMP}` = '{TOKEN}'",
        "run_view_type": "ALL",
        "max_results": 10,
    }


async def test_pages_are_followed_to_their_end_and_each_is_paced(serve: Serve) -> None:
    pacing = Pacing()
    script = Script([{"next_page_token": "a"}, {"runs": [], "next_page_token": "b"}, {"runs": [OURS]}])
    finding = await look_up(serve, script, pacing=pacing)
    assert finding.presence is Presence.FOUND
    assert [members.get("page_token") for _, members in script.searches] == [None, "a", "b"]
    assert pacing.waits == 2


async def test_all_experiments_are_searched_where_the_record_names_none(serve: Serve) -> None:
    first = {"experiments": [{"experiment_id": "1"}, {"experiment_id": "2"}], "next_page_token": "x"}
    script = Script([first, {"experiments": [{"experiment_id": "3"}]}, {}, {"runs": [OURS]}])
    finding = await look_up(serve, script, None)
    assert finding.presence is Presence.FOUND
    assert [path for path, _ in script.searches] == ["experiments/search"] * 2 + ["runs/search"] * 2
    assert [members.get("experiment_ids") for _, members in script.searches[2:]] == [["1", "2"], ["3"]]
    assert script.searches[0][1]["view_type"] == "ALL"


async def test_several_runs_of_one_token_are_reported(serve: Serve) -> None:
    double = OURS | {"info": {"run_id": "r9"}}
    finding = await look_up(serve, Script([{"runs": [OURS, double]}]))
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
async def test_an_unreliable_answer_proves_nothing(serve: Serve, answer: object) -> None:
    finding = await look_up(serve, Script([answer]))
    assert finding.presence is Presence.UNDECIDED
    assert finding.reply.message


async def test_a_search_without_an_end_is_given_up(serve: Serve) -> None:
    script = Script([{"next_page_token": "again"}] * 1000)
    finding = await look_up(serve, script)
    assert finding.presence is Presence.UNDECIDED
    assert len(script.searches) == 100


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_refusal_proves_nothing_and_is_reported(serve: Serve, status: int) -> None:
    finding = await look_up(serve, Script([{"code": "Some", "message": "no"}], status))
    assert finding.presence is Presence.UNDECIDED
    assert (finding.reply.status, finding.reply.code, finding.reply.message) == (status, "Some", "no")


async def test_a_workspace_without_experiments_proves_no_absence(serve: Serve) -> None:
    finding = await look_up(serve, Script([{}]), None)
    assert finding.presence is Presence.UNDECIDED
