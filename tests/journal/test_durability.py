"""What is said to be on disk is there: after kills, on full disks, in damaged and foreign files."""

import asyncio
import hashlib
import os
import random
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.database import open_owned
from ingestor.journal.reader import ResultRow, results, status
from ingestor.journal.schema import State
from ingestor.model.errors import JournalError
from ingestor.model.ports import AdmissionStatus
from tests.journal.support import child, commits, created, opened
from tests.support.records import job, jobs


def rows(path: Path) -> dict[str, ResultRow]:
    return {row.job_id: row for row in results(path)}


async def test_after_a_kill_everything_said_to_be_durable_is_there_and_whole(tmp_path: Path) -> None:
    said: dict[str, State] = {}
    for start in range(1000, 40_000, 6000):
        with child("write", tmp_path, start) as writer:
            assert writer.stdout is not None
            for _ in range(start // 100):
                note(said, writer.stdout.readline())
            writer.kill()
            for line in writer.stdout.read().splitlines(keepends=True):
                note(said, line)
        found = rows(tmp_path)
        for key, state in said.items():
            assert found[key].outcome in {state, State.CREATED}, f"{key} was {state}"
        for key, row in found.items():
            assert row.retry_token == job(int(key.removeprefix("job-"))).token
            assert (row.run_id == f"run of {key}") is (row.outcome is State.CREATED)
    assert len(said) > 5


def note(said: dict[str, State], line: str) -> None:
    """Remember what the journal said; a line that the kill tore was not said."""
    if line.endswith("\n"):
        word, key = line.split()
        said[key] = State.PENDING if word == "new" else State(word)


async def test_a_full_disk_stops_the_journal_and_costs_nothing_that_was_said(tmp_path: Path) -> None:
    with child("fill", tmp_path) as writer:
        *said, first, second = writer.communicate()[0].splitlines()
    assert first.startswith(f"error The journal {tmp_path / 'journal.db'} can't be used: ")
    assert "run the same command again" in first
    assert second == first, "a journal that failed once is never believed again, even if there is room"
    durable = [key for line in said for key in line.split()]
    assert len(durable) >= 30
    assert list(rows(tmp_path)) == durable
    assert {row.outcome for row in results(tmp_path)} == {State.PENDING}, "what failed is not written later either"


def test_commits_are_synced_to_disk(tmp_path: Path) -> None:
    with closing(open_owned(tmp_path / "journal.db")) as connection:
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("end", [os.unlink, lambda path: path.rename(path.with_name("moved"))])
async def test_a_journal_that_vanishes_is_noticed_before_anything_is_believed(
    tmp_path: Path, end: Callable[[Path], None]
) -> None:
    async with opened(tmp_path) as journal:
        end(tmp_path / "journal.db")
        with pytest.raises(JournalError, match=r"journal\.db can't be used: No such file"):
            await journal.admit([job(1)], stamped=True)
        with pytest.raises(JournalError, match="No such file"):
            await journal.admit([job(2)], stamped=True)


async def test_a_journal_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        (tmp_path / "copy").write_bytes((tmp_path / "journal.db").read_bytes())
        (tmp_path / "copy").rename(tmp_path / "journal.db")
        with pytest.raises(JournalError, match="replaced while it was open"):
            await journal.admit([job(1)], stamped=True)


def text(path: Path) -> None:
    path.write_text("these are my notes, and they are long enough for a header of SQLite\n" * 20)


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (note)")


def empty(path: Path) -> None:
    path.touch()


def directory(path: Path) -> None:
    path.mkdir()


def newer(path: Path) -> None:
    open_owned(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")


def lost(path: Path) -> None:
    path.with_name("journal.db-wal").touch()


unusable = pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text, "not a database. It is damaged. Put a copy of it in its place"),
        (another_database, "is no journal of ingestor"),
        (empty, "is empty. It is damaged"),
        (directory, "unable to open database file. Look at the permissions"),
        (newer, "Use the newer ingestor that wrote it"),
        (lost, "is missing, but journal.db-wal is there"),
    ],
)


@unusable
async def test_a_file_that_is_no_usable_journal_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path / "journal.db")
    before = snapshot(tmp_path)
    with pytest.raises(JournalError) as refusal:
        async with opened(tmp_path):
            pass
    assert message in str(refusal.value)
    assert str(tmp_path / "journal.db") in str(refusal.value)
    assert snapshot(tmp_path) == before


def snapshot(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "lock"}


@pytest.mark.parametrize("spoil", [text, another_database, empty, directory, newer])
def test_readers_refuse_the_same_files(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "journal.db")
    for read in (lambda: status(tmp_path, now=0), lambda: list(results(tmp_path))):
        with pytest.raises(JournalError, match=str(tmp_path / "journal.db")):
            read()


async def test_damage_met_on_the_way_stops_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(500), stamped=True)
    size = (tmp_path / "journal.db").stat().st_size
    with (tmp_path / "journal.db").open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(size - 4096))
    with pytest.raises(JournalError, match=r"malformed\. It is damaged"):
        async with opened(tmp_path) as journal:
            await journal.admit(jobs(500), stamped=True)


async def test_a_half_made_journal_of_a_killed_process_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "journal.new").write_bytes(b"SQLite format 3\0 and then the power went")
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    assert list(rows(tmp_path)) == ["job-1"]


async def test_calls_that_come_together_share_few_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(500), stamped=True)
        before = commits(tmp_path)
        await asyncio.gather(*(journal.settle([created(job)]) for job in jobs(500)))
        assert 1 <= commits(tmp_path) - before <= 20
    assert {row.outcome for row in results(tmp_path)} == {State.CREATED}


async def test_one_call_is_one_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        before = commits(tmp_path)
        await journal.admit(jobs(1200), stamped=True)
        assert commits(tmp_path) - before == 1


async def test_jobs_that_are_done_wait_for_no_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.settle([created(job) for job in jobs(3)])
        before = commits(tmp_path)
        admissions = await journal.admit(jobs(3), stamped=True)
        assert [admission.status for admission in admissions] == [AdmissionStatus.DONE] * 3
        assert commits(tmp_path) == before
        await journal.admit(jobs(4), stamped=True)
        assert commits(tmp_path) == before + 1


async def test_a_group_fails_as_a_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        answers = await asyncio.gather(
            journal.admit([job(1)], stamped=True), journal.settle([created(job(2))]), return_exceptions=True
        )
    assert [str(answer) for answer in answers] == ["The journal misses the intents of 1 jobs that were sent."] * 2
    assert rows(tmp_path) == {}


async def test_a_cancelled_caller_does_not_undo_its_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        settling = asyncio.create_task(journal.settle([created(job(1))]))
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
    assert rows(tmp_path)["job-1"].outcome is State.CREATED


async def test_what_waits_when_the_journal_closes_is_still_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        admitting = asyncio.create_task(journal.admit([job(1)], stamped=True))
        await asyncio.sleep(0)
    await admitting
    assert list(rows(tmp_path)) == ["job-1"]


async def test_a_closed_journal_says_so_and_leaves_no_thread_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert "journal" in {thread.name for thread in threading.enumerate()}
    with pytest.raises(JournalError, match="is closed"):
        await journal.admit([job(1)], stamped=True)
    for thread in threading.enumerate():
        if thread.name == "journal":
            thread.join(5)
            assert not thread.is_alive()


async def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    many = [job(number, key=hashlib.sha256(b"%d" % number).hexdigest()) for number in range(15_000)]
    async with opened(tmp_path) as journal:
        for start in range(0, len(many), 500):
            await journal.admit(many[start : start + 500], stamped=True)
            await journal.settle([created(job) for job in many[start : start + 500]])
        checkpoint_at, group = 4000 * 4096, 500 * 4096
        assert (tmp_path / "journal.db-wal").stat().st_size < checkpoint_at + group
