import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr
from yarl import URL

from ingestor import __version__
from ingestor.api.options import AuthOptions, Endpoint, TargetOptions, aidp, mlflow
from ingestor.api.service import HttpService
from ingestor.api.signing import BearerSigner, Identity, Lease, RequestSigner, signed_headers
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError, UsageError
from ingestor.model.ports import Service
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from ingestor.policy.proof import ProbeState
from tests.api.conftest import Clock, Serve

NOBODY = AuthOptions(kind=AuthKind.NONE)


class Recorder:
    """A server that keeps requests and answers each with `status` and `body`."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.body: object = {"run": {"info": {"run_id": "r-1"}}}
        self.endpoint: Endpoint

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        headers = {"opc-request-id": request.headers["opc-request-id"] + "/A/B"}
        return web.json_response(self.body, status=self.status, headers=headers)


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[Recorder]:
    server = Recorder()
    async with serve(server) as base:
        server.endpoint = aidp(endpoint=str(base), platform_id="ocid1.x", workspace="ws")
        yield server


def options_of(endpoint: Endpoint, auth: AuthOptions, user_principal: str | None = None) -> TargetOptions:
    return TargetOptions(endpoint=endpoint, auth=auth, connections=4, timeout=10, user_principal=user_principal)


def service_of(server: Recorder, auth: AuthOptions = NOBODY, user_principal: str | None = None) -> HttpService:
    return HttpService(options_of(server.endpoint, auth, user_principal))


async def through_the_port(service: Service, request: Request) -> Reply:
    return await service.send(request)


async def test_an_attempt_is_one_documented_request(server: Recorder, create: Request) -> None:
    async with service_of(server) as service:
        reply = await through_the_port(service, create)
    assert (reply.status, reply.run_id) == (200, "r-1")
    request = server.requests[0]
    prefix = "/20260430/aiDataPlatforms/ocid1.x/workspaces/ws/mlops/api/2.0/mlflow"
    assert (request.method, request.raw_path, server.bodies[0]) == ("POST", f"{prefix}/runs/create", create.body)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert re.fullmatch("[0-9A-F]{32}", headers.pop("opc-request-id"))
    assert headers == {
        "host": request.host,
        "user-agent": f"ingestor/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(create.body)),
        "opc-retry-token": create.token,
    }


async def test_every_attempt_has_its_own_request_id_and_the_same_request(server: Recorder, create: Request) -> None:
    async with service_of(server) as service:
        replies = [await service.send(create) for _ in range(3)]
    sent = [request.headers["opc-request-id"] for request in server.requests]
    assert len(set(sent)) == 3
    assert [reply.opc_client_request_id for reply in replies] == sent
    assert [reply.opc_request_id for reply in replies] == [f"{one}/A/B" for one in sent]
    assert {request.headers["opc-retry-token"] for request in server.requests} == {create.token}
    assert len(set(server.bodies)) == 1
    assert json.loads(server.bodies[0])["tags"][-1] == {"key": "ingestor.token", "value": create.token}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Sign in</html>", ": <html>Sign in</html>"),
        (b"[]", ": []"),
        (b"", ": it is empty"),
        (b'{"login": 1}', ""),
        (b'{"experiments": "none"}', ""),
    ],
)
async def test_an_answer_to_a_probe_that_is_no_page_of_experiments_proves_nothing(
    serve: Serve, body: bytes, words: str
) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body)

    async with serve(answer) as base, HttpService(options_of(mlflow(str(base)), NOBODY)) as service:
        reply = await service.probe()
    assert (reply.status, reply.fault) == (None, Fault.GARBLED)
    assert reply.message == f"the answer to a search is no page of experiments{words}"
    assert ProbeState.after(reply) is ProbeState.UNCLEAR


@pytest.mark.parametrize("body", [b"{}", b' {"experiments": []}', b'{"experiments": [{"experiment_id": "0"}]}'])
async def test_any_page_of_experiments_grants_a_probe(serve: Serve, body: bytes) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body)

    async with serve(answer) as base, HttpService(options_of(mlflow(str(base)), NOBODY)) as service:
        assert ProbeState.after(await service.probe()) is ProbeState.GRANTED


async def test_the_user_principal_is_sent_unchanged(server: Recorder, create: Request) -> None:
    async with service_of(server, user_principal="ocid1.user.oc1..a") as service:
        await service.send(create)
        await service.probe()
    assert [request.headers["dh-user-principal"] for request in server.requests] == ["ocid1.user.oc1..a"] * 2


@pytest.mark.parametrize("principal", ["a\r\nX: 1", "é", "\x00"])
async def test_a_user_principal_that_no_header_can_hold_is_refused(server: Recorder, principal: str) -> None:
    with pytest.raises(UsageError, match="dh-user-principal"):
        service_of(server, user_principal=principal)


async def test_a_probe_searches_and_creates_nothing(server: Recorder) -> None:
    server.body = {}
    async with service_of(server) as service:
        reply = await service.probe()
    assert (reply.status, reply.message) == (200, "")
    assert server.requests[0].path.endswith("/mlops/api/2.0/mlflow/experiments/search")
    assert json.loads(server.bodies[0]) == {"max_results": 1}
    assert "opc-retry-token" not in server.requests[0].headers


STEPS = [Operation.LOG_BATCH, Operation.LOG_INPUTS, Operation.UPDATE_RUN, Operation.DELETE_RUN]


@pytest.mark.parametrize("operation", STEPS)
async def test_every_operation_has_its_own_path_and_its_answer_needs_no_run(
    server: Recorder, operation: Operation
) -> None:
    server.body = {}
    request = Request(operation, b'{"run_id":"r-1"}', "step-token", is_repeatable=True)
    async with service_of(server) as service:
        reply = await service.send(request)
    assert (reply.status, reply.fault, reply.message, reply.run_id) == (200, None, "", None)
    assert server.requests[0].path.endswith(f"/mlops/api/2.0/mlflow/{operation.value}")
    assert server.requests[0].headers["opc-retry-token"] == "step-token"
    assert server.bodies == [request.body]


async def test_a_refusal_is_a_reply(server: Recorder, create: Request) -> None:
    server.status, server.body = 404, {"code": "NotAuthorizedOrNotFound", "message": "no"}
    async with service_of(server) as service:
        reply = await service.send(create)
    assert (reply.status, reply.code, reply.message, reply.run_id) == (404, "NotAuthorizedOrNotFound", "no", None)


async def test_signatures_match_what_arrives(server: Recorder, create: Request, key: RSAPrivateKey) -> None:
    identity = Identity("a/b/c", key)
    options = options_of(server.endpoint, NOBODY)
    async with HttpService(options, signer=RequestSigner(lambda: Lease(identity))) as service:
        await service.send(create)
    arrived = server.requests[0].headers
    url_as_seen = URL(f"http://{arrived['host']}{server.requests[0].raw_path}", encoded=True)
    for name, value in signed_headers(identity, "POST", url_as_seen, server.bodies[0], arrived["date"]).items():
        assert arrived[name] == value


async def test_credentials_that_fail_later_send_nothing(server: Recorder, create: Request, clock: Clock) -> None:
    def load() -> Lease[str]:
        if clock.time > start:
            raise CredentialsError("the token file is gone")
        return Lease("t", renew_at=start + 1, expires_at=start + 1)

    start = clock.time
    async with HttpService(options_of(server.endpoint, NOBODY), signer=BearerSigner(load, clock)) as service:
        clock.time += 60
        reply = await service.send(create)
        assert (reply.fault, reply.message) == (Fault.UNSIGNED, "the token file is gone")
        assert re.fullmatch("[0-9A-F]{32}", reply.opc_client_request_id)
        assert (await service.probe()).fault is Fault.UNSIGNED
    assert server.requests == []


async def test_missing_credentials_are_reported_before_anything_is_sent(server: Recorder, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError):
        await service_of(server, AuthOptions(kind=AuthKind.BEARER, bearer_token_file=tmp_path / "gone")).__aenter__()
    assert server.requests == []


async def test_a_token_that_was_replaced_is_used_after_a_401(
    server: Recorder, create: Request, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token_file=file)
    async with service_of(server, auth) as service:
        service._signer._now = clock  # type: ignore[union-attr]  # a moment later, without waiting for it
        clock.time = 4_000_000_000.0
        file.write_text("new")
        assert await service.renew_credentials()
        await service.send(create)
        clock.time += 120
        assert not await service.renew_credentials()
    assert server.requests[0].headers["authorization"] == "Bearer new"


async def test_credentials_that_an_answer_quotes_are_removed_from_it(server: Recorder, create: Request) -> None:
    server.status, server.body = 400, {"code": "Bad", "message": "odd header: Authorization: Bearer s3cr3t-t0ken"}
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("s3cr3t-t0ken"))
    async with service_of(server, auth) as service:
        reply = await service.send(create)
    assert "s3cr3t" not in repr(reply)
    assert reply.message.endswith("Bearer ********")


async def test_credentials_that_a_compressed_answer_quotes_are_removed_from_it(serve: Serve, create: Request) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        page = f"<html>{request.headers['authorization']}".encode()
        return web.Response(status=502, body=gzip.compress(page), headers={"Content-Encoding": "gzip"})

    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("s3cr3t-t0ken"))
    async with serve(echo) as base, HttpService(options_of(mlflow(str(base)), auth)) as service:
        assert (await service.send(create)).message == "<html>Bearer ********"


async def test_credentials_are_not_sent_unencrypted_to_another_machine() -> None:
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("t"))
    with pytest.raises(UsageError, match="not encrypted"):
        HttpService(options_of(mlflow("http://mlflow.example"), auth))
    HttpService(options_of(mlflow("http://mlflow.example"), NOBODY))


async def test_many_attempts_are_made_at_once(server: Recorder, create: Request) -> None:
    async with service_of(server) as service:
        replies = await asyncio.gather(*(service.send(create) for _ in range(200)))
    assert {reply.run_id for reply in replies} == {"r-1"}
    assert len({reply.opc_client_request_id for reply in replies}) == 200


async def test_a_probe_is_answered_while_every_attempt_in_flight_waits_for_its_answer(
    serve: Serve, create: Request
) -> None:
    answering = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/create"):
            await answering.wait()
        return web.json_response({})

    async with serve(answer) as base:
        options = options_of(aidp(endpoint=str(base), platform_id="ocid1.x", workspace="ws"), NOBODY)
        async with HttpService(options) as service, asyncio.timeout(9), asyncio.TaskGroup() as attempts:
            for _ in range(options.connections):
                attempts.create_task(service.send(create))
            assert (await service.probe()).status == 200
            answering.set()
