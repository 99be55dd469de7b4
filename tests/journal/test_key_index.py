"""The row of a key is found, wherever its entry lies: in memory, in the file, or in neither after a crash."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.database import open_owned
from ingestor.journal.index import hash_of
from ingestor.journal.leftovers import batches, known_inputs, unfinished_sources
from ingestor.journal.reader import is_rehearsal, results, status
from ingestor.journal.schema import State
from ingestor.model.ports import AdmissionStatus
from tests.journal.support import created, opened
from tests.support.records import SCOPE, job, jobs


def merged(path: Path) -> tuple[int, int]:
    """Return how many entries are in the file, and up to which row."""
    with closing(sqlite3.connect(path / "journal.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM known").fetchone()
        (last,) = connection.execute("SELECT last FROM indexed").fetchone()
        return count, last


@pytest.mark.parametrize("merge_after", [1, 2, 7, 1000])
async def test_every_job_is_known_again_in_this_process_and_the_next(tmp_path: Path, merge_after: int) -> None:
    async with opened(tmp_path, merge_after=merge_after) as journal:
        for start in range(0, 30, 5):
            await journal.admit(jobs(30)[start : start + 5], stamped=True)
        await journal.settle([created(one) for one in jobs(30)])
        again = await journal.admit(jobs(31), stamped=True)
    async with opened(tmp_path, merge_after=merge_after) as journal:
        later = await journal.admit(jobs(31)[:30], stamped=True)
    assert [it.status for it in again] == [AdmissionStatus.DONE] * 30 + [AdmissionStatus.NEW]
    assert [it.run_id for it in later] == [f"run of {one.key}" for one in jobs(30)]


async def test_entries_are_merged_many_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path, merge_after=10) as journal:
        await journal.admit(jobs(9), stamped=True)
        assert merged(tmp_path) == (0, 0)
        await journal.admit([job(10), job(11)], stamped=True)
        assert merged(tmp_path) == (11, 11)
        await journal.admit([job(12)], stamped=True)
        assert merged(tmp_path) == (11, 11)


async def test_a_row_that_takes_the_number_of_a_released_one_is_found(tmp_path: Path) -> None:
    """The next process may number its rows as the last ones of this one that were taken back."""
    async with opened(tmp_path, merge_after=2) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.release([job(2), job(3)])
    async with opened(tmp_path, merge_after=2) as journal:
        await journal.admit([job(4)], stamped=True)
    async with opened(tmp_path, merge_after=2) as journal:
        found = await journal.admit([job(4), job(2), job(3)], stamped=True)
    assert [it.status for it in found] == [AdmissionStatus.AGAIN, AdmissionStatus.NEW, AdmissionStatus.NEW]
    assert sorted(row.job_id for row in results(tmp_path)) == ["job-1", "job-2", "job-3", "job-4"]


async def test_a_key_whose_hash_is_that_of_another_is_another_job(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("INSERT INTO known VALUES (?, 1)", (hash_of(1, "job-2"),))
    async with opened(tmp_path) as journal:
        (other,) = await journal.admit([job(2)], stamped=True)
        await journal.settle([created(job(2))])
    assert other.status is AdmissionStatus.NEW
    assert {row.job_id: row.outcome for row in results(tmp_path)} == {"job-1": State.PENDING, "job-2": State.CREATED}


@pytest.mark.parametrize("old", range(1, schema.VERSION))
async def test_a_journal_of_any_older_version_keeps_its_jobs(tmp_path: Path, old: int) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        schema.migrate(connection, to=old)
        connection.execute(
            "INSERT INTO batch (id, platform, workspace, name) VALUES (1, ?, ?, ?)",
            (SCOPE.platform, SCOPE.workspace, SCOPE.batch),
        )
        connection.executemany(
            """
            INSERT INTO job (batch, state, stamped, first_sent_at, updated_at, source, key, digest, token, line, run_id)
            VALUES (1, 'created', 1, 1.7e9, 1.7e9, 'runs.jsonl', ?, ?, ?, ?, ?)
            """,
            [(one.key, one.digest, one.token, one.origin.line, f"run of {one.key}") for one in jobs(100)],
        )
    assert is_rehearsal(tmp_path, SCOPE) is None, "what `run` asks before it opens the journal"
    assert unfinished_sources(tmp_path, SCOPE) == []
    assert known_inputs(tmp_path, SCOPE) == []
    assert batches(tmp_path, platform=SCOPE.platform, workspace=SCOPE.workspace) == [SCOPE.batch]
    async with opened(tmp_path) as journal:
        admissions = await journal.admit(jobs(101), stamped=True)
    assert [it.run_id for it in admissions] == [*(f"run of {one.key}" for one in jobs(100)), None]
    assert status(tmp_path, now=0).batches[0].counts[State.CREATED] == 100
    with closing(open_owned(tmp_path / "journal.db")) as connection:
        assert schema.version(connection) == schema.VERSION
