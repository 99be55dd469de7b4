"""A state directory that can't be used stops the batch before anything is sent or lost, and the message says why."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal.schema import OLDEST, VERSION
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import COMMAND, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, runs_of

SMALL_FILES = ("sh", "-c", 'ulimit -f 300; exec "$@"', "sh", *COMMAND)
"""Files can't grow beyond 300 blocks (of 512 or 1,024 bytes), as on a full disk."""


def corrupt(state: Path) -> None:
    (state / "journal.db").write_bytes(b"not what it was" * 1000)


def newer(state: Path) -> None:
    set_version(state, VERSION + 1)


def older(state: Path) -> None:
    set_version(state, OLDEST - 1)


def set_version(state: Path, version: int) -> None:
    with closing(sqlite3.connect(state / "journal.db")) as journal:
        journal.execute(f"PRAGMA user_version = {version}")


def a_file_instead(state: Path) -> None:
    shutil.rmtree(state)
    state.write_text("a file")


@pytest.mark.parametrize(
    ("command", "spoil", "code", "words"),
    [
        ("run", corrupt, 4, "is damaged. Restore a backup of it"),
        ("resume", corrupt, 4, "is damaged. Restore a backup of it"),
        ("reconcile", corrupt, 4, "is damaged. Restore a backup of it"),
        ("run", newer, 2, f"version {VERSION + 1}"),
        ("run", older, 2, f"version {OLDEST - 1}"),
        ("resume", older, 2, f"version {OLDEST - 1}"),
        ("status", older, 2, f"version {OLDEST - 1}"),
        ("run", a_file_instead, 4, "can't be used: Not a directory. Make it writable, or give another with --state."),
    ],
)
async def test_a_directory_that_cant_be_used_is_named_and_nothing_is_sent(
    program: Program, simulator: Simulator, command: str, spoil: Callable[[Path], None], code: int, words: str
) -> None:
    source = program.write("runs.jsonl", records(5))
    assert (await program.run("run", *aim(simulator), source)).code == 0
    spoil(program.folder / ".ingestor")

    ended = await program.run(command, *aim(simulator), *([source] if command == "run" else []))

    assert ended.code == code
    assert words in ended.stderr
    assert simulator.statistics.requests == 5


async def test_a_directory_that_vanishes_stops_the_batch_before_more_is_sent(
    program: Program, simulator: Simulator
) -> None:
    running = await program.start("run", *aim(simulator), "--rate", "200", program.write("runs.jsonl", records(2000)))
    await running.until(lambda: simulator.statistics.run_count >= 50)
    shutil.rmtree(program.folder / ".ingestor")
    made = simulator.statistics.run_count

    ended = await running.end()

    assert ended.code == 4
    assert "was removed or renamed (No such file or directory)" in ended.stderr
    assert "what this run has done is not recorded any more" in ended.stdout
    assert "finished records are not sent again" not in ended.stdout + ended.stderr
    assert simulator.statistics.requests < made + 2 * 256, "only what was admitted may still be sent"


@pytest.mark.parametrize("source", ["runs.jsonl", "-"])
async def test_a_full_disk_stops_the_batch_and_nothing_is_sent_without_an_intent(
    program: Program, simulator: Simulator, source: str
) -> None:
    wanted = list(records(3000))
    program.write("runs.jsonl", wanted)
    piped = to_lines(wanted) if source == "-" else b""

    full = await program.spawn("run", *aim(simulator), source, stdin=piped, command=SMALL_FILES)

    assert full.code == 4
    assert "File too large" in full.stderr or "disk" in full.stderr
    known = {row["retry_token"] for row in program.rows()}
    assert {run["token"] for run in runs_of(simulator).values()} <= known
    assert simulator.statistics.run_count < 3000
    assert (await program.run("run", *aim(simulator), source, stdin=piped)).code in (0, 3)
    assert_each_is_one_run(simulator, wanted, program.rows())
