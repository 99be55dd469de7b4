"""A state directory that can't be used stops the batch with a plain word, before anything is sent or forgotten."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal.schema import VERSION
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.accounts import assert_each_is_one_run, runs_of
from tests.e2e.program import COMMAND, Program, aim, to_lines

SMALL_FILES = ("sh", "-c", 'ulimit -f 300; exec "$@"', "sh", *COMMAND)
"""Lets no file grow beyond 300 blocks (of 512 or 1,024 bytes), as a disk that is full does."""


def corrupt(state: Path) -> None:
    (state / "journal.db").write_bytes(b"not what it was" * 1000)


def newer(state: Path) -> None:
    with closing(sqlite3.connect(state / "journal.db")) as journal:
        journal.execute(f"PRAGMA user_version = {VERSION + 1}")


def a_file_instead(state: Path) -> None:
    shutil.rmtree(state)
    state.write_text("a file")


@pytest.mark.parametrize(
    ("command", "spoil", "words"),
    [
        ("run", corrupt, "is damaged. Put a copy of it in its place"),
        ("resume", corrupt, "is damaged. Put a copy of it in its place"),
        ("reconcile", corrupt, "is damaged. Put a copy of it in its place"),
        ("run", newer, "Use the newer ingestor that wrote it."),
        ("run", a_file_instead, "can't be used: Not a directory. Make it writable, or give another with --state."),
    ],
)
async def test_a_directory_that_cant_be_used_is_named_and_nothing_is_sent(
    program: Program, simulator: Simulator, command: str, spoil: Callable[[Path], None], words: str
) -> None:
    source = program.write("runs.jsonl", records(5))
    assert (await program.run("run", *aim(simulator), source)).code == 0
    spoil(program.folder / ".ingestor")

    ended = await program.run(command, *aim(simulator), *([source] if command == "run" else []))

    assert ended.code == 4
    assert words in ended.stderr
    assert simulator.account.requests == 5


async def test_a_directory_that_vanishes_stops_the_batch_before_more_is_sent(
    program: Program, simulator: Simulator
) -> None:
    running = await program.start("run", *aim(simulator), "--rate", "200", program.write("runs.jsonl", records(2000)))
    await running.until(lambda: simulator.account.run_count >= 50)
    shutil.rmtree(program.folder / ".ingestor")
    made = simulator.account.run_count

    ended = await running.end()

    assert ended.code == 4
    assert "No such file or directory" in ended.stderr
    assert simulator.account.requests < made + 2 * 256, "only what was in hand may still go"


@pytest.mark.parametrize("source", ["runs.jsonl", "-"])
async def test_a_full_disk_stops_the_batch_and_nothing_is_sent_without_an_intent(
    program: Program, simulator: Simulator, source: str
) -> None:
    wanted = list(records(3000))
    program.write("runs.jsonl", wanted)
    piped = to_lines(wanted) if source == "-" else b""

    full = await program.run("run", *aim(simulator), source, stdin=piped, command=SMALL_FILES)

    assert full.code == 4
    assert "File too large" in full.stderr or "disk" in full.stderr
    known = {row["retry_token"] for row in program.rows()}
    assert {run["token"] for run in runs_of(simulator).values()} <= known
    assert simulator.account.run_count < 3000
    assert (await program.run("run", *aim(simulator), source, stdin=piped)).code in (0, 3)
    assert_each_is_one_run(simulator, wanted, program.rows())
