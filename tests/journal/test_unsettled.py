"""Jobs whose outcome is not known: what `reconcile` finds in the file."""

from dataclasses import replace
from pathlib import Path

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.reader import results
from ingestor.model.ports import Changes
from tests.journal.support import ManualClock, absent, created, failed, opened, unresolved
from tests.support.records import job, jobs


async def all_of(journal: SqliteJournal, *, pending: bool) -> list[str]:
    return [it.admission.job.key for it in await journal.unsettled(pending=pending, after=0, limit=100)]


async def test_pending_and_unresolved_jobs_are_found_in_pages_and_no_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(9), stamped=True)
        await journal.commit(Changes([created(job(1)), failed(job(2)), *map(unresolved, jobs(6)[2:])]))
    async with opened(tmp_path) as journal:
        assert await journal.count_unsettled() == 7
        first = await journal.unsettled(pending=False, after=0, limit=3)
        rest = await journal.unsettled(pending=False, after=first[-1].number, limit=3)
        assert [it.admission.job.key for it in (*first, *rest)] == ["job-3", "job-4", "job-5", "job-6"]
        assert await all_of(journal, pending=True) == ["job-7", "job-8", "job-9"]


async def test_they_are_found_with_all_that_a_look_up_needs(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1, experiment_id="7")], stamped=True)
        await journal.admit([job(2)], stamped=False)
        await journal.commit(Changes([replace(unresolved(job(2)), error_code="InvalidatedRetryToken")]))
        ((second,), (first,)) = [await journal.unsettled(pending=it, after=0, limit=9) for it in (False, True)]
    one, two = first.admission, second.admission
    wanted = job(1, experiment_id="7")
    assert (one.job.origin, one.job.token, one.job.experiment_id) == (wanted.origin, wanted.token, "7")
    assert (one.stamped, one.first_sent_at, one.may_exist, one.invalidated) == (True, clock.time, True, False)
    assert (two.stamped, two.invalidated) == (False, True)


async def test_only_a_job_that_has_no_run_for_certain_gets_another_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.conclude([created(job(1)), unresolved(job(2)), absent(job(3))])
    rows = list(results(tmp_path))
    assert [(row.outcome, row.error_code) for row in rows] == [
        ("created", None),
        ("unresolved", "timeout"),
        ("failed", "NotCreated"),
    ]
    assert [row.retry_token == job(number).token for number, row in enumerate(rows, 1)] == [True, True, False]
