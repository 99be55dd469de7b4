"""`--accept`: what was answered with 202 becomes one run each, whatever is killed, and nothing else does."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGSTOP, SIGTERM
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Ended, Program, Running, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, counted

SOCKET = "accept.sock"
HELD = replace(SimulatorOptions(), unavailable=True)
LINES = {"Content-Type": "application/x-ndjson"}


@asynccontextmanager
async def client_of(program: Program) -> AsyncIterator[ClientSession]:
    connector = UnixConnector(str(program.folder / SOCKET))
    async with ClientSession("http://localhost", connector=connector, timeout=ClientTimeout(30)) as client:
        yield client


async def post(client: ClientSession, wanted: Iterable[Document]) -> tuple[int, dict[str, Any]]:
    async with client.post("/runs", data=to_lines(wanted), headers=LINES) as response:
        return response.status, await response.json()


async def accepting(program: Program, simulator: Simulator, *words: str) -> Running:
    running = await program.start("run", *aim(simulator), "--accept", f"unix:{SOCKET}", "--output", "json", *words)
    await running.until_it_prints(f"accepting records at unix:{SOCKET}")
    return running


async def terminated(running: Running) -> Ended:
    running.send(SIGTERM)
    return await running.end()


def spooled(program: Program) -> list[Path]:
    return list((program.folder / ".ingestor").rglob("accepted-*"))


async def test_what_is_sent_becomes_runs_and_after_sigterm_nothing_is_left(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(500))
    running = await accepting(program, simulator)
    async with client_of(program) as client:
        for number in range(0, 500, 50):
            assert await post(client, wanted[number : number + 50]) == (202, {"accepted": 50, "rejected": []})
    ended = await terminated(running)
    assert (ended.code, ended.summary["counts"]) == (0, counted(created=500))
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert spooled(program) == []
    assert not (program.folder / SOCKET).exists()
    assert program.events("batch.started")[0]["sources"] == ["POST /runs"]


async def test_rejected_lines_are_answered_and_counted_apart_from_records(
    program: Program, simulator: Simulator
) -> None:
    running = await accepting(program, simulator)
    async with client_of(program) as client:
        status, answer = await post(client, [{"job_id": "good"}, {"job_id": "bad", "unknown": 1}])
    assert (status, answer["accepted"], answer["rejected"][0]["line"]) == (202, 1, 2)
    ended = await terminated(running)
    assert (ended.code, ended.summary["counts"]) == (0, counted(created=1))
    [finished] = program.events("batch.finished")
    assert (ended.summary["rejected_lines"], finished["rejected_lines"]) == (1, 1)
    assert not (program.folder / ".ingestor" / "rejects.jsonl").exists()


async def test_killed_between_the_answer_and_the_run_every_record_is_one_run(program: Program) -> None:
    wanted = list(records(300))
    async with Simulator(HELD) as simulator:
        running = await accepting(program, simulator)
        async with client_of(program) as client:
            assert (await post(client, wanted))[0] == 202
        await running.die()
        assert simulator.statistics.run_count == 0
        simulator.set_available(True)
        running = await accepting(program, simulator)
        await running.until(lambda: simulator.statistics.run_count == 300)
        ended = await terminated(running)
        assert (ended.code, ended.summary["counts"]["created"]) == (0, 300)
        assert_each_is_one_run(simulator, wanted, program.rows())
        assert spooled(program) == []


async def test_killed_before_the_answer_nothing_is_accepted_and_the_same_records_can_be_sent_again(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(10))
    running = await accepting(program, simulator)
    running.send(SIGSTOP)
    async with client_of(program) as client:
        sending = asyncio.create_task(post(client, wanted))
        assert await asyncio.wait({sending}, timeout=0.05) == (set(), {sending})
        await running.die()
        with pytest.raises(ClientError):
            await sending
    assert spooled(program) == []
    running = await accepting(program, simulator)
    async with client_of(program) as client:
        assert (await post(client, wanted))[0] == 202
    assert (await terminated(running)).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


@pytest.mark.parametrize("command", ["resume", "run"])
async def test_what_was_accepted_is_finished_by_commands_that_accept_nothing(program: Program, command: str) -> None:
    wanted = list(records(30))
    async with Simulator(HELD) as simulator:
        running = await accepting(program, simulator)
        async with client_of(program) as client:
            assert (await post(client, wanted))[0] == 202
        await running.die()
        simulator.set_available(True)
        program.write("runs.jsonl", [])
        ended = await program.run(command, *aim(simulator), *(["runs.jsonl"] if command == "run" else []))
        assert ended.code == 0, ended.stderr
        assert_each_is_one_run(simulator, wanted, program.rows())
        assert spooled(program) == []
        ended = await program.run("resume", *aim(simulator))
        assert (ended.code, ended.stdout[:22]) == (0, "Nothing is left to res")


async def test_killed_at_any_time_each_answered_record_is_one_run_and_a_repeated_one_too(
    program: Program, simulator: Simulator
) -> None:
    """A client sends until the process is killed, and sends again what was not answered."""
    wanted = list(records(2000))
    groups = [wanted[at : at + 20] for at in range(0, 2000, 20)]
    answered = 0
    for kills in range(3):
        running = await accepting(program, simulator)
        killing = asyncio.create_task(_kill_after(running, simulator, 350 * (kills + 1)))
        async with client_of(program) as client:
            with suppress(ClientError, asyncio.TimeoutError, OSError):
                while answered < len(groups):
                    assert (await post(client, groups[answered]))[0] == 202
                    answered += 1
        await killing
    running = await accepting(program, simulator)
    async with client_of(program) as client:
        for group in groups[max(answered - 1, 0) :]:  # the last answered one again: as if its answer had been lost
            assert (await post(client, group))[0] == 202
    ended = await terminated(running)
    assert ended.code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert spooled(program) == []


async def _kill_after(running: Running, simulator: Simulator, count: int) -> None:
    await running.until(lambda: simulator.statistics.run_count >= count)
    await running.die()


async def test_a_file_and_requests_are_read_at_the_same_time(program: Program, simulator: Simulator) -> None:
    wanted = list(records(40))
    running = await accepting(program, simulator, program.write("runs.jsonl", wanted[:20]))
    async with client_of(program) as client:
        assert (await post(client, wanted[20:]))[0] == 202
    await running.until(lambda: simulator.statistics.run_count == 40)
    ended = await terminated(running)
    assert ended.code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_without_a_source_standard_input_is_not_read(program: Program, simulator: Simulator) -> None:
    running = await accepting(program, simulator)
    await running.write(b'{"job_id": "not read"}\n')
    ended = await terminated(running)
    assert (ended.code, simulator.statistics.run_count) == (0, 0)


async def test_standard_input_that_is_named_is_read_at_the_same_time(program: Program, simulator: Simulator) -> None:
    wanted = list(records(2))
    running = await accepting(program, simulator, "-")
    await running.write(to_lines(wanted[:1]))
    async with client_of(program) as client:
        assert (await post(client, wanted[1:]))[0] == 202
    await running.until(lambda: simulator.statistics.run_count == 2)
    running.send(SIGTERM)
    assert (await running.leave_input_open_and_end()).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_curl_sends_records_over_the_socket(program: Program, simulator: Simulator) -> None:
    running = await accepting(program, simulator)
    program.write("runs.jsonl", records(3))
    curl = ("curl", "--silent", "--show-error", "--unix-socket", SOCKET, "--data-binary", "@runs.jsonl")
    header = ("-H", "Content-Type: application/x-ndjson")
    ended = await program.spawn(*header, "http://localhost/runs", command=curl)
    assert json.loads(ended.stdout) == {"accepted": 3, "rejected": []}
    assert (await terminated(running)).summary["counts"] == counted(created=3)


async def test_a_second_process_can_not_take_the_socket(program: Program, simulator: Simulator) -> None:
    running = await accepting(program, simulator)
    other = await program.spawn("run", *aim(simulator), "--accept", f"unix:{SOCKET}", "--state", "other")
    assert other.code == 2
    assert f"ingestor: --accept: can't listen on unix:{SOCKET}: address already in use" in other.stderr
    same = await program.spawn("run", *aim(simulator), "--accept", f"unix:{SOCKET}")
    assert same.code == 75
    assert "The state directory .ingestor is in use by" in same.stderr
    async with client_of(program) as client:
        assert (await post(client, records(1)))[0] == 202
    assert (await terminated(running)).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--accept", "unix:s", "--no-spool"), "--spool: --accept keeps records in the spool"),
        (("--accept", "unix:s", "--no-follow"), "--follow: --accept implies it"),
        (("--accept", "0.0.0.0:0"), "set INGESTOR_ACCEPT_TOKEN_FILE"),
        (("--accept", "0.0.0.0:0", "--accept-token-file", "empty"), "must hold one token"),
        (("--accept", "somewhere"), "--accept: must be"),
    ],
)
async def test_what_can_not_be_accepted_safely_is_a_usage_error(
    program: Program, simulator: Simulator, words: tuple[str, ...], message: str
) -> None:
    program.write("empty", b"")
    ended = await program.run("run", *aim(simulator), *words)
    assert ended.code == 2
    assert message in ended.stderr


async def test_beyond_this_machine_programs_need_the_token(program: Program, simulator: Simulator) -> None:
    token = "0123456789abcdef0123456789abcdef"
    program.write("token", token.encode())
    words = ("run", *aim(simulator), "--accept", "0.0.0.0:0", "--log", "log")
    running = await program.start(*words, env={"INGESTOR_ACCEPT_TOKEN_FILE": "token"})
    port = int((await running.until_it_prints("accepting records at 0.0.0.0:")).rpartition(":")[2])
    async with ClientSession(f"http://127.0.0.1:{port}") as client:
        assert (await post(client, records(1)))[0] == 401
    async with ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as client:
        assert (await post(client, records(1)))[0] == 202
    ended = await terminated(running)
    assert (ended.code, simulator.statistics.run_count) == (0, 1)
    assert token not in ended.stdout + ended.stderr + (program.folder / "log").read_text()
