"""An answer that quotes our credentials, in whatever form: nothing of them leaves the service."""

import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr

from ingestor.api.options import AuthOptions, TargetOptions, mlflow
from ingestor.api.senders import SenderPool
from ingestor.api.service import HttpService
from ingestor.api.values import MASK, AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.reply import Presence, Reply
from ingestor.model.request import Request
from ingestor.model.text import MESSAGE_LIMIT
from tests.api.conftest import TENANCY, Clock, Serve, jwt, pem, write_profile

TOKEN = "c2VjcmV0IHRva2VuIG9mIGEgdXNlcg=="
BEARER = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr(TOKEN))

Answer = Callable[[str], web.Response]
"""Makes an answer to a request with this Authorization header."""


def as_handler(answer: Answer) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return answer(request.headers["Authorization"])

    return handle


def escaped(text: str) -> str:
    return "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in text)


def refusal(text: str) -> web.Response:
    return web.Response(status=401, body=f'{{"code": "{text}", "message": "{text} expired"}}'.encode())


ANSWERS: dict[str, Answer] = {
    "as JSON": lambda sent: refusal(sent.replace('"', '\\"')),
    "as JSON with escapes": lambda sent: refusal(escaped(sent)),
    "as JSON in a page": lambda sent: web.Response(status=502, text=f"<html>{json.dumps(escaped(sent))}"),
    "in a page": lambda sent: web.Response(status=502, text=f"<html><b>{sent.replace('=', '&#61;')}</b>"),
    "in an address": lambda sent: web.Response(
        status=302, headers={"Location": f"https://h/{sent.replace('=', '%3D')}"}
    ),
    "in a request id": lambda sent: web.json_response(
        {"run": {"info": {"run_id": "r"}}}, headers={"opc-request-id": sent.rpartition(" ")[2]}
    ),
    "in ids": lambda sent: web.json_response(
        {"run": {"info": {"run_id": sent.rpartition(" ")[2], "experiment_id": sent.rpartition(" ")[2]}}}
    ),
    "as base64": lambda sent: refusal(base64.b64encode(sent.encode()).decode()),
    "in an answer without a run": lambda sent: web.json_response({"authorization": sent}),
}


async def ask(serve: Serve, answer: Answer, auth: AuthOptions, request: Request) -> Reply:
    async with serve(as_handler(answer)) as base:
        options = TargetOptions(endpoint=mlflow(str(base)), auth=auth, connections=2, timeout=10)
        async with HttpService(options) as service:
            return await service.send(request)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_bearer_token_is_in_no_field_of_a_reply(serve: Serve, create: Request, answer: Answer) -> None:
    said = repr(await ask(serve, answer, BEARER, create))
    assert MASK in said
    assert not any(TOKEN[at : at + 12] in said for at in range(len(TOKEN) - 11))


@pytest.mark.parametrize("token", ["x" * 40 + "." + "y1Z" * 300, "z9Q" * 2000])
async def test_what_follows_a_long_token_in_a_message_is_kept(serve: Serve, create: Request, token: str) -> None:
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr(token))

    def quote(sent: str) -> web.Response:
        message = f"The token {sent.removeprefix('Bearer ')} has expired"
        return web.json_response({"code": "NotAuthenticated", "message": message}, status=401)

    assert (await ask(serve, quote, auth, create)).message == f"The token {MASK} has expired"


async def test_a_long_message_is_cut_after_it_was_searched(serve: Serve, create: Request) -> None:
    page = "x" * 495 + TOKEN
    said = (await ask(serve, lambda _: web.Response(status=502, text=page), BEARER, create)).message
    assert len(said) == MESSAGE_LIMIT
    assert "c2V" not in said


async def test_the_base64_form_of_a_header_is_removed(serve: Serve, create: Request) -> None:
    encoded = base64.b64encode(f"Bearer {TOKEN}".encode()).decode()

    def quote(_: str) -> web.Response:
        return web.json_response({"code": "X", "message": f"header {encoded} is wrong"}, status=400)

    assert (await ask(serve, quote, BEARER, create)).message == f"header {MASK} is wrong"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_name_and_a_password_are_in_no_reply_as_they_were_sent(
    serve: Serve, create: Request, answer: Answer
) -> None:
    auth = AuthOptions(kind=AuthKind.BASIC, basic_username="ann", basic_password=SecretStr("open sesame"))
    said = repr(await ask(serve, answer, auth, create))
    assert MASK in said
    assert base64.b64encode(b"ann:open sesame").decode()[:12] not in said


async def test_a_password_that_is_quoted_in_plain_text_is_removed(serve: Serve, create: Request) -> None:
    def decode(sent: str) -> web.Response:
        return refusal(base64.b64decode(sent.removeprefix("Basic ")).decode())

    auth = AuthOptions(kind=AuthKind.BASIC, basic_username="ann", basic_password=SecretStr("hunter2"))
    assert (await ask(serve, decode, auth, create)).message == f"ann:{MASK} expired"


@pytest.mark.parametrize("answer", [ANSWERS["as JSON"], ANSWERS["in a page"]])
async def test_a_session_token_and_a_passphrase_are_removed_and_ocids_stay(
    serve: Serve, create: Request, answer: Answer, tmp_path: Path, key: RSAPrivateKey
) -> None:
    token = jwt(4_000_000_000, jti="x" * 50)
    (tmp_path / "key.pem").write_bytes(pem(key, "correct horse battery"))
    (tmp_path / "token").write_text(token)
    file = write_profile(
        tmp_path,
        key_file=tmp_path / "key.pem",
        security_token_file=tmp_path / "token",
        pass_phrase="correct horse battery",
    )
    auth = AuthOptions(kind=AuthKind.SESSION_TOKEN, oci_config=file)

    def quote(sent: str) -> web.Response:
        key_id = re.findall('keyId="([^"]*)"', sent)[0]
        return answer(f"{TENANCY} {key_id} correct horse battery")

    said = (await ask(serve, quote, auth, create)).message
    assert TENANCY in said
    assert not any(token[at : at + 12] in said for at in range(len(token) - 11))
    assert "ST$" not in said
    assert "horse" not in said


async def test_a_signature_is_removed_from_the_answer_to_its_request(
    serve: Serve, create: Request, tmp_path: Path, key: RSAPrivateKey
) -> None:
    sent: list[str] = []

    def quote(authorization: str) -> web.Response:
        sent.extend(re.findall('signature="([^"]*)"', authorization))
        return refusal(f"signature {sent[-1]}")

    (tmp_path / "key.pem").write_bytes(pem(key))
    fields = {"tenancy": TENANCY, "user": TENANCY, "fingerprint": ":".join(["ab"] * 16)}
    auth = AuthOptions(
        kind=AuthKind.API_KEY, oci_config=write_profile(tmp_path, key_file=tmp_path / "key.pem", **fields)
    )
    reply = await ask(serve, quote, auth, create)
    assert sent
    assert reply.message.startswith(f"signature {MASK} expired")


async def test_the_credentials_of_a_proxy_are_removed(
    serve: Serve, create: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = base64.b64encode(b"ann:open sesame").decode()

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        return refusal(f"{both} open sesame")

    async with serve(refuse) as base:
        monkeypatch.setenv("http_proxy", f"http://ann:open%20sesame@127.0.0.1:{base.port}")
        monkeypatch.setenv("no_proxy", "")
        nobody = AuthOptions(kind=AuthKind.NONE)
        options = TargetOptions(endpoint=mlflow("http://server.example"), auth=nobody, connections=2, timeout=10)
        async with HttpService(options) as service:
            assert (await service.send(create)).message == f"{MASK} {MASK} expired"


async def test_a_401_names_the_reason_why_there_is_no_newer_token(
    serve: Serve, create: Request, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "token"
    file.write_text("old-token-of-a-user")
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token_file=file)
    async with serve(as_handler(refusal)) as base:
        options = TargetOptions(endpoint=mlflow(str(base)), auth=auth, connections=2, timeout=10)
        async with HttpService(options) as service:
            service._signer._now = clock  # type: ignore[union-attr]  # a moment later, without waiting for it
            clock.time = 4_000_000_000.0
            file.write_text("new\ntoken")
            assert not await service.renew_credentials()
            reply = await service.send(create)
    assert f"newer credentials can't be loaded: {file}: the file of the bearer token has a line break" in reply.message


async def test_a_401_for_the_key_of_a_rehearsal_names_its_true_fingerprint(
    serve: Serve, create: Request, tmp_path: Path, key: RSAPrivateKey
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key))
    fields = {"tenancy": TENANCY, "user": TENANCY, "fingerprint": ":".join(["ab"] * 16)}
    auth = AuthOptions(
        kind=AuthKind.API_KEY, oci_config=write_profile(tmp_path, key_file=tmp_path / "key.pem", **fields)
    )
    reply = await ask(serve, lambda _: refusal("NotAuthenticated"), auth, create)
    assert "fingerprint is not that of the key in key_file" in reply.message


def found_run(_: str) -> web.Response:
    tags = [{"key": "ingestor.token", "value": "the-token"}]
    runs = [{"info": {"run_id": f"run-{TOKEN}", "experiment_id": "7"}, "data": {"tags": tags}}]
    return web.Response(body=json.dumps({"runs": runs}).replace("=", "\\u003d").encode())


async def no_pace() -> None:
    pass


@pytest.mark.parametrize("senders", [0, 1])
async def test_a_search_finds_no_secret_in_this_process_and_through_a_sender(serve: Serve, senders: int) -> None:
    async with serve(as_handler(found_run)) as base:
        options = TargetOptions(endpoint=mlflow(str(base)), auth=BEARER, connections=2, timeout=10)
        async with SenderPool(options, senders) if senders else HttpService(options) as service:
            finding = await service.find("the-token", "7", no_pace)
    assert (finding.presence, finding.reply.run_id) == (Presence.FOUND, f"run-{MASK}")


@pytest.mark.parametrize("senders", [1, 2])
@pytest.mark.parametrize("content", [b"two\nlines", b"\xff\xfea\x00", None])
async def test_senders_report_credentials_that_can_not_be_used_at_once(
    tmp_path: Path, senders: int, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    auth = replace(BEARER, bearer_token=None, bearer_token_file=tmp_path / "token")
    options = TargetOptions(endpoint=mlflow("http://127.0.0.1:9"), auth=auth, connections=2, timeout=10)
    with pytest.raises(CredentialsError, match="the file of the bearer token"):
        async with SenderPool(options, senders):
            pass
