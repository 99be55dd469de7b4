"""Sources are read from where all records before are done, and what is kept of them goes with the checkpoint."""

import gzip
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, counted

COUNT = 4000
MISSING = SimulatorOptions(missing_experiments=frozenset({"404"}))


def night(number: int, good: int = 500) -> list[Document]:
    """Return the records of one night, the last of which names an experiment that does not exist."""
    names = [f"night {number} run {run}" for run in range(good)]
    return [
        *({"job_id": name, "run_name": name} for name in names),
        {"job_id": f"night {number} bad", "experiment_id": "404"},
    ]


async def test_a_pipe_that_stays_open_keeps_next_to_nothing_once_its_runs_are_created(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(5000))
    running = await program.start("run", *aim(simulator), "--output", "json")
    await running.write(to_lines(wanted))
    await running.until(lambda: simulator.statistics.run_count == 5000)
    await running.until(lambda: program.spooled() < 4096)

    late = {"job_id": "late", "run_name": "late"}
    ended = await running.end(to_lines([late]))

    assert (ended.code, ended.summary["counts"]) == (0, counted(created=5001))
    assert_each_is_one_run(simulator, [*wanted, late], program.rows())
    assert program.spooled() == 0


async def test_each_nightly_pipe_reads_its_own_records_and_tries_the_failed_ones_of_other_nights_once(
    program: Program,
) -> None:
    async with Simulator(MISSING) as simulator:
        for number in range(3):
            before = simulator.statistics.requests
            ended = await program.ingest(*aim(simulator), stdin=to_lines(night(number)))

            assert ended.code == 3
            assert ended.summary["records"] == 501 + number
            assert ended.summary["counts"] == counted(created=500, failed=1 + number)
            assert simulator.statistics.requests - before == 501 + number
            assert program.spooled() == 0
    async with Simulator() as fixed:
        ended = await program.ingest(*aim(fixed), stdin=to_lines(night(3)[:-1]))
        assert (ended.code, ended.summary["counts"]) == (0, counted(created=503))


async def stop_in_the_middle(program: Program, simulator: Simulator, number: int, name: str) -> int:
    """Stop a run over a file, and return how many runs there are."""
    running = await program.start("run", *aim(simulator), "--rate", "1000", name)
    await running.until(lambda: simulator.statistics.run_count >= COUNT // 2)
    running.send(number)
    await running.end()
    made = simulator.statistics.run_count
    assert COUNT // 2 <= made < COUNT, "the test needs a stop in the middle"
    return made


@pytest.mark.parametrize("number", [SIGTERM, SIGKILL])
async def test_resume_reads_a_file_from_its_checkpoint(program: Program, simulator: Simulator, number: int) -> None:
    wanted = list(records(COUNT))
    await stop_in_the_middle(program, simulator, number, program.write("runs.jsonl", wanted))

    ended = await program.run("resume", *aim(simulator), "--output", "json")

    assert ended.code == 0
    assert ended.summary["records"] < COUNT - COUNT // 4
    assert_each_is_one_run(simulator, wanted, program.rows())


def append(path: Path, wanted: list[Document]) -> None:
    with path.open("ab") as file:
        file.write(to_lines(wanted[COUNT:]))


def replace(path: Path, wanted: list[Document]) -> None:
    path.write_bytes(to_lines(reversed(wanted)))


def touch(path: Path, wanted: list[Document]) -> None:
    """Change the times alone; the rest of the records is in a file of its own."""
    os.utime(path)


@pytest.mark.parametrize("change", [append, replace, touch])
async def test_resume_reads_a_file_that_was_changed_and_creates_nothing_twice(
    program: Program, simulator: Simulator, change: Callable[[Path, list[Document]], None]
) -> None:
    wanted = list(records(COUNT + 500))
    await stop_in_the_middle(program, simulator, SIGTERM, program.write("runs.jsonl", wanted[:COUNT]))
    change(program.folder / "runs.jsonl", wanted)

    ended = await program.run("resume", *aim(simulator), "--output", "json")

    assert ended.code == 0
    is_read_whole = ended.summary["records"] >= COUNT
    assert is_read_whole is (change is not append)
    expected = wanted[:COUNT] if change is touch else wanted
    assert_each_is_one_run(simulator, expected, program.rows())


async def test_run_reads_everything_it_is_given_and_counts_what_is_done(program: Program, simulator: Simulator) -> None:
    wanted = list(records(COUNT))
    name = program.write("runs.jsonl", wanted)
    made = await stop_in_the_middle(program, simulator, SIGTERM, name)

    ended = await program.ingest(*aim(simulator), name)

    assert ended.summary["counts"] == counted(created=COUNT - made, already_done=made)


async def test_rejects_before_the_checkpoint_count_in_the_exit_code_of_resume(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(COUNT))
    await stop_in_the_middle(program, simulator, SIGTERM, program.write("runs.jsonl", b"nope\n" + to_lines(wanted)))

    ended = await program.run("resume", *aim(simulator), "--output", "json")

    assert (ended.code, ended.summary["counts"]["rejected"]) == (3, 0)
    assert "Earlier runs of batch default rejected records" in ended.stderr
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_rejects_of_a_file_that_was_done_before_a_kill_are_reported_once_whatever_ran_since(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(COUNT + 1))
    names = [program.write("a.jsonl", b"nope\n"), program.write("z.jsonl", wanted[:COUNT])]
    running = await program.start("run", *aim(simulator), "--rate", "1000", *names)
    await running.until(lambda: simulator.statistics.run_count >= COUNT // 2)
    await running.die()
    assert simulator.statistics.run_count < COUNT, "the test needs a kill in the middle"
    rejects = program.folder / ".ingestor" / "rejects.jsonl"
    assert len(program.rejects()) == 1
    kept = rejects.read_text()
    assert (await program.run("run", *aim(simulator), program.write("b.jsonl", wanted[COUNT:]))).code == 0
    assert [path.read_text() for path in rejects.parent.glob("rejects-*.jsonl")] == [kept]

    ended = await program.run("resume", *aim(simulator))

    assert (ended.code, "rejected records: see rejects.jsonl and rejects-<time>.jsonl" in ended.stderr) == (3, True)
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_rejects_of_a_file_that_was_done_are_reported_where_nothing_else_is_left(
    program: Program, simulator: Simulator
) -> None:
    """The execution is killed after its last checkpoint and before its end."""
    name = program.write("a.jsonl", b"nope\n")
    running = await program.start("run", *aim(simulator), name, "-")
    await running.until(lambda: "complete" in ends(program))
    await running.write(to_lines([{"run_name": "last"}]))
    await running.until(lambda: simulator.statistics.run_count == 1 and program.spooled() == 0)
    await running.die()
    assert (await program.run("run", *aim(simulator), stdin=b"")).code == 0

    assert [(await program.run("resume", *aim(simulator))).code for _ in range(2)] == [3, 0]


def ends(program: Program) -> list[str]:
    """Return how the known sources ended."""
    journal = program.folder / ".ingestor" / "journal.db"
    if not journal.exists():
        return []
    with (
        suppress(sqlite3.OperationalError),  # it is being made
        closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection,
    ):
        return [end for (end,) in connection.execute("SELECT ended FROM source WHERE ended IS NOT NULL")]
    return []


async def test_resume_adds_to_the_rejects_of_what_it_continues(program: Program, simulator: Simulator) -> None:
    wanted = list(records(COUNT))
    text = b"first\n" + to_lines(wanted) + b"last\n"
    await stop_in_the_middle(program, simulator, SIGTERM, program.write("runs.jsonl", text))

    assert (await program.run("resume", *aim(simulator))).code == 3

    assert list(dict.fromkeys(reject["record"] for reject in program.rejects())) == ["first", "last"]


async def test_resume_names_a_damaged_source_until_it_is_replaced(program: Program, simulator: Simulator) -> None:
    name = program.write("runs.jsonl.gz", b"\x1f\x8b not gzip")
    assert (await program.run("run", *aim(simulator), name)).code == 3
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, "could not read runs.jsonl.gz to the end" in ended.stdout) == (3, True)

    program.write(name, gzip.compress(b""))
    assert (await program.run("run", *aim(simulator), name)).code == 0
    assert (await program.run("resume", *aim(simulator))).code == 0
