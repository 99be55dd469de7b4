"""Secrets of every kind are planted, and a service quotes them back: none is in any output, file, page or process list.

Each piece of twelve characters counts, also where it is escaped, or encoded in base64.
"""

import asyncio
import base64
import html
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from ingestor.api.private_key import fingerprint
from ingestor.api.values import MASK
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.api.conftest import TENANCY, USER, jwt, pem, write_profile
from tests.e2e.program import COMMAND, Ended, Program, Running, aim

PASSPHRASE = "Sesame-passphrase-of-the-key-7341"
TOKEN = "Bearer+token/of=nobody-0f3a9c1d77"
PASSWORD = "Basic password of ann 5512-9941"
SESSION = jwt(4_000_000_000, jti="z" * 60)
PROXY = "Proxy-password-of-bob-2207"
LISTEN = "Listen-token-of-the-page-4410"
ACCEPT = "Accept-token-of-programs-8817"

PIECE = 12


@dataclass(frozen=True)
class Planted:
    """A kind of credentials: the words and variables that select it, and the texts that must appear nowhere."""

    words: tuple[str, ...]
    variables: Mapping[str, str]
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def write(program: Program, name: str, content: bytes) -> str:
    path = program.folder / "home" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def planted(kind: str, program: Program, key: RSAPrivateKey) -> Planted:
    """Plant credentials of a kind in `home`, which no command may show."""
    protected = pem(key, PASSPHRASE)
    key_text = b"".join(protected.splitlines()[1:-1]).decode()
    match kind:
        case "api-key":
            fields = {"tenancy": TENANCY, "user": USER, "fingerprint": fingerprint(key)}
            config = write_profile(
                program.folder / "home", key_file=write(program, "key.pem", protected), pass_phrase=PASSPHRASE, **fields
            )
            return Planted(("--auth", kind, "--oci-config", str(config)), {}, (PASSPHRASE, key_text))
        case "session-token":
            files = {
                "key_file": write(program, "key.pem", protected),
                "security_token_file": write(program, "session", SESSION.encode()),
            }
            config = write_profile(program.folder / "home", tenancy=TENANCY, fingerprint=fingerprint(key), **files)
            variables = {"INGESTOR_OCI_PASSPHRASE": PASSPHRASE}
            return Planted(("--auth", kind, "--oci-config", str(config)), variables, (PASSPHRASE, key_text, SESSION))
        case "bearer":
            file = write(program, "token", TOKEN.encode())
            return Planted(("--auth", kind, "--bearer-token-file", file), {}, (TOKEN,))
        case _:
            encoded = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
            words = ("--auth", "basic", "--basic-username", "ann")
            return Planted(words, {"INGESTOR_BASIC_PASSWORD": PASSWORD}, (PASSWORD, encoded))


@asynccontextmanager
async def quoting(seen: list[str]) -> AsyncIterator[str]:
    """A service, which also is its own proxy, that quotes every credential in its answers."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(str(dict(request.headers)))
        sent = f"{request.headers.get('Authorization', '')} {request.headers.get('Proxy-Authorization', '')}"
        decoded = " ".join(_decoded(part) for part in re.split(r"\s", sent))
        quoted = f"{sent} {decoded} {quote(sent, safe='')} {html.escape(sent)}"
        if "experiments" in request.path:
            return web.json_response({"experiments": []}, headers={"opc-request-id": sent.split(" ")[1][:200]})
        if len(seen) % 3:
            return web.json_response({"code": "InvalidParameter", "message": quoted}, status=400)
        run = {"run_id": f"run-{len(seen)}", "experiment_id": "7"}
        return web.json_response({"run": {"info": run}, "note": quoted}, headers={"opc-request-id": "a/b"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def forms(content: str) -> Iterator[str]:
    """Yield a text as it is, and without the escapes of JSON, HTML and addresses."""
    yield content
    yield content.replace("\\u003d", "=").replace("\\u002b", "+").replace("\\/", "/").replace("\\n", "")
    yield html.unescape(content)
    yield unquote(content)


def assert_absent(secrets: tuple[str, ...], where: str, content: str) -> None:
    pieces = {secret[at : at + PIECE] for secret in secrets for at in range(len(secret) - PIECE + 1)}
    for form in forms(content):
        found = {form[at : at + PIECE] for at in range(len(form) - PIECE + 1)} & pieces
        assert not found, (where, found)


def processes_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def assert_processes_show_nothing(pid: int, secrets: tuple[str, ...]) -> None:
    """Check the command lines of a run and its senders, and that none of them writes a core dump."""
    processes = processes_of(pid)
    assert len(processes) == 2
    for process in processes:
        assert_absent(secrets, f"cmdline {process}", Path(f"/proc/{process}/cmdline").read_text())
        assert re.search(r"Max core file size +0 ", Path(f"/proc/{process}/limits").read_text()), process


async def pages_of(url: str) -> dict[str, str]:
    """Return what a run serves, each page with its headers, also to a caller with the token."""
    pages = {}
    headers = {"Authorization": f"Bearer {LISTEN}"}
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/status", "/metrics", "/readyz", "/livez", "/none", "/runs?job_id=0"):
            for sent in ({}, headers):
                async with session.get(f"{url}{path}", headers=sent) as answer:
                    pages[f"{path} {answer.status}"] = f"{dict(answer.headers)} {await answer.text()}"
    return pages


KINDS = ("api-key", "session-token", "bearer", "basic")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_is_in_any_output_file_page_or_process_list(
    program: Program, key: RSAPrivateKey, kind: str
) -> None:
    it = planted(kind, program, key)
    secrets = (*it.secrets, PROXY, base64.b64encode(f"bob:{PROXY}".encode()).decode(), LISTEN, ACCEPT)
    variables = {
        **it.variables,
        "INGESTOR_LISTEN_TOKEN_FILE": write(program, "listen", LISTEN.encode()),
        "INGESTOR_ACCEPT_TOKEN_FILE": write(program, "accept", ACCEPT.encode()),
    }
    if kind in ("bearer", "basic"):  # over http: to this machine only, so past the proxy
        variables["https_proxy"] = f"http://bob:{PROXY}@127.0.0.1:9"
    source, seen = program.write("runs.jsonl", records(30)), list[str]()
    async with quoting(seen) as host:
        target = ("--tracking-uri", f"http://{host}") if kind in ("bearer", "basic") else _aidp(host)
        common = (*target, *it.words)
        sending = (*common, "--max-attempts", "1", "--concurrency", "2")
        extra = (
            "--listen",
            "127.0.0.1:0",
            "--accept",
            "127.0.0.1:0",
            "--metrics-file",
            "metrics.prom",
            "--progress",
            "on",
        )
        running = await program.start("run", *sending, *extra, "--senders", "1", source, env=variables)
        url, accepting = await addresses_of(running)
        await running.until(lambda: len(seen) > 8)
        assert_processes_show_nothing(running.pid, secrets)
        pages = {**await pages_of(url), **await posted_to(accepting)}
        assert_private(program.folder / ".ingestor")
        running.send(signal.SIGUSR1)
        running.send(signal.SIGTERM)
        ended = await running.end()
        outputs = {
            " ".join(words): await program.run(*words, env=variables)
            for words in (
                ("resume", *sending, "--give-up-after", "1"),
                ("reconcile", *sending, "--give-up-after", "1"),
                ("check", "--online", *common, source),
                ("doctor", *common, source),
                ("doctor", *common, source, "--output", "json"),
                ("config", *common),
                ("config", *common, "--output", "json"),
                ("status",),
                ("status", "--output", "json"),
                ("results",),
                ("results", "--format", "csv"),
                ("report", "--to", "report.html"),
                ("report", "--format", "text", "--to", "report.txt"),
                ("forget", "--outcome", "failed"),
                ("prune", "--older-than", "90d"),
            )
        }
    assert any(secret in " ".join(seen) for secret in it.secrets) or kind == "api-key"
    assert MASK in (program.folder / ".ingestor" / "log.jsonl").read_text()
    assert {"/ 200", "/status 200", "/metrics 200", "/status 401", "/runs 202", "/runs 401"} <= pages.keys()
    for name, text in [*pages.items(), *printed(ended, outputs)]:
        assert_absent(secrets, name, text)
    for path in program.folder.rglob("*"):
        if path.is_file() and program.folder / "home" not in path.parents:
            assert_absent(secrets, path.name, path.read_bytes().decode("latin-1"))
    assert {"journal.db", "log.jsonl", "metrics.prom", "report.html", "report.txt"} <= {
        path.name for path in program.folder.rglob("*")
    }


def _aidp(host: str) -> tuple[str, ...]:
    return ("--endpoint", f"http://{host}", "--platform-id", "ocid1.x", "--workspace", "w")


def printed(ended: Ended, outputs: Mapping[str, Ended]) -> Iterator[tuple[str, str]]:
    yield "run", ended.stdout + ended.stderr
    for name, output in outputs.items():
        yield name, output.stdout + output.stderr


async def addresses_of(running: Running) -> tuple[str, str]:
    """Return the addresses of the page and of what accepts records, from standard error."""
    assert running._process.stderr is not None
    found: dict[str, str] = {}
    async with asyncio.timeout(60):
        while len(found) < 2 and (line := (await running._process.stderr.readline()).decode()):
            if match := re.search(r"(listening on|accepting records at) .*?(127\.0\.0\.1:\d+)", line):
                found[match[1]] = f"http://{match[2]}"
    return found["listening on"], found["accepting records at"]


async def posted_to(url: str) -> dict[str, str]:
    """Send a record with the right token, with a wrong one and with none, and return the answers."""
    answers = {}
    async with aiohttp.ClientSession() as session:
        for token in (ACCEPT, f"not-{ACCEPT}", ""):
            headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
            record = json.dumps({"run_name": "accepted", "experiment_id": "7"})
            async with session.post(f"{url}/runs", data=record, headers=headers) as answer:
                answers[f"/runs {answer.status}"] = f"{dict(answer.headers)} {await answer.text()}"
    assert "/runs 202" in answers
    return answers


def assert_private(state: Path) -> None:
    """Check that only its owner can read a state directory, while a run uses it."""
    modes = {str(path): path.stat().st_mode & 0o777 for path in (state, *state.rglob("*"))}
    assert len(modes) > 5
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


async def test_a_proxy_that_refuses_and_quotes_its_password_is_reported_without_it(program: Program) -> None:
    seen: list[str] = []
    encoded = base64.b64encode(f"bob:{PROXY}".encode()).decode()
    source = program.write("runs.jsonl", records(6))
    async with quoting(seen) as host:
        variables = {"http_proxy": f"http://bob:{PROXY}@{host}", "INGESTOR_TRACKING_URI": "http://service.example"}
        for words in (
            ("run", "--give-up-after", "1", source),
            ("doctor", source),
            ("config",),
            ("check", "--online", source),
        ):
            ended = await program.run(*words, env=variables)
            assert_absent((PROXY, encoded), words[0], ended.stdout + ended.stderr)
    assert encoded in " ".join(seen)
    for path in (program.folder / ".ingestor").rglob("*"):
        if path.is_file():
            assert_absent((PROXY, encoded), path.name, path.read_bytes().decode("latin-1"))


_BUG = """
import sys
import ingestor.app.run

def run(target, options, *others, **more):
    known = (target, options, repr(target.auth))
    raise RuntimeError(f"a bug with {target} and {options}")

ingestor.app.run.run = run
from ingestor.cli.main import main
sys.argv = ["ingestor", "run", "--tracking-uri", "http://127.0.0.1:9", "--auth", sys.argv[1]]
sys.argv += ["--basic-username", "ann"] if sys.argv[-1] == "basic" else []
main()
"""


@pytest.mark.parametrize("kind", ["bearer", "basic"])
def test_a_traceback_of_a_bug_shows_no_secret(program: Program, kind: str) -> None:
    variables = {"INGESTOR_BEARER_TOKEN": TOKEN} if kind == "bearer" else {"INGESTOR_BASIC_PASSWORD": PASSWORD}
    environment = {**program._environment(variables), "PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", _BUG, kind],
        cwd=program.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "RuntimeError: a bug with Target(" in ended.stderr
    assert ended.returncode == 4
    assert_absent((TOKEN, PASSWORD), "traceback", ended.stdout + ended.stderr)


MISTAKES = {
    "a wrong passphrase": ("api-key", {"INGESTOR_OCI_PASSPHRASE": f"not-{PASSPHRASE}"}),
    "a token of two lines": ("bearer", {"INGESTOR_BEARER_TOKEN": f"{TOKEN}\nx"}),
    "a password with a control character": ("basic", {"INGESTOR_BASIC_PASSWORD": f"{PASSWORD}\x07"}),
    "a secret as a flag": ("bearer", {}),
    "a password in an address": ("bearer", {"INGESTOR_TRACKING_URI": f"http://ann:{quote(PASSWORD)}@h.example"}),
    "a password in a wrong proxy": ("bearer", {"all_proxy": f"socks5://bob:{PROXY}@h.example"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["run", "doctor", "config"])
async def test_a_mistake_in_a_secret_is_reported_without_it(
    program: Program, key: RSAPrivateKey, command: str, mistake: str
) -> None:
    kind, variables = MISTAKES[mistake]
    it = planted(kind, program, key)
    words = [*it.words, *(_aidp("h.example") if kind == "api-key" else ("--tracking-uri", "https://h.example"))]
    if "INGESTOR_BEARER_TOKEN" in variables or mistake == "a password in an address":
        words = ["--auth", kind]
    if mistake == "a secret as a flag":
        words += ["--bearer-token", TOKEN]
    ended = await program.run(command, *words, env={**it.variables, **variables})
    assert ended.code in (0, 2, 4)
    assert ended.code != 0 or command == "config"
    assert_absent((*it.secrets, TOKEN, PASSWORD, PROXY), mistake, ended.stdout + ended.stderr)


def test_the_search_finds_a_secret_in_every_form() -> None:
    for text in (TOKEN, json.dumps({"a": f"x{TOKEN}y"}), quote(TOKEN, safe=""), html.escape(TOKEN), TOKEN[7:20]):
        with pytest.raises(AssertionError):
            assert_absent((TOKEN,), "here", text)


async def test_a_run_that_is_aborted_writes_no_core_dump_and_nor_does_its_sender(program: Program) -> None:
    unlimited = ("bash", "-c", 'ulimit -c "$(ulimit -Hc)"; exec "$@"', "-", *COMMAND)
    async with Simulator(SimulatorOptions(latency=0.2)) as simulator:
        source = program.write("runs.jsonl", records(100))
        running = await program.start("run", *aim(simulator), "--senders", "1", source, command=unlimited)
        await running.until(lambda: simulator.statistics.requests > 0)
        processes = processes_of(running.pid)
        assert_processes_show_nothing(running.pid, (TOKEN,))
        for process in reversed(processes):
            os.kill(process, signal.SIGABRT)
        await running.die()
    assert [path.name for path in program.folder.iterdir() if path.name.startswith("core")] == []
