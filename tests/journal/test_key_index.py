"""The row of a key is found, wherever its entry is: in memory, in the file, or in neither after a crash."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal.jobs import hash_of
from ingestor.journal.reader import results
from ingestor.model.admission import AdmissionStatus
from ingestor.model.ports import Changes
from ingestor.model.record import State
from tests.journal.support import created, opened
from tests.support.records import job, jobs


def merged(path: Path) -> tuple[int, int]:
    """Return how many entries are in the file, and up to which row."""
    with closing(sqlite3.connect(path / "journal.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM key_index").fetchone()
        (last,) = connection.execute("SELECT last FROM key_index_mark").fetchone()
        return count, last


@pytest.mark.parametrize("merge_after", [1, 2, 7, 1000])
async def test_every_job_is_known_in_this_process_and_the_next(tmp_path: Path, merge_after: int) -> None:
    async with opened(tmp_path, merge_after=merge_after) as journal:
        for start in range(0, 30, 5):
            await journal.admit(jobs(30)[start : start + 5], stamped=True)
        await journal.commit(Changes([created(one) for one in jobs(30)]))
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
    """The next process may give its rows the numbers of the last ones that this one released."""
    async with opened(tmp_path, merge_after=2) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.release([job(2), job(3)])
    async with opened(tmp_path, merge_after=2) as journal:
        await journal.admit([job(4)], stamped=True)
    async with opened(tmp_path, merge_after=2) as journal:
        found = await journal.admit([job(4), job(2), job(3)], stamped=True)
    assert [it.status for it in found] == [AdmissionStatus.RESEND, AdmissionStatus.NEW, AdmissionStatus.NEW]
    assert sorted(row.job_id for row in results(tmp_path)) == ["job-1", "job-2", "job-3", "job-4"]


async def test_a_key_whose_hash_is_that_of_another_is_another_job(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("INSERT INTO key_index VALUES (?, 1)", (hash_of(1, "job-2"),))
    async with opened(tmp_path) as journal:
        (other,) = await journal.admit([job(2)], stamped=True)
        await journal.commit(Changes([created(job(2))]))
    assert other.status is AdmissionStatus.NEW
    assert {row.job_id: row.outcome for row in results(tmp_path)} == {"job-1": State.PENDING, "job-2": State.CREATED}
