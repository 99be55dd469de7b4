"""Mistakes in credentials end in one sentence, and no secret is written anywhere, whatever a service answers."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from ingestor.api.values import MASK
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.api.conftest import FINGERPRINT, TENANCY, USER, jwt, pem, write_profile
from tests.e2e.program import Program, at

TOKEN = "c2VjcmV0IHRva2VuIG9mIGEgdXNlcg=="
SESSION = jwt(4_000_000_000, jti="x" * 60)
PASSWORD = "correct horse battery staple"
WANTED = list(records(6))

SESSION_TOKENS = {
    "~nosuchuser/token": None,
    "split": (SESSION[:40] + "\n" + SESSION[40:]).encode(),
    "utf16": SESSION.encode("utf-16"),
}


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def session_profile(program: Program, key: RSAPrivateKey, token: str, content: bytes | None) -> tuple[str, ...]:
    """Write a session's profile, and return the flags that name it."""
    program.write("key.pem", pem(key))
    if content is not None:
        program.write(token, content)
    write_profile(program.folder, "S", key_file="key.pem", security_token_file=token, tenancy=TENANCY)
    return ("--oci-config", "config", "--oci-profile", "S")


@pytest.mark.parametrize("senders", ["0", "1", "2"])
@pytest.mark.parametrize("token", SESSION_TOKENS)
async def test_a_session_token_that_can_not_be_used_ends_at_once_in_a_sentence(
    program: Program, simulator: Simulator, key: RSAPrivateKey, token: str, senders: str
) -> None:
    profile = session_profile(program, key, token, SESSION_TOKENS[token])
    source = program.write("runs.jsonl", WANTED)

    ended = await program.run("run", *at(simulator), "--auth", "session-token", *profile, "--senders", senders, source)

    assert ended.code == 4
    assert f"config, profile [S]: security_token_file names {token}, which" in ended.stderr
    assert SESSION[:20] not in ended.stdout + ended.stderr
    assert simulator.statistics.requests == 0


@pytest.mark.parametrize("command", ["config", "check"])
@pytest.mark.parametrize("token", SESSION_TOKENS)
async def test_config_and_check_find_credentials_that_can_not_be_used(
    program: Program, simulator: Simulator, key: RSAPrivateKey, token: str, command: str
) -> None:
    profile = session_profile(program, key, token, SESSION_TOKENS[token])
    source = program.write("runs.jsonl", WANTED)

    ended = await program.run(
        command, *at(simulator), "--auth", "session-token", *profile, *([source] if command == "check" else [])
    )

    assert ended.code == 0
    assert f"warning: run needs more: config, profile [S]: security_token_file names {token}, which" in ended.stderr
    assert simulator.statistics.requests == 0


@pytest.mark.parametrize("command", ["config", "check"])
async def test_config_and_check_find_a_fingerprint_of_another_key_unless_the_target_is_on_this_machine_as_a_run_does(
    program: Program, simulator: Simulator, key: RSAPrivateKey, command: str
) -> None:
    program.write("key.pem", pem(key))
    write_profile(program.folder, tenancy=TENANCY, user=USER, fingerprint=FINGERPRINT, key_file="key.pem")
    source = [program.write("runs.jsonl", WANTED)] if command == "check" else []

    elsewhere = ("--endpoint", "https://h.example", "--platform-id", "p", "--workspace", "w", "--oci-config", "config")
    ended = await program.run(command, *elsewhere, *source)
    assert "fingerprint is not that of the key in key_file" in ended.stderr

    ended = await program.run(command, *at(simulator), "--oci-config", "config", *source)
    assert ended.stderr == ""


@pytest.mark.parametrize("command", ["run", "config", "check"])
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--region", "us-nowhere-9", "--platform-id", "p", "--workspace", "w"), "--region 'us-nowhere-9' is not in"),
        (("--tracking-uri", "http://h.example", "--auth", "basic", "--basic-username", "ann"), "is not encrypted"),
        (("--tracking-uri", "http://a..b"), "--tracking-uri: must be http(s)://host"),
        (
            ("--tracking-uri", "https://h.example", "--dh-user-principal", "\u00e9"),
            "--dh-user-principal: must be ASCII",
        ),
    ],
)
async def test_a_setting_that_no_batch_can_use_is_an_error_of_every_command(
    program: Program, command: str, words: tuple[str, ...], problem: str
) -> None:
    source = program.write("runs.jsonl", WANTED)
    names = () if command == "config" else (source,)

    ended = await program.run(command, *words, *names, env={"INGESTOR_BASIC_PASSWORD": PASSWORD})

    assert ended.code == 2
    assert problem in ended.stderr
    assert PASSWORD not in ended.stdout + ended.stderr


@asynccontextmanager
async def hostile_service(requests: list[str]) -> AsyncIterator[str]:
    """Serve answers that quote the credentials of each request in another form."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").rpartition(" ")[2]
        requests.append(sent)
        escaped = "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in sent)
        try:
            plain = base64.b64decode(sent).decode()
        except ValueError:
            plain = ""
        match len(requests) % 6:
            case 0:
                return web.Response(status=400, body=f'{{"code":"{escaped}","message":"{escaped} {plain}"}}'.encode())
            case 1:
                run = {"run": {"info": {"run_id": f"r{len(requests)}-{sent}", "experiment_id": sent}}}
                return web.json_response(run, headers={"opc-request-id": sent})
            case 2:
                return web.Response(status=422, text=f"<html>{sent.replace('=', '&#61;')} {escaped} {plain}")
            case 3:
                return web.json_response({"code": "InvalidParameter", "message": json.dumps(sent)}, status=400)
            case 4:
                return web.json_response(
                    {"run": {"info": {"run_id": f"r{len(requests)}"}}}, headers={"opc-request-id": sent}
                )
            case _:
                return web.Response(status=413, text=f'{{"error":"{escaped}"}} {plain}')

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def assert_no_file_holds(folder: Path, secret: str, *printed: str) -> None:
    """Assert that no piece of a secret is in any file of the state directory, or was printed."""
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"journal.db", "log.jsonl"} <= {path.name for path in written}
    pieces = [secret[at : at + 12].encode() for at in range(len(secret) - 11)]
    for path, content in [*written.items(), *((text[:20], text.encode()) for text in printed)]:
        for form in (content, content.replace(b"\\u003d", b"="), content.replace(b"\\\\u003d", b"=")):
            assert not any(piece in form for piece in pieces), path


@pytest.mark.parametrize(
    ("senders", "variables", "secrets"),
    [
        ("0", {"INGESTOR_BEARER_TOKEN": TOKEN}, (TOKEN,)),
        ("2", {"MLFLOW_TRACKING_TOKEN": TOKEN}, (TOKEN,)),
        (
            "0",
            {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": PASSWORD},
            (PASSWORD, base64.b64encode(f"ann:{PASSWORD}".encode()).decode()),
        ),
    ],
    ids=["token", "mlflow's token, by senders", "mlflow's password"],
)
async def test_no_piece_of_a_secret_is_written_or_printed_whatever_a_service_answers(
    program: Program, senders: str, variables: dict[str, str], secrets: tuple[str, ...]
) -> None:
    source, requests = program.write("runs.jsonl", WANTED), list[str]()
    async with hostile_service(requests) as url:
        command = ("--tracking-uri", url, "--senders", senders, "--max-attempts", "1", "--concurrency", "1")

        ended = await program.run("run", *command, "--give-up-after", "5", source, env=variables)
        results = await program.run("results")

    assert secrets[-1] in requests
    assert MASK in (program.folder / ".ingestor" / "log.jsonl").read_text()
    for secret in secrets:
        assert_no_file_holds(
            program.folder / ".ingestor", secret, ended.stdout, ended.stderr, results.stdout, results.stderr
        )


@pytest.mark.parametrize("senders", ["0", "1"])
async def test_a_401_that_quotes_a_session_token_shows_ids_and_no_token(
    program: Program, key: RSAPrivateKey, senders: str
) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        key_id = request.headers["Authorization"].partition('keyId="')[2].partition('"')[0]
        message = f"security token {key_id} of {TENANCY} has expired"
        return web.json_response({"code": "NotAuthenticated", "message": message}, status=401)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    profile = session_profile(program, key, "token", SESSION.encode())
    source = program.write("runs.jsonl", WANTED)
    target = ("--endpoint", url, "--platform-id", "p", "--workspace", "w", "--auth", "session-token", *profile)
    try:
        ended = await program.run("run", *target, "--senders", senders, source)
    finally:
        await runner.cleanup()

    assert ended.code == 4
    assert f"security token {MASK} of {TENANCY} has expired" in ended.stdout
    assert_no_file_holds(program.folder / ".ingestor", SESSION, ended.stdout, ended.stderr)


async def test_a_401_of_a_tracking_server_speaks_of_its_credentials_and_not_of_ocis(program: Program) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, text="You are not authenticated.")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, source = f"http://127.0.0.1:{runner.addresses[0][1]}", program.write("runs.jsonl", WANTED)
    users = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    try:
        for number, (variables, advice) in enumerate(((users, "MLFLOW_TRACKING_PASSWORD"), ({}, "--auth basic with"))):
            ended = await program.run("run", "--tracking-uri", url, "--batch", str(number), source, env=variables)
            assert ended.code == 4
            assert advice in ended.stdout
            assert "fingerprint" not in ended.stdout
            assert "tenancy" not in ended.stdout
    finally:
        await runner.cleanup()
