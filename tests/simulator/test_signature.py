import json
import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from oci.signer import Signer
from yarl import URL

from ingestor.model.errors import UsageError
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.simulator.conftest import ADDRESS, Caller

KEY_ID = "ocid1.tenancy/ocid1.user/aa:bb"


def signer_of(key: RSAPrivateKey) -> Signer:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Signer("ocid1.tenancy", "ocid1.user", "aa:bb", None, private_key_content=pem)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def options(key: RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> SimulatorOptions:
    path = tmp_path_factory.mktemp("key") / "public.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return SimulatorOptions(public_key_file=path, key_id=KEY_ID)


def signed_headers(url: str, method: str, body: bytes, signer: Signer, date: str | None = None) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if method == "POST":
        headers["content-length"] = str(len(body))
    if date is not None:
        headers["date"] = date
    target = url.split("/", 3)[3]
    request = SimpleNamespace(method=method, url=url, path_url=f"/{target}", body=body, headers=headers)
    return dict(signer.do_request_sign(request).headers)


async def send(url: str, method: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, URL(url, encoded=True), data=body or None, headers=headers) as response,
    ):
        return response.status, await response.json()


async def post(simulator: Simulator, signer: Signer, **changes: str) -> tuple[int, dict[str, Any]]:
    url = f"{simulator.url}{ADDRESS}/runs/create"
    headers = signed_headers(url, "POST", b'{"run_name":"a"}', signer, changes.pop("date", None))
    body = changes.pop("body", '{"run_name":"a"}').encode()
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    return await send(url, "POST", body, headers)


async def test_a_request_signed_with_the_key_is_admitted(options: SimulatorOptions, key: RSAPrivateKey) -> None:
    async with Simulator(options) as simulator:
        status, answer = await post(simulator, signer_of(key))
        assert (status, answer["run"]["info"]["run_name"]) == (200, "a")


async def test_the_target_is_verified_as_it_was_on_the_wire(options: SimulatorOptions, key: RSAPrivateKey) -> None:
    async with Simulator(options) as simulator:
        url = f"{simulator.url}{ADDRESS}/runs/get?run_id=%61%2Fb"
        headers = signed_headers(url, "GET", b"", signer_of(key))
        assert (await send(url, "GET", b"", headers))[0] == 404
        assert (await send(url.replace("%61", "a"), "GET", b"", headers))[0] == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"body": '{"run_name":"b"}'},
        {"x_content_sha256": "AAAA"},
        {"content_type": "text/plain"},
        {"host": "elsewhere.example"},
        {"authorization": ""},
        {"authorization": "Signature nonsense"},
        {"authorization": "Bearer something"},
    ],
)
async def test_a_request_changed_after_signing_is_refused(
    options: SimulatorOptions, key: RSAPrivateKey, changes: dict[str, str]
) -> None:
    async with Simulator(options) as simulator:
        status, answer = await post(simulator, signer_of(key), **changes)
        assert (status, answer["code"]) == (401, "NotAuthenticated")
        assert simulator.statistics.run_count == 0


async def test_a_request_signed_with_another_key_is_refused(options: SimulatorOptions) -> None:
    async with Simulator(options) as simulator:
        status, answer = await post(simulator, signer_of(generate_private_key(65537, 2048)))
        assert (status, answer["code"]) == (401, "NotAuthenticated")
        assert "does not match" in answer["message"]


async def test_another_key_id_is_refused(options: SimulatorOptions, key: RSAPrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = Signer("ocid1.tenancy", "ocid1.user", "cc:dd", None, private_key_content=pem)
    async with Simulator(options) as simulator:
        status, answer = await post(simulator, signer)
        assert status == 401
        assert "keyId" in answer["message"]


async def test_a_signature_that_leaves_out_the_body_is_refused(options: SimulatorOptions, key: RSAPrivateKey) -> None:
    async with Simulator(options) as simulator:
        url = f"{simulator.url}{ADDRESS}/runs/create"
        headers = signed_headers(url, "GET", b"", signer_of(key))
        request = SimpleNamespace(
            method="POST",
            url=url,
            path_url=ADDRESS + "/runs/create",
            body=b"{}",
            headers={"content-type": "text/plain"},
        )
        headers = signer_of(key).do_request_sign(request, enforce_content_headers=False).headers
        status, answer = await send(url, "POST", b"{}", headers)
        assert status == 401
        assert "cover" in answer["message"]


@pytest.mark.parametrize(("skew", "status"), [(-290, 200), (290, 200), (-310, 401), (310, 401)])
async def test_a_clock_may_be_off_by_five_minutes_and_the_refusal_names_the_services_time(
    options: SimulatorOptions, key: RSAPrivateKey, skew: float, status: int
) -> None:
    now = float(int(time.time()))
    async with Simulator(options, now=lambda: now) as simulator:
        answered, answer = await post(simulator, signer_of(key), date=formatdate(now + skew, usegmt=True))
        assert answered == status
        if status == 401:
            assert "clock" in answer["message"]
            assert formatdate(now, usegmt=True) in answer["message"]


async def test_only_the_right_bearer_token_is_accepted(caller: Caller) -> None:
    options = SimulatorOptions(bearer_token="right")
    async with Simulator(options) as simulator:
        assert (await caller.create(simulator, authorization="Bearer right")).status == 200
        for wrong in ("Bearer wrong", "Bearer ", "Basic right"):
            response = await caller.create(simulator, authorization=wrong)
            assert (response.status, response.json["code"]) == (401, "NotAuthenticated")
        assert (await caller.create(simulator)).status == 401
    assert "right" not in repr(options)


async def test_an_unauthenticated_request_uses_no_rate(caller: Caller) -> None:
    async with Simulator(SimulatorOptions(bearer_token="right", rate=0.001, burst=0)) as simulator:
        assert [(await caller.create(simulator)).status for _ in range(3)] == [401] * 3
        assert (await caller.create(simulator, authorization="Bearer right")).status == 200


def test_a_key_file_that_is_no_public_key_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for text in (None, json.dumps({})):
        if text is not None:
            path.write_text(text)
        with pytest.raises(UsageError, match=r"key\.pem"):
            Simulator(SimulatorOptions(public_key_file=path, key_id=KEY_ID))
    with pytest.raises(UsageError, match="key_id"):
        SimulatorOptions(public_key_file=path)
