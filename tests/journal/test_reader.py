import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import (
    Execution,
    ResultRow,
    Waiting,
    batch_names,
    batches_of_target,
    is_rehearsal,
    results,
    status,
)
from ingestor.model.errors import UsageError
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Result, State
from tests.journal.support import HOUR, ManualClock, child, created, failed, opened, partial, unresolved
from tests.support.records import SCOPE, job, jobs


async def one_of_each(path: Path, batch: str = "default") -> None:
    with StateDirectory.open(path) as state:
        async with SqliteJournal.open(state, replace(SCOPE, batch=batch), clock := ManualClock()) as journal:
            await journal.start_execution()
            await journal.admit(jobs(3), stamped=True)
            clock.time += HOUR
            await journal.admit([job(4), job(5)], stamped=True)
            await journal.commit(Changes([created(job(1)), failed(job(2)), unresolved(job(3)), partial(job(5))]))
            await journal.finish_execution({"created": 1, "rejected": 7}, already_done=2, left=1, exit_code=3)


async def test_status_counts_every_state_and_names_the_oldest_open_job_and_the_last_execution(tmp_path: Path) -> None:
    await one_of_each(tmp_path)
    start = ManualClock().time
    report = status(tmp_path, now=start + 2 * HOUR)
    assert report.path == tmp_path / "journal.db"
    (batch,) = report.batches
    assert batch.scope == SCOPE
    assert batch.counts == {**dict.fromkeys(State, 1), State.FORGOTTEN: 0}
    assert batch.oldest == Waiting("job-3", State.UNRESOLVED, start, 2 * HOUR)
    assert batch.last_execution == Execution(start, start + HOUR, 3, {"created": 1, "rejected": 7}, 2, 1, number=1)


async def test_status_shows_each_batch_by_itself(tmp_path: Path) -> None:
    await one_of_each(tmp_path, "second")
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    second, batch = status(tmp_path, now=0).batches
    assert second.scope.batch == "second"
    assert (batch.scope, batch.counts[State.PENDING], batch.last_execution) == (SCOPE, 1, None)


async def test_an_execution_that_was_killed_has_no_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
    (batch,) = status(tmp_path, now=0).batches
    assert batch.last_execution == Execution(ManualClock().time, None, None, None, None, None, number=1)
    assert batch.oldest is None


async def test_a_result_has_all_that_is_known_of_a_job(tmp_path: Path) -> None:
    await one_of_each(tmp_path)
    assert list(results(tmp_path, outcome=State.FAILED)) == [
        ResultRow(
            job_id="job-2",
            source="runs.jsonl",
            line=2,
            outcome=State.FAILED,
            run_id=None,
            experiment_id="1",
            http_status=400,
            error_code="InvalidParameter",
            error_message="experiment_id is not known",
            attempts=1,
            opc_request_id="A/B/C",
            retry_token=job(2).token,
            batch=SCOPE.batch,
            platform=SCOPE.platform,
            workspace=SCOPE.workspace,
        )
    ]


async def test_results_come_in_the_order_of_admission_page_after_page(tmp_path: Path) -> None:
    order = jobs(5000)[::-1]
    async with opened(tmp_path) as journal:
        await journal.admit(order, stamped=True)
        await journal.release(order[1000:4500])
    assert [row.job_id for row in results(tmp_path)] == [job.key for job in order[:1000] + order[4500:]]


async def test_results_are_narrowed_by_batch_and_outcome(tmp_path: Path) -> None:
    await one_of_each(tmp_path, "first")
    await one_of_each(tmp_path, "second")
    assert [row.batch for row in results(tmp_path)] == ["first"] * 5 + ["second"] * 5
    found = results(tmp_path, batch="second", outcome=State.CREATED)
    assert [(row.batch, row.job_id) for row in found] == [("second", "job-1")]
    with pytest.raises(UsageError, match=r"third.*first, second"):
        results(tmp_path, batch="third")


@pytest.mark.parametrize(
    "read",
    [
        lambda path: status(path, now=0),
        results,
        batch_names,
        lambda path: batches_of_target(path, platform=SCOPE.platform, workspace=SCOPE.workspace),
    ],
)
def test_without_a_journal_readers_say_how_to_make_one(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(UsageError, match=f"no journal in {tmp_path}/none yet: `ingestor run"):
        read(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_readers_work_while_another_process_writes(tmp_path: Path) -> None:
    with child("write", tmp_path) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            writer.stdout.readline()
        (batch,) = status(tmp_path, now=0).batches
        assert sum(batch.counts.values()) > 10
        assert len(list(results(tmp_path))) > 10
        assert writer.poll() is None
        writer.kill()


async def test_a_reader_that_stops_halfway_holds_up_no_checkpoint(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3000), stamped=True)
        reading = results(tmp_path)
        next(reading)
        await journal.commit(Changes([created(job(1))]))
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            busy, pages, moved = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert (busy, pages) == (0, moved)
        assert len(list(reading)) == 2999


async def test_readers_need_no_lock_and_change_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    before = (tmp_path / "journal.db").read_bytes()
    with StateDirectory.open(tmp_path):
        await asyncio.to_thread(lambda: list(results(tmp_path)))
        status(tmp_path, now=0)
    assert (tmp_path / "journal.db").read_bytes() == before


async def test_batches_are_named_in_the_order_of_their_beginning(tmp_path: Path) -> None:
    others = [replace(SCOPE, batch="z"), replace(SCOPE, batch="a"), replace(SCOPE, workspace="other", batch="m")]
    with StateDirectory.open(tmp_path) as state:
        for scope in others:
            async with SqliteJournal.open(state, scope, ManualClock()):
                pass
    assert batch_names(tmp_path) == ["z", "a", "m"]
    assert batches_of_target(tmp_path, platform=SCOPE.platform, workspace=SCOPE.workspace) == ["z", "a"]


@pytest.mark.parametrize("ends", [created, partial])
@pytest.mark.parametrize("rehearsal", [True, False])
async def test_a_batch_is_a_rehearsal_or_not_once_it_has_a_run(
    tmp_path: Path, rehearsal: bool, ends: Callable[[Job], Result]
) -> None:
    assert is_rehearsal(tmp_path, SCOPE) is None
    async with opened(tmp_path) as journal:
        await journal.start_execution(rehearsal=rehearsal)
        await journal.admit([job(1)], stamped=True)
        assert is_rehearsal(tmp_path, SCOPE) is None
        await journal.commit(Changes([ends(job(1))]))
    async with opened(tmp_path) as journal:
        await journal.start_execution(rehearsal=None)
    assert is_rehearsal(tmp_path, SCOPE) is rehearsal
