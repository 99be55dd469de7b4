import asyncio
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from ingestor.model.errors import UsageError
from ingestor.model.events import RecordRejected
from ingestor.report.appender import ReportError
from ingestor.report.rejects import RejectsFile, set_aside
from tests.report.examples import created, rejected

OLD_LINE = '{"source":"old.jsonl","line":1,"reason":"old","record":"old"}\n'
OLD_TIME = 1_767_323_045  # 2026-01-02T03:04:05Z
OLD_NAME = "rejects-20260102T030405Z.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rejects.jsonl"


def leave(path: Path, text: str = OLD_LINE) -> None:
    """Write the file of an earlier run."""
    path.write_text(text)
    os.utime(path, (OLD_TIME, OLD_TIME))


async def run(path: Path, *events: RecordRejected, completed: bool = True) -> None:
    rejects = RejectsFile(path)
    for event in events:
        rejects.emit(event)
    await rejects.close(completed=completed)


def content(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


async def test_a_reject_is_a_line_of_its_place_reason_and_text(path: Path) -> None:
    await run(path, rejected('{"start_time": 1.5}', line=3, reason="start_time: is not whole"))
    line = json.loads(content(path.parent)["rejects.jsonl"])
    assert list(line.items()) == [
        ("source", "runs.jsonl"),
        ("line", 3),
        ("reason", "start_time: is not whole"),
        ("record", '{"start_time": 1.5}'),
    ]


async def test_rejects_are_on_disk_once_they_are_synced(path: Path) -> None:
    rejects = RejectsFile(path)
    await rejects.sync_rejects()
    rejects.emit(rejected("one"))
    await rejects.sync_rejects()
    assert json.loads(content(path.parent)["rejects.jsonl"])["record"] == "one"
    await rejects.sync_rejects()
    await rejects.close(completed=True)


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    asyncio.run(run(path, rejected()))
    assert path.stat().st_mode & 0o777 == 0o600


async def test_other_events_write_nothing(path: Path) -> None:
    rejects = RejectsFile(path)
    rejects.emit(created())
    await rejects.ready()
    await rejects.flush()
    await rejects.close(completed=True)
    assert content(path.parent) == {}


async def test_hostile_text_comes_back_as_it_was(path: Path) -> None:
    hostile = '{"a": "\x1b[2J\u2028\x00 \\ \udcff"\n\r'
    await run(path, rejected(hostile))
    (line,) = content(path.parent)["rejects.jsonl"].splitlines()
    assert line.isascii()
    assert json.loads(line)["record"] == hostile


async def test_the_file_of_an_earlier_run_is_kept_under_the_time_of_its_last_line(path: Path) -> None:
    leave(path)
    await run(path, rejected("new"))
    kept = content(path.parent)
    assert kept.keys() == {"rejects.jsonl", OLD_NAME}
    assert kept[OLD_NAME] == OLD_LINE
    assert json.loads(kept["rejects.jsonl"])["record"] == "new"


async def test_a_kept_file_is_never_overwritten(path: Path) -> None:
    for text in ("first\n", "second\n", "third\n"):
        leave(path, text)
        await run(path)
    assert content(path.parent) == {
        OLD_NAME: "first\n",
        "rejects-20260102T030405Z-2.jsonl": "second\n",
        "rejects-20260102T030405Z-3.jsonl": "third\n",
    }


async def test_after_a_run_without_rejects_there_is_no_file(path: Path) -> None:
    leave(path)
    await run(path)
    assert content(path.parent) == {OLD_NAME: OLD_LINE}


async def test_a_run_that_was_stopped_before_its_first_reject_leaves_the_old_file(path: Path) -> None:
    leave(path)
    await run(path, completed=False)
    assert content(path.parent) == {"rejects.jsonl": OLD_LINE}


async def test_an_empty_old_file_is_removed(path: Path) -> None:
    leave(path, "")
    await run(path)
    assert content(path.parent) == {}


def test_records_that_are_fed_back_come_from_the_old_file_only(path: Path) -> None:
    """As in `jq -r .record rejects.jsonl | ingestor run -`: a file too big for the pipe is read while we write."""
    leave(path, OLD_LINE * 5_000)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        asyncio.run(reject_all(path, reader.stdout))
    kept = content(path.parent)
    assert kept[OLD_NAME] == OLD_LINE * 5_000
    assert len(kept["rejects.jsonl"].splitlines()) == 5_000


async def reject_all(path: Path, lines: IO[bytes]) -> None:
    rejects = RejectsFile(path)
    for number, line in zip(range(1, 10_000), lines, strict=False):
        rejects.emit(rejected(json.loads(line)["record"], line=number))
        await rejects.flush()
    await rejects.close(completed=True)


async def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "full"
    path.symlink_to("/dev/full")
    rejects = RejectsFile(path)
    rejects.emit(rejected())
    with pytest.raises(ReportError, match=r"No space left on device.*--rejects"):
        await rejects.sync_rejects()
    with pytest.raises(ReportError, match=r"No space left on device.*--rejects"):
        await rejects.flush()
    rejects.emit(rejected())
    with pytest.raises(ReportError):
        await rejects.ready()
    with pytest.raises(ReportError):
        await rejects.close(completed=True)


def test_a_pipe_is_written_and_never_renamed(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        asyncio.run(run(path, rejected("new")))
        output, _ = reader.communicate(timeout=10)
    assert json.loads(output)["record"] == "new"
    assert path.is_fifo()


async def test_a_run_that_continues_adds_to_the_file_of_the_earlier_ones(path: Path) -> None:
    leave(path)
    for text in ("one", "two"):
        rejects = RejectsFile(path, append=True)
        rejects.emit(rejected(text))
        await rejects.close(completed=True)
    await RejectsFile(path, append=True).close(completed=True)
    assert list(content(path.parent)) == ["rejects.jsonl"]
    lines = content(path.parent)["rejects.jsonl"].splitlines()
    assert [json.loads(line)["record"] for line in lines] == ["old", "one", "two"]


def test_a_device_is_a_place_for_rejects_although_no_file_can_be_made_beside_it() -> None:
    child = os.fork()
    if not child:
        os.setuid(65534)  # a user who may not write to /dev
        code = 1
        with suppress(UsageError):
            RejectsFile(Path("/dev/null"))
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_device_stays_as_it_is() -> None:
    set_aside(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", [".", "missing/rejects.jsonl"])
def test_a_place_that_can_hold_no_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"Rejected records can't be written to .*--rejects"):
        RejectsFile(tmp_path / name)
