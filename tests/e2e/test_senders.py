"""`ingestor run --senders 2`: several processes, one rate, one journal, one log."""

import asyncio
import os
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGINT, SIGKILL

from ingestor.simulator.options import SURVIVABLE, InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import TIMEOUT, Program, Running, aim
from tests.e2e.proof import assert_each_is_one_run


def senders_of(running: Running) -> list[int]:
    """Return the child processes of the command."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_working(running: Running, simulator: Simulator, made: int) -> bool:
    """Whether both senders are running, and the service has created so many runs."""
    return simulator.statistics.run_count >= made and len(senders_of(running)) == 2


async def test_with_faults_and_killed_senders_every_record_is_exactly_one_run(program: Program) -> None:
    wanted, random = list(records(300)), Random(7)
    faults = dict.fromkeys(sorted(SURVIVABLE - {InjectedFault.HANG}), 0.02)
    async with Simulator(SimulatorOptions(faults=faults, slow=0.1, rate=100, burst=0.1)) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--senders", "2", program.write("runs.jsonl", wanted))
        running = await program.start(*command)
        for made in (30, 80, 130, 180):
            await running.until(partial(is_working, running, simulator, made))
            os.kill(random.choice(senders_of(running)), SIGKILL)
        ended = await running.end()

        assert ended.code == 0, ended.stdout
        assert_each_is_one_run(simulator, wanted, program.rows())
        assert ended.summary["attempts"] >= simulator.statistics.requests_by_operation["runs/create"]


async def test_a_stop_lets_the_requests_of_senders_end(program: Program) -> None:
    wanted = list(records(200))
    async with Simulator(SimulatorOptions(latency=0.2)) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--senders", "2", program.write("runs.jsonl", wanted))
        running = await program.start(*command, "--rate", "100")
        await running.until(lambda: simulator.statistics.run_count >= 20)
        senders = senders_of(running)
        running.send(SIGINT)
        stopped = await running.end()

        assert stopped.code == 75
        assert simulator.statistics.in_flight == 0
        assert program.counts()["created"] == simulator.statistics.run_count == simulator.statistics.requests
        assert not any(map(is_running, senders))


async def test_senders_send_nothing_more_once_their_coordinator_was_killed(program: Program) -> None:
    wanted = list(records(200))
    async with Simulator(SimulatorOptions(latency=0.05)) as simulator:
        command = ("run", "--output", "json", *aim(simulator), "--senders", "2", program.write("runs.jsonl", wanted))
        running = await program.start(*command)
        await running.until(lambda: simulator.statistics.run_count >= 20)
        senders = senders_of(running)
        await running.die()
        async with asyncio.timeout(TIMEOUT):
            while any(map(is_running, senders)):  # noqa: ASYNC110 - the system has no event for it
                await asyncio.sleep(0.002)
        sent = simulator.statistics.requests

        finished = await program.run(*command)
        assert finished.code == 0
        assert sent < 200
        assert_each_is_one_run(simulator, wanted, program.rows())
