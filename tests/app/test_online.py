"""`ingestor check --online` asks the service and creates nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ingestor.app.experiments import Experiments
from ingestor.app.online import _lines
from ingestor.cli.main import main
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.server import Simulator

RECORDS = [{"experiment_id": "7", "run_name": f"run {n}"} for n in range(3)] + [{"experiment_id": "9"}]

Check = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))

    async def run(url: str, *flags: str) -> tuple[int, str]:
        auth = () if "--auth" in flags else ("--auth", "none")
        target = ("--endpoint", url, *auth, "--platform-id", PLATFORM_ID)
        workspace = () if "--workspace" in flags else ("--workspace", WORKSPACE_KEY)
        argv = ["check", "--online", *target, *workspace, *flags, "runs.jsonl"]
        return await asyncio.to_thread(main, argv), capsys.readouterr().out

    return run


async def test_missing_experiments_are_listed_with_the_number_of_their_records(check: Check) -> None:
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"9"}))) as simulator:
        code, out = await check(simulator.url)
        assert (code, simulator.statistics.run_count) == (3, 0)
    assert "Of 2 experiments in the records, 1 can take runs, 1 can't.\nMissing:\n  9: 1 record\n" in out
    assert "Create them, or change experiment_id in these records, before you run." in out


async def test_a_target_that_can_take_all_records_ends_with_0(check: Check) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        code, out = await check(simulator.url, "--output", "json")
    service = json.loads(out)["service"]
    assert code == 0
    assert service["missing"] == service["deleted"] == {}
    assert service["target"].startswith(simulator.url)


async def test_a_wrong_workspace_halts_after_the_records_were_validated(check: Check) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        code, out = await check(simulator.url, "--workspace", "another")
    assert code == 4
    assert "4 records: 4 valid, " in out
    assert "404 NotAuthorizedOrNotFound" in out
    assert "Check --platform-id, --workspace" in out


async def test_credentials_that_only_a_request_can_get_do_not_hide_the_records(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "9.9")
    async with Simulator(SimulatorOptions()) as simulator:
        code, out = await check(simulator.url, "--auth", "resource-principal")
        assert simulator.statistics.requests == 0
    assert code == 4
    assert "4 records: 4 valid, " in out
    assert "\nresource-principal: " in out


async def test_a_service_that_is_not_there_is_named_in_the_json_form_too(check: Check) -> None:
    code, out = await check("http://127.0.0.1:1", "--output", "json")
    finished = json.loads(out)
    assert (code, finished["event"]) == (4, "check.finished")
    assert "runs.jsonl" in out
    assert "connection refused" in finished["service"]["halted"]["reason"]


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[str]:
    ended = set[asyncio.Event]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.add(end := asyncio.Event())
        await talk(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        end.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*(end.wait() for end in ended))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n<html>Login</html>",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["page", "empty", "SSH"],
)
async def test_a_server_that_is_no_api_is_no_target(
    check: Check, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.app.experiments.backoff", lambda *_: 0.0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with raw_server(talk) as url:
        code, out = await check(url)
    assert code == 4
    assert "Something answers, but not as the API does: " in out
    assert "accepts the credentials" not in out
    assert "Check host and port in --region or --endpoint" in out


async def test_a_service_that_does_not_answer_is_named_while_it_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.app.experiments._SILENCE", 0.01)
    monkeypatch.setattr("ingestor.app.experiments.backoff", lambda *_: 0.0)
    (tmp_path / "runs.jsonl").write_text('{"run_name": "r"}\n')

    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(never) as url:
        argv = ["check", "--online", "--tracking-uri", url, "--timeout", "0.1", str(tmp_path / "runs.jsonl")]
        code = await asyncio.to_thread(main, argv)
    assert code == 4
    assert f"ingestor: waiting for {url} to answer\n" in capsys.readouterr().err


def test_what_was_not_asked_for_is_counted_apart_and_never_as_usable() -> None:
    wanted = {f"e{n}": 1 for n in range(1700)}
    missing = {f"e{n}": 1 for n in range(1000)}
    found = Experiments(missing=missing, not_asked=700, why_not_asked="500: oops")
    lines = list(_lines("https://h.example", wanted, found))
    assert lines[1] == (
        "Of 1,700 experiments in the records, 0 can take runs, 1,000 can't, 700 were not asked for (500: oops)."
    )
    assert lines[-2:] == [
        "  and 980 more: --output json lists them all",
        "Create them, or change experiment_id in these records, before you run.",
    ]
    assert not found.can_take_all
    assert not Experiments(not_asked=1).can_take_all
    assert Experiments().can_take_all


def test_the_options_of_the_target_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--online", str(tmp_path)]) == 2
    assert "the target is missing" in capsys.readouterr().err
