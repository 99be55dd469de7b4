"""What the journal reports as durable is on disk: after kills, on full disks, in damaged and foreign files."""

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
from ingestor.journal.writer import Writer
from ingestor.model.admission import AdmissionStatus
from ingestor.model.errors import ExitCode, JournalError, JournalLostError, JournalVersionError
from ingestor.model.ports import Changes
from ingestor.model.record import State
from ingestor.model.sources import Checkpoint, Source
from tests.journal.support import child, commits, created, failed, opened
from tests.support.records import job, jobs

FILE = Source("runs.jsonl", "/history/runs.jsonl")


def rows(path: Path) -> dict[str, ResultRow]:
    return {row.job_id: row for row in results(path)}


async def test_after_a_kill_everything_reported_as_durable_is_there_and_complete(tmp_path: Path) -> None:
    reported: dict[str, State] = {}
    for start in range(1000, 40_000, 6000):
        with child("write", tmp_path, start) as writer:
            assert writer.stdout is not None
            for _ in range(start // 100):
                note(reported, writer.stdout.readline())
            writer.kill()
            for line in writer.stdout.read().splitlines(keepends=True):
                note(reported, line)
        found = rows(tmp_path)
        for key, state in reported.items():
            assert found[key].outcome in {state, State.CREATED}, f"{key} was {state}"
        for key, row in found.items():
            assert row.retry_token == job(int(key.removeprefix("job-"))).token
            assert (row.run_id == f"run of {key}") is (row.outcome is State.CREATED)
    assert len(reported) > 5


def note(reported: dict[str, State], line: str) -> None:
    """Remember what the journal reported; a line that the kill tore was not reported."""
    if line.endswith("\n"):
        word, key = line.split()
        reported[key] = State.PENDING if word == "new" else State(word)


async def test_a_full_disk_stops_the_journal_and_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    with child("fill", tmp_path) as writer:
        *reported, first, second = writer.communicate()[0].splitlines()
    assert first.startswith(f"error The journal {tmp_path / 'journal.db'} can't be used: ")
    assert "run the same command again" in first
    assert second == first, "a journal that failed once fails again, even if there is room"
    durable = [key for line in reported for key in line.split()]
    assert len(durable) >= 30
    assert list(rows(tmp_path)) == durable
    assert {row.outcome for row in results(tmp_path)} == {State.PENDING}, "what failed is not written later either"


def test_commits_are_synced_to_disk(tmp_path: Path) -> None:
    with closing(open_owned(tmp_path / "journal.db")) as connection:
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("end", [os.unlink, lambda path: path.rename(path.with_name("moved"))])
async def test_a_journal_that_vanishes_is_noticed_before_anything_is_reported_as_durable(
    tmp_path: Path, end: Callable[[Path], None]
) -> None:
    async with opened(tmp_path) as journal:
        end(tmp_path / "journal.db")
        with pytest.raises(JournalLostError, match=r"journal\.db was removed or renamed \(No such file"):
            await journal.admit([job(1)], stamped=True)
        with pytest.raises(JournalLostError, match="No such file"):
            await journal.admit([job(2)], stamped=True)


async def test_a_journal_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        (tmp_path / "copy").write_bytes((tmp_path / "journal.db").read_bytes())
        (tmp_path / "copy").rename(tmp_path / "journal.db")
        with pytest.raises(JournalLostError, match="replaced while it was open"):
            await journal.admit([job(1)], stamped=True)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(5000)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"nonsense" * 100_000)


@pytest.mark.parametrize("spoil", [truncated, emptied, overwritten])
@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
async def test_a_file_that_another_program_overwrites_is_noticed(
    tmp_path: Path, spoil: Callable[[Path], None], name: str
) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.commit(Changes([created(job(1))]))
        spoil(tmp_path / name)
        with pytest.raises(JournalLostError, match=rf"{name} was truncated or overwritten while it was open"):
            await journal.admit([job(2)], stamped=True)


async def test_a_checkpoint_of_another_program_is_no_loss(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert (tmp_path / "journal.db-wal").stat().st_size == 0
        await journal.admit([job(2)], stamped=True)
    assert list(rows(tmp_path)) == ["job-1", "job-2"]


async def test_a_row_that_another_program_wrote_is_no_error_of_sqlite(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            names = [row[1] for row in other.execute("PRAGMA table_info(job)") if row[1] != "id"]
            columns = ", ".join(names)
            other.execute(f"INSERT INTO job (id, {columns}) SELECT id + 1, {columns} FROM job")  # noqa: S608
        with pytest.raises(JournalError, match="another program has changed it meanwhile") as raised:
            await journal.admit([job(2)], stamped=True)
    assert "constraint" not in str(raised.value)


def text(path: Path) -> None:
    path.write_text("these are some notes, and they are long enough for a header of SQLite\n" * 20)


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (note)")


def empty(path: Path) -> None:
    path.touch()


def directory(path: Path) -> None:
    path.mkdir()


def of_version(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        open_owned(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")

    return make


newer = of_version(schema.VERSION + 1)
older = of_version(schema.OLDEST - 1)


def lost(path: Path) -> None:
    path.with_name("journal.db-wal").touch()


unusable = pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text, "not a database. It is damaged. Restore a backup of it"),
        (another_database, "is not a journal of ingestor"),
        (empty, "is empty. It is damaged"),
        (directory, "must be a regular file, and is something else, such as a directory or a named pipe"),
        (os.mkfifo, "must be a regular file, and is something else"),
        (newer, "has version 11, but this ingestor reads versions up to 10. Use the newer ingestor"),
        (
            older,
            "has version 6, but this ingestor reads versions from 7. Finish its batches with the ingestor",
        ),
        (lost, "is missing, but journal.db-wal is there"),
    ],
)


@unusable
async def test_a_file_that_is_not_a_usable_journal_is_refused_and_left_alone(
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


@pytest.mark.parametrize("version", [*range(1, schema.OLDEST), schema.VERSION + 1, 99])
async def test_a_version_that_this_program_cannot_use_is_an_error_of_usage(tmp_path: Path, version: int) -> None:
    of_version(version)(tmp_path / "journal.db")
    with pytest.raises(JournalVersionError, match=f"has version {version},") as refusal:
        async with opened(tmp_path):
            pass
    assert refusal.value.exit_code is ExitCode.USAGE
    with pytest.raises(JournalVersionError, match=f"has version {version},"):
        status(tmp_path, now=0)


def snapshot(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "lock"}


@pytest.mark.parametrize("spoil", [text, another_database, empty, directory, newer, older])
def test_readers_refuse_the_same_files(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "journal.db")
    for read in (lambda: status(tmp_path, now=0), lambda: list(results(tmp_path))):
        with pytest.raises(JournalError, match=str(tmp_path / "journal.db")):
            read()


async def test_damage_that_is_found_later_stops_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(500), stamped=True)
    size = (tmp_path / "journal.db").stat().st_size
    with (tmp_path / "journal.db").open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(size - 4096))
    with pytest.raises(JournalError, match=r"malformed\. It is damaged"):
        async with opened(tmp_path) as journal:
            await journal.admit(jobs(500), stamped=True)


async def test_a_journal_that_a_killed_process_had_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "journal.new").write_bytes(b"SQLite format 3\0 and then the power went")
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    assert list(rows(tmp_path)) == ["job-1"]


async def test_calls_at_the_same_time_share_few_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(500), stamped=True)
        before = commits(tmp_path)
        await asyncio.gather(*(journal.commit(Changes([created(job)])) for job in jobs(500)))
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
        await journal.commit(Changes([created(job) for job in jobs(3)]))
        before = commits(tmp_path)
        admissions = await journal.admit(jobs(3), stamped=True)
        assert [admission.status for admission in admissions] == [AdmissionStatus.DONE] * 3
        assert commits(tmp_path) == before
        await journal.admit(jobs(4), stamped=True)
        assert commits(tmp_path) == before + 1


async def test_finished_records_that_an_earlier_execution_left_wait_for_no_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(300), stamped=True)
        await journal.commit(Changes([failed(job(1)), *map(created, jobs(300)[1:])]))
    async with opened(tmp_path) as journal:
        before = commits(tmp_path)
        admissions = await journal.admit(jobs(300)[1:], stamped=True)
        assert [(it.status, it.done_in_this_execution) for it in admissions] == [(AdmissionStatus.DONE, False)] * 299
        assert commits(tmp_path) == before


async def test_outcomes_texts_run_ids_checkpoints_and_outbox_share_one_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution(checkpoints=[Checkpoint(FILE)])
        await journal.admit(jobs(900), stamped=True)
        before = commits(tmp_path)
        journal.acknowledge(0)
        results_of_all = [failed(job(1)), *map(created, jobs(800)[1:])]
        begun = [(one, f"run of {one.key}") for one in jobs(900)[800:]]
        await journal.commit(Changes(results_of_all, begun, [Checkpoint(FILE, "[800]")]))
        assert commits(tmp_path) - before == 1


async def test_a_group_fails_as_a_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        answers = await asyncio.gather(
            journal.admit([job(1)], stamped=True), journal.commit(Changes([created(job(2))])), return_exceptions=True
        )
    assert [str(answer) for answer in answers] == ["The journal lacks the intents of 1 jobs that were sent."] * 2
    assert rows(tmp_path) == {}


async def test_a_cancelled_caller_does_not_undo_its_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        ending = asyncio.create_task(journal.commit(Changes([created(job(1))])))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
    assert rows(tmp_path)["job-1"].outcome is State.CREATED


async def test_a_call_that_waits_when_the_journal_closes_is_still_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        admitting = asyncio.create_task(journal.admit([job(1)], stamped=True))
        await asyncio.sleep(0)
    await admitting
    assert list(rows(tmp_path)) == ["job-1"]


async def test_a_closed_journal_raises_and_leaves_no_thread_running(tmp_path: Path) -> None:
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
            await journal.commit(Changes([created(job) for job in many[start : start + 500]]))
        checkpoint_at, group = 4000 * 4096, 500 * 4096
        assert (tmp_path / "journal.db-wal").stat().st_size < checkpoint_at + group


async def test_any_error_at_the_opening_is_a_journal_error() -> None:
    writer = Writer(Path("no\0path"))
    with pytest.raises(JournalError, match="null"):
        async with asyncio.timeout(10):
            await writer.open()
    await writer.close()
