"""Old rows of finished jobs are deleted, their totals stay, and everything else stays as it was."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.database import open_owned
from ingestor.journal.prune import cutoff, delete_rows, find_portion, forget_history, free_bytes, give_back
from ingestor.journal.reader import is_rehearsal, known_batches, results, status
from ingestor.model.admission import AdmissionStatus
from ingestor.model.history import Memory, Pause, Point
from ingestor.model.ports import Changes
from ingestor.model.record import State
from tests.journal.big import add_rows, query
from tests.journal.support import HOUR, ManualClock, created, failed, opened, partial, unresolved
from tests.journal.test_migration import DUMP as DUMP_OF_7
from tests.support.records import SCOPE, job, jobs

OLD, NEW = 1_700_000_000.0, 1_700_000_000.0 + 90 * 24 * HOUR


@contextmanager
def owned(state: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_owned(state / "journal.db")) as connection:
        yield connection


def prune(state: Path, *, before: float = NEW, batch: int | None = None) -> int:
    """Delete all rows that may be deleted; return how many these were."""
    deleted, after = 0, 0
    with owned(state) as connection:
        while (portion := find_portion(connection, batch, after=after, before=before)).looked_at:
            if portion.rows:
                delete_rows(connection, portion.rows, before=before)
            deleted, after = deleted + len(portion.rows), portion.last
    return deleted


async def test_only_finished_jobs_that_ended_long_ago_are_deleted(tmp_path: Path) -> None:
    clock = ManualClock(OLD)
    async with opened(tmp_path, clock) as journal:
        await journal.admit(jobs(5), stamped=True)
        ends = [created(job(1)), partial(job(2)), failed(job(3)), unresolved(job(4))]
        journal.acknowledge(await journal.commit(Changes(ends)))
        clock.work(HOUR)
        await journal.admit([job(6)], stamped=True)
        journal.acknowledge(await journal.commit(Changes([created(job(6))])))
    assert prune(tmp_path, before=OLD + HOUR / 2) == 2
    assert {row.job_id: row.outcome for row in results(tmp_path)} == {
        "job-3": State.FAILED,
        "job-4": State.UNRESOLVED,
        "job-5": State.PENDING,
        "job-6": State.CREATED,
    }
    assert query(tmp_path, "SELECT count(*) FROM kept_record") == [(2,)], "the texts of failed and unresolved records"
    (batch,) = status(tmp_path, now=NEW).batches
    assert batch.pruned == {State.CREATED: 1, State.PARTIAL: 1}
    assert (batch.counts[State.CREATED], batch.counts[State.PARTIAL]) == (1, 0)


@pytest.mark.parametrize("state", ["failed", "unresolved", "pending", "forgotten"])
def test_a_job_without_a_complete_run_stays_also_where_no_text_of_it_is_kept(tmp_path: Path, state: str) -> None:
    add_rows(tmp_path, 3, job_state=state, at=OLD)
    assert prune(tmp_path) == 0
    assert len(list(results(tmp_path))) == 3


async def test_a_forgotten_job_and_an_outcome_that_the_log_lacks_stay(tmp_path: Path) -> None:
    async with opened(tmp_path, ManualClock(OLD)) as journal:
        await journal.admit(jobs(3), stamped=True)
        first = await journal.commit(Changes([created(job(1))]))
        await journal.commit(Changes([created(job(2)), failed(job(3))]))
        journal.acknowledge(first)
    with owned(tmp_path) as connection:
        connection.execute("UPDATE job SET former_state = state, state = 'forgotten' WHERE key = 'job-3'")
    assert prune(tmp_path) == 1
    async with opened(tmp_path, ManualClock(OLD)) as journal:
        assert [it.job.key for _, it in await journal.unacknowledged()] == ["job-2", "job-3"]


async def test_a_record_whose_row_is_deleted_is_new_and_the_others_are_found(tmp_path: Path) -> None:
    add_rows(tmp_path, 7000, at=OLD)
    add_rows(tmp_path, 10, at=NEW + 1, merged=False)
    assert prune(tmp_path) == 7000
    assert query(tmp_path, "SELECT count(*) FROM key_index") == [(0,)]
    offered = [job(1, key="job-5"), job(2, key="job-7005")]
    async with opened(tmp_path, ManualClock(NEW)) as journal:
        deleted, kept = await journal.admit(offered, stamped=True)
    assert (deleted.status, kept.status) == (AdmissionStatus.NEW, AdmissionStatus.CONFLICT)


async def test_rows_that_the_index_does_not_have_yet_leave_no_entry_for_a_row_that_gets_their_number(
    tmp_path: Path,
) -> None:
    add_rows(tmp_path, 5, at=OLD)
    add_rows(tmp_path, 5, at=OLD, merged=False)
    assert prune(tmp_path) == 10
    async with opened(tmp_path, ManualClock(NEW), merge_after=1) as journal:
        await journal.admit(jobs(12), stamped=True)
        again = await journal.admit([*jobs(12), job(13)], stamped=True)
    assert [it.status for it in again[:-1]] == [AdmissionStatus.RESEND] * 12
    assert again[-1].status is AdmissionStatus.NEW


def test_totals_grow_with_every_prune_and_belong_to_their_batch(tmp_path: Path) -> None:
    other = replace(SCOPE, batch="other")
    add_rows(tmp_path, 6000, at=OLD)
    add_rows(tmp_path, 40, at=OLD, scope=other)
    add_rows(tmp_path, 30, at=OLD + HOUR)
    assert prune(tmp_path, before=OLD + 1, batch=1) == 6000
    assert prune(tmp_path, before=NEW) == 70
    first, second = status(tmp_path, now=NEW).batches
    assert (first.pruned, second.pruned) == ({State.CREATED: 6030}, {State.CREATED: 40})
    assert query(tmp_path, "SELECT count(*), max(up_to) FROM pruned") == [(2, NEW)]


async def test_a_batch_without_rows_still_has_runs(tmp_path: Path) -> None:
    async with opened(tmp_path, ManualClock(OLD)) as journal:
        await journal.start_execution(rehearsal=True)
        await journal.admit([job(1)], stamped=True)
        journal.acknowledge(await journal.commit(Changes([created(job(1))])))
    assert prune(tmp_path) == 1
    assert [it.may_have_runs for it in known_batches(tmp_path)] == [True]
    assert is_rehearsal(tmp_path, SCOPE) is True
    async with opened(tmp_path) as journal:
        assert await journal.has_created_in_target() is True


def test_the_space_of_deleted_rows_goes_back_to_the_disk_in_parts(tmp_path: Path) -> None:
    add_rows(tmp_path, 60_000, at=OLD)
    add_rows(tmp_path, 100, at=NEW + 1)
    size = (tmp_path / "journal.db").stat().st_size
    assert prune(tmp_path) == 60_000
    with owned(tmp_path) as connection:
        assert free_bytes(connection) > size / 2
        parts = 1
        while give_back(connection):
            parts += 1
        assert free_bytes(connection) == 0
    assert parts > 1
    assert (tmp_path / "journal.db").stat().st_size < size / 20
    assert len(list(results(tmp_path))) == 100
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_of_an_earlier_version_keeps_its_size_and_later_rows_use_the_space(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(DUMP_OF_7.read_text())
    add_rows(tmp_path, 5000, at=OLD)
    size = (tmp_path / "journal.db").stat().st_size
    assert prune(tmp_path) >= 5000
    with owned(tmp_path) as connection:
        assert not give_back(connection)
        assert free_bytes(connection) > 0
    add_rows(tmp_path, 4000, at=NEW)
    assert (tmp_path / "journal.db").stat().st_size == size


async def test_old_executions_points_and_pauses_are_deleted_and_the_last_execution_stays(tmp_path: Path) -> None:
    clock = ManualClock(OLD)
    for _ in range(3):
        clock.time += HOUR
        async with opened(tmp_path, clock) as journal:
            await journal.start_execution()
            at = int(clock.time)
            point = Point(step=1, start=at, seconds=1.0)
            await journal.remember(Memory(points=[point], pauses=[Pause(at, at, "down")]))
            await journal.finish_execution({}, already_done=0, left=0, exit_code=0)
    with owned(tmp_path) as connection:
        forget_history(connection, None, before=OLD + 2.5 * HOUR)
    assert query(tmp_path, "SELECT id FROM execution") == [(3,)]
    assert query(tmp_path, "SELECT count(*) FROM pause") == [(1,)]
    with owned(tmp_path) as connection:
        forget_history(connection, None, before=OLD + 9 * HOUR)
    assert query(tmp_path, "SELECT id FROM execution") == [(3,)]
    assert query(tmp_path, "SELECT count(*) FROM history") == [(0,)]


@pytest.mark.parametrize("step_of_the_clock", [0.0, -30 * 24 * HOUR])
async def test_the_age_is_measured_in_the_time_of_the_journal(tmp_path: Path, step_of_the_clock: float) -> None:
    clock = ManualClock(OLD)
    async with opened(tmp_path, clock):
        clock.work(HOUR)
    with owned(tmp_path) as connection:
        found = cutoff(connection, now=clock.time + step_of_the_clock, age=60.0)
    assert found >= OLD + HOUR - 60.0, "a clock that was set back makes nothing older"
