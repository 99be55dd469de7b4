"""The life of a service: the application ends, a status line is asked for, a budget is used up, systemd listens."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1

import pytest

from ingestor.simulator.options import InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run
from tests.e2e.test_signals import SIGNALLED_DURING_IMPORTS


def append(program: Program, name: str, data: bytes) -> None:
    with (program.folder / name).open("ab") as file:
        file.write(data)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_what_the_application_wrote_last_arrives_after_the_first_signal(
    program: Program, simulator: Simulator, number: int
) -> None:
    wanted = list(records(60))
    program.write("app.log", wanted[:20])
    running = await program.start("run", "--follow", "--output", "json", *aim(simulator), "app.log")
    await running.until(lambda: simulator.statistics.run_count == 20)
    append(program, "app.log", to_lines(wanted[20:59]) + to_lines(wanted[59:]).rstrip(b"\n"))
    running.send(number)
    ended = await running.end()

    assert (ended.code, ended.summary["counts"]["created"], ended.summary["left"]) == (0, 60, 0)
    assert "reading what exists to its end, and sending it for at most 25 s" in ended.stderr
    assert_each_is_one_run(simulator, wanted, program.rows())


@pytest.mark.parametrize("module", ["ingestor.cli.commands", "ingestor.app.session"])
async def test_an_application_that_ends_while_its_sidecar_starts_loses_nothing(
    program: Program, simulator: Simulator, module: str
) -> None:
    wanted = list(records(5))
    program.write("app.log", wanted)
    starting = (sys.executable, "-c", SIGNALLED_DURING_IMPORTS, module, str(int(SIGTERM)))
    ended = await program.spawn("run", "--follow", *aim(simulator), "app.log", command=starting)
    assert ended.code == 0
    assert "stopping: reading what exists to its end" in ended.stderr
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_signal_during_the_imports_ends_a_run_whose_settings_file_does_not_follow(
    program: Program, simulator: Simulator
) -> None:
    program.write("settings.toml", b"rate = 50\n")
    starting = (sys.executable, "-c", SIGNALLED_DURING_IMPORTS, "ingestor.cli.commands", str(int(SIGTERM)))
    source = program.write("runs.jsonl", records(5))
    ended = await program.spawn("run", *aim(simulator), "--config", "settings.toml", source, command=starting)
    assert (ended.code, ended.stderr) == (
        75,
        "ingestor: stopped before anything was sent; run the same command again\n",
    )
    assert simulator.statistics.requests == 0


async def test_rejected_records_of_a_followed_file_give_3_at_the_end(program: Program, simulator: Simulator) -> None:
    program.write("app.log", to_lines(records(3)) + b'{"run_name": 1}\n')
    running = await program.start("run", "--follow", "--quiet", *aim(simulator), "app.log")
    await running.until(lambda: simulator.statistics.run_count == 3)
    running.send(SIGTERM)
    ended = await running.end()
    assert ended.code == 3
    assert "rejected" in ended.stdout, "a quiet command prints the summary unless all is well"


async def test_what_a_service_that_is_down_does_not_take_is_left_and_said_in_log_and_exit_code(
    program: Program,
) -> None:
    wanted = list(records(30))
    async with Simulator() as simulator:
        program.write("app.log", wanted[:20])
        command = ("run", "--follow", "--output", "json", "--drain-timeout", "1", *aim(simulator), "app.log")
        running = await program.start(*command)
        await running.until(lambda: simulator.statistics.run_count == 20)
    append(program, "app.log", to_lines(wanted[20:]))
    running.send(SIGTERM)
    ended = await running.end()
    assert (ended.code, ended.summary["left"]) == (75, 10)
    [finished] = program.events("batch.finished")
    assert (finished["left"], finished["exit_code"], finished["reason"]) == (10, 75, "stopped by SIGTERM")


async def test_the_second_signal_ends_a_followed_batch_at_once(program: Program) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 1.0})) as simulator:
        program.write("app.log", records(5))
        running = await program.start(
            "run", "--follow", "--drain-timeout", "600", "--timeout", "600", *aim(simulator), "app.log"
        )
        await running.until(lambda: simulator.statistics.requests >= 1)
        running.send(SIGTERM)
        await running.until_it_prints("stopping")
        while not await running.is_over(0.1):  # within a second, all signals count as one
            running.send(SIGTERM)
        ended = await running.end()
    assert ended.code == 75
    assert "ended at once" in ended.stderr


async def test_a_service_that_was_never_up_is_waited_for_while_following(program: Program) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        address = ("--endpoint", f"http://127.0.0.1:{port}", "--platform-id", "p", "--workspace", "w", "--auth", "none")
        program.write("app.log", records(5))
        running = await program.start("run", "--follow", "--drain-timeout", "0.2", *address, "app.log")
        log = program.folder / ".ingestor" / "log.jsonl"
        await running.until(lambda: log.exists() and "batch.paused" in log.read_text())
        running.send(SIGUSR1)
        line = await running.until_it_prints("status:")
        assert "status: waiting for the service since " in line
        running.send(SIGTERM)
        ended = await running.end()
    assert ended.code == 75


async def test_sigusr1_prints_a_status_line_also_if_quiet_and_the_batch_goes_on(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(40))
    running = await program.start("run", "--quiet", "--output", "json", *aim(simulator), "-")
    await running.write(to_lines(wanted[:10]))
    await running.until(lambda: simulator.statistics.run_count == 10)
    line = ""
    while "status: waiting for records: 10 in, 0 left; 10 records, " not in line:
        running.send(SIGUSR1)
        line = await running.until_it_prints("status:")
    ended = await running.end(to_lines(wanted[10:]))
    assert (ended.code, ended.summary["counts"]["created"]) == (0, 40)


@pytest.mark.parametrize("command", ["run", "check"])
async def test_sigusr1_before_a_batch_begins_ends_nothing(program: Program, simulator: Simulator, command: str) -> None:
    source = program.write("runs.jsonl", records(5))
    starting = (sys.executable, "-c", SIGNALLED_DURING_IMPORTS, "ingestor.app", str(int(SIGUSR1)))
    flags = aim(simulator) if command == "run" else ()
    ended = await program.spawn(command, *flags, source, command=starting)
    assert ended.code == 0


async def test_a_quiet_command_prints_nothing_if_all_is_well(program: Program, simulator: Simulator) -> None:
    program.write("runs.jsonl", records(5))
    assert (await program.run("run", *aim(simulator), "runs.jsonl")).code == 0
    ended = await program.run("run", "--quiet", *aim(simulator), "runs.jsonl")
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")


async def test_a_quiet_service_prints_nothing_if_all_is_well(program: Program, simulator: Simulator) -> None:
    program.write("app.log", records(5))
    assert (await program.run("run", *aim(simulator), "app.log")).code == 0  # it prints that the state is new
    program.write("new.log", list(records(9))[5:])
    command = ("run", "--quiet", "--follow", "--accept", "unix:accept.sock", *aim(simulator))
    running = await program.start(*command, "app.log", "new.log")
    await running.until(lambda: simulator.statistics.run_count == 9)
    running.send(SIGTERM)
    ended = await running.end()
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(("asked", "bad", "code"), [("0", False, 0), ("75", False, 75), ("0", True, 3)])
async def test_a_batch_that_its_time_budget_stopped_ends_with_the_code_that_was_asked_for(
    program: Program, simulator: Simulator, asked: str, bad: bool, code: int
) -> None:
    program.write("runs.jsonl", (b'{"run_name": 1}\n' if bad else b"") + to_lines(records(500)))
    command = ("run", *aim(simulator), "--rate", "20", "--time-budget", "2", "--budget-exit", asked, "runs.jsonl")
    ended = await program.run(*command)
    assert ended.code == code
    assert "Run the same command again" in ended.stdout
    [finished] = program.events("batch.finished")
    assert (finished["exit_code"], finished["reason"]) == (75, "the time budget is used up")


async def test_a_resume_that_its_time_budget_stopped_is_a_success_too_and_the_next_one_finishes(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(200))
    running = await program.start("run", *aim(simulator), "--rate", "20", program.write("runs.jsonl", wanted))
    await running.until(lambda: simulator.statistics.run_count >= 5)
    running.send(SIGTERM)
    assert (await running.end()).code == 75
    budget = ("--rate", "20", "--time-budget", "1", "--budget-exit", "0")
    assert (await program.run("resume", *aim(simulator), *budget)).code == 0
    assert simulator.statistics.run_count < 200
    assert (await program.run("resume", *aim(simulator))).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        yield manager


def heard(manager: socket.socket) -> list[str]:
    messages: list[str] = []
    try:
        while True:
            messages += manager.recv(65_536).decode().splitlines()
    except BlockingIOError:
        return messages


async def test_systemd_gets_that_the_service_is_ready_what_it_does_that_it_lives_and_that_it_stops(
    program: Program, simulator: Simulator
) -> None:
    program.write("app.log", records(5))
    with listening(program.folder / "notify") as manager:
        environment = {"NOTIFY_SOCKET": str(program.folder / "notify"), "WATCHDOG_USEC": "300000"}
        running = await program.start("run", "--follow", *aim(simulator), "app.log", env=environment)
        received: list[str] = []

        def is_received(message: str) -> bool:
            received.extend(heard(manager))
            return message in received

        await running.until(lambda: is_received("STATUS=waiting for records: 5 in, 0 left"))
        assert "STOPPING=1" not in received
        running.send(SIGTERM)
        assert (await running.end()).code == 0
        received += heard(manager)
    assert received.index("READY=1") < received.index("STOPPING=1")
    assert "WATCHDOG=1" in received
    assert received[-1] == "STATUS=finished with exit code 0: 5 in, 0 left"


async def test_a_service_that_could_not_begin_never_says_that_it_is_ready(
    program: Program, simulator: Simulator
) -> None:
    (program.folder / "state").write_text("no directory")
    with listening(program.folder / "notify") as manager:
        environment = {"NOTIFY_SOCKET": str(program.folder / "notify")}
        ended = await program.spawn("run", *aim(simulator), "--state", "state", "-", env=environment)
        received = heard(manager)
    assert ended.code != 0
    assert "READY=1" not in received
    assert "STOPPING=1" in received


async def test_another_process_watches_a_run_by_its_journal_until_it_ends(
    program: Program, simulator: Simulator
) -> None:
    running = await program.start("run", "--quiet", *aim(simulator), "-")
    await running.write(to_lines(records(3)))
    await running.until(lambda: simulator.statistics.run_count == 3)
    watching = await program.start("status", "--watch", "--output", "json")
    first = json.loads(await watching.next_line())
    assert f"process {running.pid} " in first["in_use_by"]
    assert (await running.end(b"")).code == 0
    ended = await watching.end()
    last = json.loads(ended.stdout.splitlines()[-1])
    assert ended.code == 0
    assert last["in_use_by"] is None
    assert last["batches"][0]["last_execution"]["exit_code"] == 0
