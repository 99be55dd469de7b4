"""`ingestor doctor` names the cause, and nothing that follows from it; it sends searches and writes nothing."""

import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from ingestor.api.private_key import fingerprint
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.api.conftest import TENANCY, USER, jwt, pem, write_profile
from tests.e2e.program import Ended, Program, aim, at
from tests.support.certificates import DAY, NOW, certificate
from tests.support.tunnel import tunnelling_to

WANTED = list(records(6))
SERVER = ("--auth", "none")
Document = dict[str, Any]
Checks = dict[str, Document]


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


async def examined(program: Program, *words: str, env: dict[str, str] | None = None) -> tuple[Ended, Checks]:
    """Run the command, and return how it ended and its checks by name."""
    ended = await program.run("doctor", "--output", "json", *words, env=env)
    document = json.loads(ended.stdout)
    assert document["exit_code"] == ended.code
    return ended, {it["check"]: it for it in document["checks"]}


def problems(checks: Checks) -> dict[str, str]:
    """Return the first finding of each check with a problem."""
    return {name: it["findings"][0]["what"] for name, it in checks.items() if it["grade"] == "problem"}


def not_checked(checks: Checks) -> dict[str, str]:
    """Return the checks that were not done, each with the cause."""
    return {name: it["because"] for name, it in checks.items() if it["because"] is not None}


@asynccontextmanager
async def serving(
    answer: Callable[[web.BaseRequest], web.StreamResponse], context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return answer(request)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def an_experiment(_: web.BaseRequest) -> web.Response:
    return web.json_response({"experiments": [{"experiment_id": "7", "name": "n", "lifecycle_stage": "active"}]})


def files_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    files = [it for it in sorted(folder.rglob("*")) if not it.name.endswith("-shm")]
    contents = [it.read_bytes() if it.is_file() else b"" for it in files]
    states = [it.stat() for it in files]
    return {str(a): (b.st_mtime_ns, b.st_mode, c) for a, b, c in zip(files, states, contents, strict=True)}


async def test_a_good_set_up_has_no_problem_and_nothing_is_written_or_created(
    program: Program, simulator: Simulator
) -> None:
    source = program.write("runs.jsonl", WANTED)
    program._environment({})
    before = files_of(program.folder)

    ended, checks = await examined(program, *aim(simulator), source)

    assert ended.code == 0
    assert {it["grade"] for it in checks.values()} == {"ok"}
    assert files_of(program.folder) == before
    assert simulator.statistics.run_count == 0


async def test_a_file_with_two_uses_is_a_problem_with_the_words_and_the_exit_code_of_the_run(
    program: Program, simulator: Simulator
) -> None:
    flags = (*aim(simulator), program.write("runs.jsonl", WANTED), "--log", "same.jsonl", "--rejects", "same.jsonl")
    ended, checks = await examined(program, *flags)
    run = await program.run("run", *flags)
    assert ended.code == run.code == 2
    assert run.stderr == f"ingestor: {problems(checks)['places']}\n"
    assert "--log: same.jsonl is also the file of --rejects" in run.stderr
    assert not (program.folder / "same.jsonl").exists()


async def test_one_record_is_spoken_of_in_the_singular(program: Program) -> None:
    _, checks = await examined(program, program.write("runs.jsonl", WANTED[:1]), "--offline")
    assert checks["sources"]["findings"][0]["what"].endswith("; the only record looked at: it is valid")


async def test_a_missing_target_is_one_problem_and_the_rest_is_still_checked(program: Program) -> None:
    ended, checks = await examined(program, program.write("runs.jsonl", WANTED))
    assert ended.code == 2
    assert problems(checks) == {
        "target": "the target is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)"
    }
    assert set(not_checked(checks).values()) == {"target"}
    assert checks["sources"]["grade"] == "ok"


async def test_a_wrong_setting_is_named_with_its_place_and_hides_what_needs_the_settings(
    program: Program,
) -> None:
    config = program.write("ingestor.toml", b"rate = -1\nworkspcae = 'w'\n")
    ended, checks = await examined(program, "--config", config)
    assert ended.code == 2
    said = [it["what"] for it in checks["settings"]["findings"]]
    assert "ingestor.toml: workspcae: no such option; did you mean workspace?" in said
    assert "ingestor.toml: rate: must be greater than 0, got -1" in said
    assert set(not_checked(checks).values()) == {"settings"}
    assert checks["limits"]["grade"] == "ok"


async def test_the_settings_are_shown_with_their_origins_and_secrets_masked(
    program: Program, simulator: Simulator
) -> None:
    variables = {"INGESTOR_BEARER_TOKEN": "a-token-that-is-secret", "INGESTOR_RATE": "50"}
    ended = await program.run("doctor", "--offline", *at(simulator), "--auth", "bearer", env=variables)
    assert "rate          50.0  (INGESTOR_RATE)" in ended.stdout
    assert "auth          bearer  (--auth)" in ended.stdout
    assert "bearer_token  ********  (INGESTOR_BEARER_TOKEN)" in ended.stdout
    assert "a-token" not in ended.stdout + ended.stderr


async def test_a_host_that_does_not_exist_is_the_only_problem_of_the_network(program: Program) -> None:
    ended, checks = await examined(program, "--tracking-uri", "https://no-such-host.invalid")
    assert ended.code == 4
    assert list(problems(checks)) == ["dns"]
    assert "no-such-host.invalid does not resolve" in problems(checks)["dns"]
    assert not_checked(checks) == dict.fromkeys(
        ["connection", "tls", "service", "clock", "access", "experiments"], "dns"
    )


async def test_a_port_where_nobody_listens_is_a_problem_of_the_connection(program: Program) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        ended, checks = await examined(program, "--tracking-uri", f"http://127.0.0.1:{port}")
    assert ended.code == 4
    assert list(problems(checks)) == ["connection"]
    assert "connection refused" in problems(checks)["connection"]


async def test_a_service_that_does_not_answer_ends_the_check_in_time(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ended, checks = await examined(program, "--tracking-uri", uri, "--timeout", "0.5")
    assert ended.code == 4
    assert problems(checks) == {"service": "The connection was made, and no answer came within 0.5 seconds."}


async def test_a_certificate_of_an_unknown_authority_is_the_cause_and_a_file_of_authorities_cures_it(
    program: Program,
) -> None:
    root = certificate()
    context = certificate(issuer=root, ends=NOW + 100 * DAY).context(program.folder)
    (program.folder / "ca.pem").write_bytes(root.pem)
    async with serving(an_experiment, context) as url:
        ended, checks = await examined(program, "--tracking-uri", url)
        assert ended.code == 4
        assert list(problems(checks)) == ["tls"]
        assert "signed by an unknown authority: CN=Root" in problems(checks)["tls"]
        assert "--ca-file" in problems(checks)["tls"]

        ended, checks = await examined(program, "--tracking-uri", url, "--ca-file", "ca.pem")
        assert ended.code == 0
        (tls,), (authorities,) = checks["tls"]["findings"], checks["authorities"]["findings"]
        assert tls["what"].startswith("TLSv1.3; the certificate is by CN=Root and valid until ")
        assert authorities["what"] == "1 certificate in ca.pem (--ca-file)"


async def test_a_certificate_that_ends_soon_is_a_warning(program: Program) -> None:
    root = certificate()
    (program.folder / "ca.pem").write_bytes(root.pem)
    async with serving(an_experiment, certificate(issuer=root, ends=NOW + 3 * DAY).context(program.folder)) as url:
        ended, checks = await examined(program, "--tracking-uri", url, "--ca-file", "ca.pem")
    assert ended.code == 0
    assert checks["tls"]["grade"] == "warning"
    assert checks["access"]["grade"] == "ok"


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "does not exist"), (b"text", "holds no certificate in PEM form")]
)
async def test_a_file_of_authorities_that_can_not_be_used_is_a_wrong_setting(
    program: Program, content: bytes | None, problem: str
) -> None:
    if content is not None:
        program.write("ca.pem", content)
    ended, checks = await examined(program, "--tracking-uri", "https://127.0.0.1:1", "--ca-file", "ca.pem")
    assert ended.code == 2
    assert problems(checks) == {"target": f"--ca-file: ca.pem {problem}."}


def with_a_clock_of(ahead: timedelta, status: int) -> Callable[[web.BaseRequest], web.Response]:
    def answer(_: web.BaseRequest) -> web.Response:
        date = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        refusal: Document = {"code": "NotAuthenticated", "message": "no"}
        body: Document = refusal if status == 401 else {"experiments": []}
        return web.json_response(body, status=status, headers={"Date": date})

    return answer


def api_key(program: Program, key: RSAPrivateKey, mode: int = 0o600, its: str | None = None) -> tuple[str, ...]:
    """Write a profile with an API key, and return the options that name it."""
    file = program.folder / "key.pem"
    file.write_bytes(pem(key))
    file.chmod(mode)
    fields = {"tenancy": TENANCY, "user": USER, "fingerprint": its or fingerprint(key)}
    config = write_profile(program.folder, key_file=file, **fields)
    return ("--auth", "api-key", "--oci-config", str(config))


async def test_a_wrong_clock_is_the_cause_and_the_refusal_that_follows_is_not_listed(
    program: Program, key: RSAPrivateKey
) -> None:
    async with serving(with_a_clock_of(timedelta(minutes=20), 401)) as url:
        target = ("--endpoint", url, "--platform-id", "p", "--workspace", "w")
        ended, checks = await examined(program, *target, *api_key(program, key))
    assert ended.code == 4
    assert list(problems(checks)) == ["clock"]
    assert " min " in problems(checks)["clock"]
    assert "slow" in problems(checks)["clock"]
    assert not_checked(checks) == {"access": "clock", "experiments": "clock"}


async def test_without_signatures_a_wrong_clock_is_a_warning(program: Program) -> None:
    async with serving(with_a_clock_of(timedelta(minutes=-20), 200)) as url:
        ended, checks = await examined(program, "--tracking-uri", url)
    assert ended.code == 0
    assert (checks["clock"]["grade"], checks["access"]["grade"]) == ("warning", "ok")
    assert "fast" in checks["clock"]["findings"][0]["what"]


async def test_credentials_that_are_refused_are_the_cause(program: Program) -> None:
    token = program.write("token", b"the-wrong-token")
    (program.folder / "token").chmod(0o600)
    async with Simulator(SimulatorOptions(bearer_token="the-right-token")) as simulator:
        command = (*at(simulator), "--auth", "bearer", "--bearer-token-file", token)
        ended, checks = await examined(program, *command)
    assert ended.code == 4
    assert list(problems(checks)) == ["access"]
    assert "does not accept the credentials: 401" in problems(checks)["access"]
    assert "the-wrong-token" not in ended.stdout


async def test_a_key_that_can_not_be_read_is_the_cause_and_the_service_is_asked_without_it(
    program: Program, simulator: Simulator
) -> None:
    config = write_profile(program.folder, tenancy=TENANCY, user=USER, fingerprint=":".join(["ab"] * 16), key_file="no")
    ended, checks = await examined(program, *at(simulator), "--auth", "api-key", "--oci-config", str(config))
    assert ended.code == 4
    assert list(problems(checks)) == ["credentials"]
    assert "key_file names a file that does not exist: no" in problems(checks)["credentials"]
    assert not_checked(checks) == {"access": "credentials", "experiments": "credentials"}
    assert checks["clock"]["grade"] == "ok"


async def test_a_workspace_that_does_not_exist_is_the_cause(program: Program, simulator: Simulator) -> None:
    ended, checks = await examined(program, *aim(simulator, workspace="another"))
    assert ended.code == 4
    assert list(problems(checks)) == ["access"]
    assert "--workspace" in checks["access"]["findings"][0]["advice"]


@pytest.mark.parametrize(
    ("experiments", "grade", "code"), [(["0", "nine"], "ok", 0), (["0", "no"], "warning", 0), (["no"], "problem", 4)]
)
async def test_experiments_of_the_first_records_are_asked_for(
    program: Program, experiments: Sequence[str], grade: str, code: int
) -> None:
    source = program.write("runs.jsonl", [{"experiment_id": name, "run_name": "r"} for name in experiments])
    async with Simulator(SimulatorOptions(experiments=frozenset({"0", "nine"}))) as simulator:
        ended, checks = await examined(program, *aim(simulator), source)
    assert (checks["experiments"]["grade"], ended.code) == (grade, code)


async def test_a_proxy_that_does_not_answer_is_named_without_its_password(program: Program) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://ann:open%20sesame@127.0.0.1:{unused.getsockname()[1]}"
        variables = {"https_proxy": proxy}
        ended, checks = await examined(program, "--tracking-uri", "https://service.example", env=variables)
    assert ended.code == 4
    assert list(problems(checks)) == ["connection"]
    assert "ann:********@127.0.0.1" in checks["proxy"]["findings"][0]["what"]
    assert "https_proxy" in problems(checks)["connection"]
    assert "sesame" not in ended.stdout + ended.stderr


async def test_something_else_than_the_service_is_recognized(program: Program) -> None:
    async with serving(lambda _: web.Response(text="<html>Welcome</html>")) as url:
        ended, checks = await examined(program, "--tracking-uri", url)
    assert ended.code == 4
    assert list(problems(checks)) == ["service"]
    assert "Something answers, but not as the API does" in problems(checks)["service"]


async def test_offline_nothing_is_sent(program: Program, simulator: Simulator) -> None:
    ended, checks = await examined(program, "--offline", *aim(simulator), program.write("runs.jsonl", WANTED))
    assert ended.code == 0
    assert simulator.statistics.requests == 0
    assert {"dns", "connection", "tls", "service", "clock", "access", "experiments"}.isdisjoint(checks)


async def test_records_that_would_be_rejected_are_counted_with_an_example(program: Program) -> None:
    source = program.write("runs.jsonl", [*WANTED, {"x": 1}])
    ended, checks = await examined(program, "--offline", *SERVER, "--tracking-uri", "http://127.0.0.1:1", source)
    assert ended.code == 0
    (found,) = checks["sources"]["findings"]
    assert "the first 7 records looked at: 1 would be rejected. The first is runs.jsonl:7: 'x': " in found["what"]


async def test_every_source_is_looked_at_although_others_can_not_be_read(program: Program) -> None:
    sources = ("none.jsonl", program.write("runs.jsonl", WANTED), "neither.jsonl")
    ended, checks = await examined(program, "--offline", *SERVER, "--tracking-uri", "http://127.0.0.1:1", *sources)
    assert ended.code == 2
    unreadable, good = checks["sources"]["findings"]
    assert unreadable["what"].startswith("none.jsonl: there is no such file or directory.")
    assert "1 other source" in unreadable["what"]
    assert good["what"].startswith("1 source, ")


async def test_a_source_that_does_not_exist_yet_is_a_warning_for_a_run_that_follows(program: Program) -> None:
    words = ("--offline", *SERVER, "--tracking-uri", "http://127.0.0.1:1", "later.jsonl")
    ended, checks = await examined(program, "--follow", *words)
    assert ended.code == 0
    assert checks["sources"]["grade"] == "warning"
    assert "there is no such file" in checks["sources"]["findings"][0]["what"]


async def test_a_source_without_any_valid_record_is_a_problem(program: Program) -> None:
    source = program.write("runs.csv", b"a,b\n1,2\n3,4\n")
    ended, checks = await examined(program, "--offline", *SERVER, "--tracking-uri", "http://127.0.0.1:1", source)
    assert ended.code == 2
    assert list(problems(checks)) == ["sources"]


@contextmanager
def a_fifo(program: Program) -> Iterator[str]:
    os.mkfifo(program.folder / "pipe")
    yield "pipe"


async def test_pipes_and_standard_input_are_not_read(program: Program) -> None:
    with a_fifo(program) as pipe:
        ended = await program.spawn(
            "doctor", "--offline", *SERVER, "--tracking-uri", "http://127.0.0.1:1", pipe, "-", stdin=b"{}\n"
        )
    assert ended.code == 0
    assert "2 sources: no regular file, so nothing is read here" in ended.stdout


async def test_ctrl_c_ends_it_at_once_without_a_traceback(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = await program.start("doctor", "--tracking-uri", uri)
        while "dns" not in await running.next_line():
            pass
        running.send(signal.SIGINT)
        assert await running.is_over(5)
        ended = await running.end()
    assert (ended.code, ended.stderr) == (75, "")


async def test_a_reader_that_has_enough_ends_it_without_a_traceback(program: Program) -> None:
    running = await program.start("doctor", "--offline")
    assert "ingestor" in await running.next_line()
    assert (await running.end()).code == 2


async def test_hostile_text_reaches_neither_the_terminal_nor_json_as_it_is(program: Program) -> None:
    evil = "\x1b]0;owned\x07\u202egnp.exe\x9b31m"
    source = program.write(f"{evil}.jsonl", [*WANTED, {evil: 1}])

    def answer(_: web.BaseRequest) -> web.Response:
        return web.json_response({"code": evil, "message": evil}, status=404)

    async with serving(answer) as url:
        for form in ("text", "json"):
            ended = await program.run("doctor", "--tracking-uri", url, "--batch", "b", source, "--output", form)
            shown = ended.stdout + ended.stderr
            assert ended.code == 4
            assert "gnp.exe" in shown
            assert all(char.isprintable() or char == "\n" for char in shown)


async def test_a_running_batch_is_named_and_not_disturbed(program: Program, key: RSAPrivateKey) -> None:
    source = program.write("runs.jsonl", records(400))
    async with Simulator(SimulatorOptions(latency=0.05)) as simulator:
        running = await program.start("run", *aim(simulator), "--concurrency", "1", source)
        await running.until(lambda: simulator.statistics.requests > 0)
        ended, checks = await examined(program, *aim(simulator))
        running.send(signal.SIGTERM)
        assert (await running.end()).code in (0, 75)
    assert ended.code == 0
    assert f"It is in use by process {running.pid}" in checks["state"]["findings"][0]["what"]
    assert checks["journal"]["grade"] == "ok"


@pytest.mark.parametrize("has_shared_memory", [True, False])
async def test_what_a_killed_run_left_is_examined_and_left_as_it_is(program: Program, has_shared_memory: bool) -> None:
    source, state = program.write("runs.jsonl", records(40)), program.folder / ".ingestor"
    async with Simulator(SimulatorOptions(latency=0.2)) as simulator:
        running = await program.start("run", *aim(simulator), "--concurrency", "2", source)
        await running.until(lambda: simulator.statistics.requests > 3)
        await running.die()
        simulator.set_latency(0)
        if not has_shared_memory:
            (state / "journal.db-shm").unlink()
        before = files_of(state)
        ended, checks = await examined(program, *aim(simulator), source)
    assert ended.code == 0
    assert checks["journal"]["findings"][0]["what"].endswith("no damage")
    assert files_of(state) == before
    assert (state / "journal.db-shm").exists() == has_shared_memory


async def test_a_damaged_journal_is_found(program: Program, simulator: Simulator) -> None:
    await program.ingest(*aim(simulator), program.write("runs.jsonl", records(400)))
    path = program.folder / ".ingestor" / "journal.db"
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)
    ended, checks = await examined(program, "--offline", *aim(simulator))
    assert ended.code == 4
    assert list(problems(checks)) == ["journal"]
    assert "damaged" in problems(checks)["journal"]


async def test_a_session_token_that_expires_soon_is_a_warning_with_its_time(
    program: Program, simulator: Simulator, key: RSAPrivateKey
) -> None:
    expiry = int(datetime.now(UTC).timestamp()) + 120
    for name, content in (("token", jwt(expiry).encode()), ("key.pem", pem(key))):
        (program.folder / name).write_bytes(content)
        (program.folder / name).chmod(0o600)
    config = write_profile(
        program.folder,
        tenancy=TENANCY,
        fingerprint=fingerprint(key),
        key_file=program.folder / "key.pem",
        security_token_file=program.folder / "token",
    )
    words = ("--offline", *at(simulator), "--auth", "session-token", "--oci-config", str(config))
    ended, checks = await examined(program, *words)
    assert ended.code == 0
    assert checks["credentials"]["grade"] == "warning"
    assert (
        datetime.fromtimestamp(expiry, UTC).isoformat(timespec="seconds")
        in checks["credentials"]["findings"][0]["what"]
    )


async def test_a_fingerprint_of_another_key_is_the_cause(program: Program, key: RSAPrivateKey) -> None:
    target = ("--endpoint", "https://service.example", "--platform-id", "p", "--workspace", "w", "--offline")
    ended, checks = await examined(program, *target, *api_key(program, key, its=":".join(["ab"] * 16)))
    assert ended.code == 4
    assert "fingerprint is not that of the key in key_file" in problems(checks)["credentials"]


async def test_a_fingerprint_of_another_key_is_one_warning_where_a_simulator_accepts_it(
    program: Program, simulator: Simulator, key: RSAPrivateKey
) -> None:
    ended, checks = await examined(program, *at(simulator), *api_key(program, key, its=":".join(["ab"] * 16)))
    (finding,) = checks["credentials"]["findings"]
    assert (ended.code, finding["grade"]) == (0, "warning")
    assert "is not that of the key" in finding["what"]


async def test_through_a_proxy_the_certificate_of_the_service_is_looked_at(program: Program) -> None:
    root = certificate()
    (program.folder / "ca.pem").write_bytes(root.pem)
    context = certificate(("service.example",), issuer=root, ends=NOW + 100 * DAY).context(program.folder)
    async with serving(an_experiment, context) as url, tunnelling_to(int(url.rpartition(":")[2])) as (proxy, requests):
        variables = {"https_proxy": f"http://ann:open%20sesame@{proxy}"}
        words = ("--tracking-uri", "https://service.example", "--ca-file", "ca.pem")
        ended, checks = await examined(program, *words, env=variables)
    assert ended.code == 0
    assert "Proxy-Authorization: Basic" in requests[0]
    assert "by CN=Root" in checks["tls"]["findings"][0]["what"]
    assert "ann:********@" in checks["connection"]["findings"][0]["what"]
    assert "sesame" not in ended.stdout


@pytest.mark.parametrize(
    ("variables", "check"),
    [({"https_proxy": "http://ann:x@proxy.example"}, "proxy"), ({"SSLKEYLOGFILE": "keys.log"}, "authorities")],
)
async def test_variables_that_show_secrets_to_others_are_warnings(
    program: Program, variables: dict[str, str], check: str
) -> None:
    words = ("--offline", "--tracking-uri", "https://service.example")
    ended, checks = await examined(program, *words, env=variables)
    assert ended.code == 0
    assert {name for name, it in checks.items() if it["grade"] == "warning"} == {check}
    assert not (program.folder / "keys.log").exists()


async def test_a_principal_outside_its_place_is_a_problem_of_the_credentials(program: Program) -> None:
    target = ("--endpoint", "https://service.example", "--platform-id", "p", "--workspace", "w", "--offline")
    ended, checks = await examined(program, *target, "--auth", "workload-identity")
    assert ended.code == 4
    assert "KUBERNETES_SERVICE_HOST is not defined" in problems(checks)["credentials"]
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    ended, checks = await examined(program, *target, "--auth", "workload-identity", env=variables)
    assert ended.code == 0
    assert "was not checked" in checks["credentials"]["findings"][0]["what"]


@pytest.mark.parametrize(
    ("status", "cause", "grade", "code"), [(503, "service", "not checked", 4), (429, "", "warning", 0)]
)
async def test_a_service_that_can_not_answer_now_is_one_finding(
    program: Program, status: int, cause: str, grade: str, code: int
) -> None:
    async with serving(lambda _: web.json_response({"code": "Busy", "message": "later"}, status=status)) as url:
        ended, checks = await examined(program, "--tracking-uri", url)
    assert (ended.code, list(problems(checks)), checks["access"]["grade"]) == (code, [cause] if cause else [], grade)
