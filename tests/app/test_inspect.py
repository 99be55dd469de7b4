"""`ingestor status`: whether the last run is in progress or was killed; and watching one."""

import asyncio
import itertools
import json
import os
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from ingestor.app.inspect import status
from ingestor.app.machine import SteadyClock
from ingestor.app.watch import INTERVAL, watch
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode
from ingestor.model.history import Memory, Progress
from ingestor.model.ports import Changes
from tests.journal.support import created, opened
from tests.report.examples import Watch
from tests.support.records import SCOPE, jobs


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


async def test_a_run_in_progress_says_what_it_did_last_and_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StateDirectory.open(tmp_path) as state:
        async with SqliteJournal.open(state, SCOPE, SteadyClock()) as journal:
            await journal.start_execution()
            await journal.remember(memory_of("sending 482/s, limited by the service\x1b[2J", time.time() - 12))
            status(tmp_path, as_json=False)
            text = capsys.readouterr().out
            status(tmp_path, as_json=True)
            [batch] = json.loads(capsys.readouterr().out)["batches"]
    assert "s ago: sending 482/s, limited by the service\\x1b[2J" in text
    assert 11 < float(text.split(" s ago")[0].splitlines()[-1]) < 60
    assert batch["last_execution"]["situation"].startswith("sending 482/s")
    status(tmp_path, as_json=False)
    assert "sending 482/s" not in capsys.readouterr().out, "it was killed: what it did last is over"


def memory_of(situation: str, at: float) -> Memory:
    progress = Progress(
        at=at,
        records=0,
        counts={},
        already_done=0,
        left=0,
        attempts=0,
        throttled=0,
        retries=0,
        latency_p50=None,
        latency_p95=None,
        situation=situation,
    )
    return Memory(progress=progress)


async def test_watching_shows_each_change_with_its_speed_and_ends_with_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another task is the run: it makes progress in each pause of the watch."""
    pauses: list[float] = []
    clock = Watch()
    steps: SimpleQueue[bool] = SimpleQueue()
    done: SimpleQueue[bool] = SimpleQueue()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.time += seconds
        steps.put(True)
        done.get()

    def watched() -> ExitCode:
        return watch(tmp_path, as_json=False, sleep=sleep, clock=clock)

    with StateDirectory.open(tmp_path) as state:
        async with SqliteJournal.open(state, SCOPE, SteadyClock()) as journal:
            await journal.start_execution()
            await journal.admit(jobs(10), stamped=True)
            watching = asyncio.create_task(asyncio.to_thread(watched))
            await asyncio.to_thread(steps.get)
            await journal.commit(Changes([created(it) for it in jobs(6)]))
            done.put(True)
            await asyncio.to_thread(steps.get)
            done.put(True)  # nothing has changed but the speed
            await asyncio.to_thread(steps.get)
            await journal.finish_execution({"created": 6}, already_done=0, left=4, exit_code=75)
    done.put(True)
    assert await watching is ExitCode.OK
    first, second, third, last = capsys.readouterr().out.split("journal: ")[1:]
    assert "pending               10" in first
    assert "speed" not in first
    assert "created                6" in second
    assert "speed              3.0/s" in second
    assert "speed" not in third
    assert "exit code 75: 6 created, 4 left" in last
    assert pauses == [INTERVAL] * 3


async def test_watching_waits_for_a_run_that_has_not_begun_and_ctrl_c_ends_it_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.finish_execution({"created": 6}, already_done=0, left=0, exit_code=0)
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            raise KeyboardInterrupt

    assert watch(tmp_path, as_json=True, sleep=sleep) is ExitCode.OK
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1, "what has not changed is not printed again"
    assert printed.err == "ingestor: no run is in progress: waiting for the next one\n", "it says so once"


async def test_watching_notices_a_run_that_begins_and_ends_between_two_looks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.finish_execution({"created": 6}, already_done=0, left=0, exit_code=0)

    looks = itertools.count()

    def sleep(_seconds: float) -> None:
        asyncio.run(begin(tmp_path, exit_code=3))
        assert not next(looks), "the run was not noticed"

    assert await asyncio.to_thread(watch, tmp_path, as_json=False, sleep=sleep) is ExitCode.OK
    assert "exit code 3: 1 created, 0 left" in capsys.readouterr().out.split("journal: ")[2]


async def test_watching_notices_a_run_that_is_killed_between_two_looks(tmp_path: Path) -> None:
    await begin(tmp_path, exit_code=0)
    looks = itertools.count()

    def sleep(_seconds: float) -> None:
        asyncio.run(begin(tmp_path))
        assert not next(looks), "the run was not noticed"

    assert await asyncio.to_thread(watch, tmp_path, as_json=True, sleep=sleep) is ExitCode.OK


async def test_a_run_that_has_ended_has_no_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Watch()
    await begin(tmp_path, exit_code=0)

    def sleep(seconds: float) -> None:
        clock.time += seconds
        asyncio.run(begin(tmp_path, exit_code=0, count=4))

    assert await asyncio.to_thread(watch, tmp_path, as_json=False, sleep=sleep, clock=clock) is ExitCode.OK
    printed = capsys.readouterr().out
    assert "4 created, 0 left" in printed
    assert "speed" not in printed


async def test_a_run_whose_records_were_done_already_did_not_have_no_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.finish_execution({"created": 0}, already_done=1200, left=0, exit_code=0)
    assert last_run(tmp_path, capsys).endswith("exit code 0: 1,200 already done, 0 left")


def test_watching_a_large_journal_leaves_the_disk_to_the_run(tmp_path: Path) -> None:
    """Each look takes three seconds here."""
    asyncio.run(begin(tmp_path))
    clock, pauses = Watch(), list[float]()

    def wall() -> float:
        clock.time += 3.0
        return time.time()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        raise KeyboardInterrupt

    watch(tmp_path, as_json=True, sleep=sleep, clock=clock, wall=wall)
    assert pauses == [30.0]


async def begin(path: Path, *, exit_code: int | None = None, count: int = 1) -> None:
    """Begin a run of `count` records. Without an exit code it is killed."""
    async with opened(path) as journal:
        await journal.start_execution()
        admitted = jobs(count)
        await journal.admit(admitted, stamped=True)
        await journal.commit(Changes([created(it) for it in admitted]))
        if exit_code is not None:
            await journal.finish_execution({"created": count}, already_done=0, left=0, exit_code=exit_code)
