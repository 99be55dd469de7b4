"""`ingestor status`: whether the last run is in progress or was killed."""

import json
import os
from pathlib import Path

import pytest

from ingestor.app.inspect import status
from ingestor.app.machine import SteadyClock
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from tests.journal.support import opened
from tests.support.records import SCOPE


def last_run(state: Path, capsys: pytest.CaptureFixture[str]) -> str:
    status(state, as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  last run: ")]
    return line.partition("Z, ")[2]


async def test_a_run_that_holds_the_state_directory_is_in_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StateDirectory.open(tmp_path) as state:
        async with SqliteJournal.open(state, SCOPE, SteadyClock()) as journal:
            await journal.start_execution()
            assert last_run(tmp_path, capsys).startswith(f"in progress: process {os.getpid()} on ")


async def test_a_run_without_an_end_that_nobody_holds_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
    assert last_run(tmp_path, capsys) == "killed before its end: run the same command again, or `ingestor resume`"


async def test_a_run_was_killed_if_the_process_that_holds_the_state_directory_began_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()  # in the past, by the clock of the test
    with StateDirectory.open(tmp_path):
        line = last_run(tmp_path, capsys)
    assert line.startswith(f"killed before its end; the state directory is in use by process {os.getpid()} on ")


async def test_a_lock_that_this_user_may_not_read_leaves_it_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").symlink_to("lock")  # it can't be opened, by root either
    assert last_run(tmp_path, capsys) == "in progress, or killed"


async def test_the_json_says_who_uses_the_state_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        status(tmp_path, as_json=True)
        assert json.loads(capsys.readouterr().out)["in_use_by"].startswith(f"process {os.getpid()} on ")
    status(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)["in_use_by"] is None
