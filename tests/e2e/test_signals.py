"""Stop signals and kills: what was begun is found again, and nothing is done twice."""

import os
import random
import sys
from contextlib import suppress
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from ingestor.simulator.options import InjectedFault, RetryAfter, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, Running, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, states

NEVER = "600"
"""More seconds than a test lasts."""


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP])
async def test_a_stop_in_the_middle_loses_nothing_and_the_same_command_continues(program: Program, number: int) -> None:
    wanted = list(records(200))
    async with Simulator(SimulatorOptions(latency=0.02)) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--rate", "200", program.write("runs.jsonl", wanted))
        running = await program.start(*command)
        await running.until(lambda: simulator.statistics.run_count >= 40)
        running.send(number)
        stopped = await running.end()

        assert stopped.code == 75
        assert "stopping" in stopped.stderr
        made = simulator.statistics.run_count
        assert 40 <= made < 200
        assert program.counts() == states(created=made)

        finished = await program.run(*command)
        assert finished.code == 0
        assert finished.summary["counts"]["created"] == 200 - made
        assert simulator.statistics.requests == 200, "nothing was sent twice"
        assert_each_is_one_run(simulator, wanted, program.rows())


async def until_only_the_unanswered_are_left(running: Running, simulator: Simulator, count: int) -> None:
    """Wait until all of `count` runs exist, and only requests that are never answered are in flight."""
    statistics = simulator.statistics
    await running.until(
        lambda: statistics.run_count == count and statistics.in_flight == statistics.faults[InjectedFault.HANG]
    )


async def test_a_second_signal_after_a_second_ends_at_once_and_unanswered_requests_are_repeated(
    program: Program,
) -> None:
    wanted = list(records(60))
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 0.1})) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--rate", "200", program.write("runs.jsonl", wanted))
        running = await program.start(*command, "--timeout", NEVER, "--drain-timeout", NEVER)
        await until_only_the_unanswered_are_left(running, simulator, 60)
        running.send(SIGTERM)
        await running.until_it_prints("stopping")
        while not await running.is_over(0.1):  # within a second, all signals count as one
            running.send(SIGTERM)
        ended = await running.end()

        assert ended.code == 75
        assert "ended at once" in ended.stderr
        finished = await program.run(*command, "--timeout", "1")
        assert finished.code == 0
        assert_each_is_one_run(simulator, wanted, program.rows())


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
async def test_a_signal_while_the_summary_is_printed_changes_no_exit_code(
    program: Program, simulator: Simulator, number: int
) -> None:
    """Standard output is a full pipe that nobody reads: the program waits for it to print the summary."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    running = await program.start("run", *aim(simulator), program.write("runs.jsonl", records(5)), stdout=writer)
    os.close(writer)
    log = program.folder / ".ingestor" / "log.jsonl"
    await running.until(lambda: log.exists() and "batch.finished" in log.read_text())
    while not await running.is_over(0.1):
        running.send(number)
    ended = await running.end()
    os.close(reader)
    assert ended.code == 0


async def test_a_stop_waits_for_slow_answers_no_longer_than_it_may(program: Program) -> None:
    wanted = list(records(60))
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 0.1})) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--rate", "200", program.write("runs.jsonl", wanted))
        running = await program.start(*command, "--timeout", NEVER, "--drain-timeout", "0.2")
        await until_only_the_unanswered_are_left(running, simulator, 60)
        unanswered = simulator.statistics.in_flight
        running.send(SIGINT)
        stopped = await running.end()

        assert (stopped.code, stopped.summary["left"]) == (75, unanswered)
        counts = program.counts()
        assert counts == states(created=60 - unanswered, pending=unanswered)
        finished = await program.run(*command, "--timeout", "1")
        assert finished.code == 0
        assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_stop_does_not_wait_for_the_end_of_a_pause(program: Program) -> None:
    wanted = list(records(20))
    options = SimulatorOptions(rate=1 / 120, retry_after=RetryAfter.SECONDS)
    async with Simulator(options) as simulator:
        command = ("run", "--output", "json", *aim(simulator), program.write("runs.jsonl", wanted))
        running = await program.start(*command)
        await running.until(lambda: simulator.statistics.throttled > 0 and simulator.statistics.in_flight == 0)
        running.send(SIGTERM)
        stopped = await running.end()

        assert (stopped.code, stopped.summary["counts"]["created"], stopped.summary["left"]) == (75, 1, 19)
        simulator.set_rate(None)
        assert (await program.run(*command)).code == 0
        assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_stop_does_not_wait_for_a_silent_standard_input(program: Program, simulator: Simulator) -> None:
    wanted = list(records(20))
    command = ("run", "--output", "json", *aim(simulator), "-")
    running = await program.start(*command)
    await running.write(to_lines(wanted[:5]))
    await running.until(lambda: simulator.statistics.run_count == 5)
    running.send(SIGTERM)
    stopped = await running.end()

    assert (stopped.code, stopped.summary["counts"]["created"]) == (75, 5)
    finished = await program.run(*command, stdin=to_lines(wanted))
    assert (finished.code, finished.summary["counts"]["created"]) == (0, 15)
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_kills_at_any_moment_lose_nothing_and_double_nothing(program: Program) -> None:
    wanted = list(records(400))
    moments = random.Random(4)
    async with Simulator(SimulatorOptions(latency=0.01, jitter=0.02)) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--rate", "400", program.write("runs.jsonl", wanted))
        for _ in range(10):
            enough = simulator.statistics.requests + moments.randint(1, 40)
            running = await program.start(*command)
            await running.until(lambda: simulator.statistics.requests >= enough)  # noqa: B023 - used in this round only
            await running.die()

        assert simulator.statistics.run_count < 400, "the test needs kills in the middle"
        finished = await program.run(*command)
        assert finished.code == 0
        rows = program.rows()
        assert_each_is_one_run(simulator, wanted, rows)
        assert simulator.statistics.replays > 0, "the test needs lost answers"


async def test_a_second_process_does_not_touch_a_state_directory_in_use(program: Program, simulator: Simulator) -> None:
    wanted = list(records(10))
    first = await program.start("run", *aim(simulator), "-")
    await first.write(to_lines(wanted[:4]))
    await first.until(lambda: simulator.statistics.run_count == 4)

    second = await program.ingest(*aim(simulator), stdin=to_lines(wanted))

    assert second.code == 75
    assert f"process {first.pid} " in second.stderr
    beside = await program.run("status")
    assert (beside.code, simulator.statistics.requests) == (0, 4), "the journal can be read beside its writer"
    assert (await first.end(to_lines(wanted[4:]))).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


SIGNALLED_DURING_IMPORTS = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Finder())
from ingestor.cli.main import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("command", ["run", "resume", "reconcile"])
@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
@pytest.mark.parametrize("module", ["ingestor.cli.commands", "ingestor.app"])
async def test_a_signal_during_the_imports_ends_the_command_resumable(
    program: Program, simulator: Simulator, command: str, number: int, module: str
) -> None:
    source = [program.write("runs.jsonl", records(5))] if command == "run" else []
    starting = (sys.executable, "-c", SIGNALLED_DURING_IMPORTS, module, str(int(number)))
    ended = await program.spawn(command, *aim(simulator), *source, command=starting)
    assert (ended.code, ended.stdout) == (75, "")
    assert ended.stderr == "ingestor: stopped before anything was sent; run the same command again\n"
    assert simulator.statistics.requests == 0
