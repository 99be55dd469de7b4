"""Jobs whose end is not known: found by reconcile, and given a new token once they surely have no run."""

from dataclasses import replace
from pathlib import Path

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.reader import results
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import AdmissionStatus
from ingestor.policy.identity import retry_token
from tests.journal.support import HOUR, HandClock, created, failed, opened, unresolved
from tests.support.records import SCOPE, job, jobs


async def all_of(journal: SqliteJournal, *, pending: bool) -> list[str]:
    return [it.admission.job.key for it in await journal.unsettled(pending=pending, after=0, limit=100)]


async def test_what_is_pending_or_unresolved_is_found_in_pages_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(9), stamped=True)
        await journal.settle([created(job(1)), failed(job(2)), *map(unresolved, jobs(6)[2:])])
    async with opened(tmp_path) as journal:
        assert await journal.count_unsettled() == 7
        first = await journal.unsettled(pending=False, after=0, limit=3)
        rest = await journal.unsettled(pending=False, after=first[-1].number, limit=3)
        assert [it.admission.job.key for it in (*first, *rest)] == ["job-3", "job-4", "job-5", "job-6"]
        assert await all_of(journal, pending=True) == ["job-7", "job-8", "job-9"]


async def test_it_is_found_with_all_that_is_needed_to_look_for_it(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1, experiment_id="7")], stamped=True)
        await journal.admit([job(2)], stamped=False)
        await journal.settle([replace(unresolved(job(2)), error_code="InvalidatedRetryToken")])
        ((second,), (first,)) = [await journal.unsettled(pending=it, after=0, limit=9) for it in (False, True)]
    one, two = first.admission, second.admission
    wanted = job(1, experiment_id="7")
    assert (one.job.origin, one.job.token, one.job.experiment_id) == (wanted.origin, wanted.token, "7")
    assert (one.stamped, one.first_sent_at, one.may_exist, one.invalidated) == (True, clock.time, True, False)
    assert (two.stamped, two.invalidated) == (False, True)


async def test_a_job_that_surely_has_no_run_is_sent_again_under_a_new_token_whose_life_begins_then(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
    async with opened(tmp_path, clock) as journal:
        (found,) = await journal.unsettled(pending=True, after=0, limit=9)
        await journal.conclude([absent(found.admission.job.key)])
    clock.time += HOUR
    async with opened(tmp_path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    assert (admission.status, admission.may_exist) == (AdmissionStatus.AGAIN, False)
    assert admission.job.token == retry_token(SCOPE, "job-1", 1)
    assert admission.first_sent_at == clock.time


async def test_every_generation_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = {job(1).token}
    async with opened(tmp_path) as journal:
        for _ in range(3):
            (admission,) = await journal.admit([job(1)], stamped=True)
            tokens.add(admission.job.token)
            await journal.conclude([absent("job-1")])
    assert len(tokens) == 3
    (row,) = results(tmp_path)
    assert (row.outcome, row.error_code) == ("failed", "NotCreated")
    assert row.retry_token not in tokens


async def test_what_is_found_or_undecided_keeps_its_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.conclude([created(job(1)), unresolved(job(2))])
    assert [(row.outcome, row.retry_token) for row in results(tmp_path)] == [
        ("created", job(1).token),
        ("unresolved", job(2).token),
    ]


def absent(key: str) -> Result:
    return Result(job=job(1, key=key), outcome=Outcome.FAILED, attempts=0, error_code="NotCreated")
