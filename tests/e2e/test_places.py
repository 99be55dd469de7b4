"""Where a batch goes, and where its log and results go."""

import asyncio
import os
from signal import SIGTERM

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim
from tests.e2e.proof import assert_each_is_one_run, counted

ELSEWHERE = "https://aidp.nowhere.invalid"


async def test_a_rehearsal_never_counts_as_the_real_migration(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(5))
    flags = list(aim(simulator))
    assert (await program.run("run", *flags, source)).code == 0
    flags[flags.index("--endpoint") + 1] = ELSEWHERE
    real = await program.run("run", *flags, source)
    assert real.code == 2
    assert "would count as done" in real.stderr
    assert "a batch or a state directory of its own" in real.stderr


async def test_a_batch_may_move_between_servers_of_one_machine(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(5))
    assert (await program.run("run", *aim(simulator), source)).code == 0
    async with Simulator() as another:
        again = await program.ingest(*aim(another), source)
    assert again.summary["already_done"] == 5


async def test_a_log_that_cant_be_written_stops_the_batch(program: Program, simulator: Simulator) -> None:
    wanted = list(records(3000))
    source = program.write("runs.jsonl", wanted)
    stopped = await program.run("run", *aim(simulator), "--log", "/dev/full", source)
    assert stopped.code == 4
    assert "--log" in stopped.stderr
    assert program.counts()["pending"] == 0
    assert program.counts()["created"] == simulator.statistics.run_count < 3000
    assert (await program.run("run", *aim(simulator), source)).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_log_that_is_a_pipe_waits_for_its_reader_but_not_for_ever(
    program: Program, simulator: Simulator
) -> None:
    os.mkfifo(program.folder / "pipe")
    running = await program.start("run", *aim(simulator), "--log", "pipe", program.write("runs.jsonl", records(20)))
    await running.until(lambda: simulator.statistics.run_count == 20)
    running.send(SIGTERM)
    await running.until_it_prints("stopping")
    running.send(SIGTERM)
    assert (await running.end()).code == 75

    reader = asyncio.create_task(asyncio.to_thread((program.folder / "pipe").read_bytes))
    again = await program.spawn("run", *aim(simulator), "--log", "pipe", "runs.jsonl")
    assert again.code == 0
    assert b"batch.finished" in await reader


async def test_characters_that_the_terminal_cant_show_do_not_end_the_command(
    program: Program, simulator: Simulator
) -> None:
    source = program.write("runs.jsonl", [{"run_name": "café", "señor": 1}])
    ended = await program.spawn("run", *aim(simulator), source, env={"PYTHONIOENCODING": "ascii"})
    assert ended.code == 3
    checked = await program.spawn("check", source, env={"PYTHONIOENCODING": "ascii"})
    assert checked.code == 3
    assert "unknown field" in checked.stdout


async def test_our_own_log_is_never_read_as_records(program: Program, simulator: Simulator) -> None:
    program.write("runs.jsonl", records(20))
    flags = (*aim(simulator), "--log", "our.log.jsonl", "--rejects", "our.rejects.jsonl")
    assert (await program.run("run", *flags, ".")).code == 0
    again = await program.ingest(*flags, ".")
    assert again.summary["counts"] == counted(already_done=20)
    direct = await program.run("run", *flags, "our.log.jsonl")
    assert direct.code == 2
    assert "--log" in direct.stderr


async def test_two_machines_over_the_same_records_create_each_run_once(program: Program, simulator: Simulator) -> None:
    """Two state directories know nothing of each other: the retry tokens alone prevent second runs."""
    wanted = list(records(200))
    source = program.write("runs.jsonl", wanted)
    flags = (*aim(simulator), "--rate", "200", source)
    one, other = await program.start("run", *flags), await program.start("run", *flags, "--state", "other")
    assert (await one.end()).code == (await other.end()).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert simulator.statistics.replays > 0, "the test needs both to send the same record"
