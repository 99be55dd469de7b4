import asyncio
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
from ingestor.api.client import HttpService, make_target
from ingestor.api.endpoint import Endpoint, aidp, mlflow
from ingestor.api.options import AuthKind, AuthOptions, TargetOptions
from ingestor.api.renewal import Lease
from ingestor.api.signing import BearerSigner, Identity, RequestSigner, signed_headers
from ingestor.api.transport import Transport
from ingestor.model.errors import CredentialsError, UsageError
from ingestor.model.ports import Target
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from tests.api.conftest import Clock, Serve

NOBODY = AuthOptions(kind=AuthKind.NONE)


class Service:
    """Records requests and gives each the answer that is set."""

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
async def service(serve: Serve) -> AsyncIterator[Service]:
    service = Service()
    async with serve(service) as base:
        service.endpoint = aidp(endpoint=str(base), platform_id="ocid1.x", workspace="ws")
        yield service


def options_of(endpoint: Endpoint, auth: AuthOptions, user_principal: str | None = None) -> TargetOptions:
    return TargetOptions(endpoint=endpoint, auth=auth, connections=4, timeout=10, user_principal=user_principal)


def target_of(service: Service, auth: AuthOptions = NOBODY, user_principal: str | None = None) -> HttpService:
    return make_target(options_of(service.endpoint, auth, user_principal))


async def through_the_port(target: Target, job: Job) -> Reply:
    return await target.create(job, stamped=False)


async def test_an_attempt_is_one_documented_request(service: Service, job: Job) -> None:
    async with target_of(service) as target:
        reply = await through_the_port(target, job)
    assert (reply.status, reply.run_id) == (200, "r-1")
    request = service.requests[0]
    prefix = "/20260430/aiDataPlatforms/ocid1.x/workspaces/ws/mlops/api/2.0/mlflow"
    assert (request.method, request.raw_path, service.bodies[0]) == ("POST", f"{prefix}/runs/create", job.body)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert re.fullmatch("[0-9A-F]{32}", headers.pop("opc-request-id"))
    assert headers == {
        "host": request.host,
        "user-agent": f"ingestor/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(job.body)),
        "opc-retry-token": job.token,
    }


async def test_every_attempt_has_its_own_request_id_and_the_jobs_one_token(service: Service, job: Job) -> None:
    async with target_of(service) as target:
        replies = [await target.create(job, stamped=True) for _ in range(3)]
    sent = [request.headers["opc-request-id"] for request in service.requests]
    assert len(set(sent)) == 3
    assert [reply.opc_client_request_id for reply in replies] == sent
    assert [reply.opc_request_id for reply in replies] == [f"{one}/A/B" for one in sent]
    assert {request.headers["opc-retry-token"] for request in service.requests} == {job.token}
    assert len(set(service.bodies)) == 1
    assert json.loads(service.bodies[0])["tags"][-1] == {"key": "ingestor.token", "value": job.token}


async def test_the_user_principal_is_passed_through(service: Service, job: Job) -> None:
    async with target_of(service, user_principal="ocid1.user.oc1..a") as target:
        await target.create(job, stamped=False)
        await target.probe()
    assert [request.headers["dh-user-principal"] for request in service.requests] == ["ocid1.user.oc1..a"] * 2


@pytest.mark.parametrize("principal", ["a\r\nX: 1", "é", "\x00"])
async def test_a_user_principal_that_no_header_can_hold_is_refused(service: Service, principal: str) -> None:
    with pytest.raises(UsageError, match="dh-user-principal"):
        target_of(service, user_principal=principal)


async def test_a_probe_searches_and_creates_nothing(service: Service) -> None:
    service.body = {}
    async with target_of(service) as target:
        reply = await target.probe()
    assert (reply.status, reply.message) == (200, "")
    assert service.requests[0].path.endswith("/mlops/api/2.0/mlflow/experiments/search")
    assert json.loads(service.bodies[0]) == {"max_results": 1}
    assert "opc-retry-token" not in service.requests[0].headers


async def test_a_refusal_is_a_reply(service: Service, job: Job) -> None:
    service.status, service.body = 404, {"code": "NotAuthorizedOrNotFound", "message": "no"}
    async with target_of(service) as target:
        reply = await target.create(job, stamped=False)
    assert (reply.status, reply.code, reply.message, reply.run_id) == (404, "NotAuthorizedOrNotFound", "no", None)


async def test_signatures_match_what_arrives(service: Service, job: Job, key: RSAPrivateKey) -> None:
    identity = Identity("a/b/c", key)
    url = service.endpoint.create_url
    transport = Transport(url, connections=1, timeout=10)
    async with HttpService(service.endpoint, RequestSigner(lambda: Lease(identity)), transport) as target:
        await target.create(job, stamped=True)
    arrived = service.requests[0].headers
    url_as_seen = URL(f"http://{arrived['host']}{service.requests[0].raw_path}", encoded=True)
    for name, value in signed_headers(identity, "POST", url_as_seen, service.bodies[0], arrived["date"]).items():
        assert arrived[name] == value


async def test_credentials_that_fail_later_send_nothing(service: Service, job: Job, clock: Clock) -> None:
    def load() -> Lease[str]:
        if clock.time > start:
            raise CredentialsError("the token file is gone")
        return Lease("t", renew_at=start + 1, expires_at=start + 1)

    start = clock.time
    transport = Transport(service.endpoint.create_url, connections=1, timeout=10)
    async with HttpService(service.endpoint, BearerSigner(load, clock), transport) as target:
        clock.time += 60
        reply = await target.create(job, stamped=False)
        assert (reply.fault, reply.message) == (Fault.UNSIGNED, "the token file is gone")
        assert re.fullmatch("[0-9A-F]{32}", reply.opc_client_request_id)
        assert (await target.probe()).fault is Fault.UNSIGNED
    assert service.requests == []


async def test_credentials_that_are_missing_are_told_before_anything_is_sent(service: Service) -> None:
    with pytest.raises(CredentialsError):
        await target_of(service, AuthOptions(kind=AuthKind.BEARER)).__aenter__()


async def test_a_token_that_was_replaced_is_used_after_a_401(
    service: Service, job: Job, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token_file=file)
    async with target_of(service, auth) as target:
        target._signer._now = clock  # type: ignore[attr-defined]  # a moment later, without waiting for it
        clock.time = 4_000_000_000.0
        file.write_text("new")
        assert await target.renew_credentials()
        await target.create(job, stamped=False)
        clock.time += 120
        assert not await target.renew_credentials()
    assert service.requests[0].headers["authorization"] == "Bearer new"


async def test_credentials_that_an_answer_quotes_are_taken_out_of_it(service: Service, job: Job) -> None:
    service.status, service.body = 400, {"code": "Bad", "message": "odd header: Authorization: Bearer s3cr3t-t0ken"}
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("s3cr3t-t0ken"))
    async with target_of(service, auth) as target:
        reply = await target.create(job, stamped=False)
    assert "s3cr3t" not in repr(reply)
    assert reply.message.endswith("Bearer [credentials]")


async def test_credentials_are_not_sent_in_clear_to_another_machine() -> None:
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("t"))
    with pytest.raises(UsageError, match="not encrypted"):
        make_target(options_of(mlflow("http://mlflow.example"), auth))
    make_target(options_of(mlflow("http://mlflow.example"), NOBODY))


async def test_a_target_serves_many_attempts_at_once(service: Service, job: Job) -> None:
    async with target_of(service) as target:
        replies = await asyncio.gather(*(target.create(job, stamped=True) for _ in range(200)))
    assert {reply.run_id for reply in replies} == {"r-1"}
    assert len({reply.opc_client_request_id for reply in replies}) == 200
