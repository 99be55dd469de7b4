from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import results
from ingestor.journal.schema import State
from ingestor.model.outcome import Result
from ingestor.model.ports import Admission, AdmissionStatus
from ingestor.model.record import Job
from ingestor.policy.identity import retry_token
from tests.journal.support import HOUR, HandClock, created, failed, opened, unresolved
from tests.support.records import SCOPE, job, jobs


async def admit_after(path: Path, hours: float, *results: Result, stamped: bool = True) -> Admission:
    """Admit job 1 in one process, end it as told, and admit it again in another one `hours` later."""
    clock = HandClock()
    async with opened(path, clock) as journal:
        await journal.admit([job(1)], stamped=stamped)
        for result in results:
            await journal.settle([result])
    clock.time += hours * HOUR
    async with opened(path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=not stamped)
    return admission


async def test_a_job_never_seen_is_new_from_now_on(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        assert await journal.admit([job(1)], stamped=False) == [
            Admission(job(1), AdmissionStatus.NEW, False, clock.time)
        ]


async def test_a_created_job_is_done_for_ever_and_its_run_is_known(tmp_path: Path) -> None:
    admission = await admit_after(tmp_path, 9000, created(job(1)))
    assert (admission.status, admission.run_id) == (AdmissionStatus.DONE, "run of job-1")


@pytest.mark.parametrize("ends", [(), (unresolved(job(1)),)], ids=["pending", "unresolved"])
async def test_an_open_job_is_sent_again_in_doubt_while_its_token_lives(tmp_path: Path, ends: tuple[Result]) -> None:
    admission = await admit_after(tmp_path, 23, *ends, stamped=False)
    assert admission == Admission(job(1), AdmissionStatus.AGAIN, False, HandClock().time, may_exist=True)


@pytest.mark.parametrize("ends", [(), (unresolved(job(1)),)], ids=["pending", "unresolved"])
async def test_an_open_job_is_never_sent_once_its_token_may_have_expired(tmp_path: Path, ends: tuple[Result]) -> None:
    admission = await admit_after(tmp_path, 23.6, *ends)
    assert admission.status is AdmissionStatus.EXPIRED
    assert [row.outcome for row in results(tmp_path)] == [State.UNRESOLVED]


async def test_an_open_job_from_the_future_is_never_sent(tmp_path: Path) -> None:
    assert (await admit_after(tmp_path, -1)).status is AdmissionStatus.EXPIRED


async def test_a_failed_job_is_sent_again_without_doubt(tmp_path: Path) -> None:
    admission = await admit_after(tmp_path, 1, failed(job(1)))
    assert (admission.status, admission.may_exist) == (AdmissionStatus.AGAIN, False)
    assert [row.outcome for row in results(tmp_path)] == [State.PENDING]


async def test_the_token_of_a_failed_job_keeps_its_age_while_the_service_may_remember_it(tmp_path: Path) -> None:
    assert (await admit_after(tmp_path, 24, failed(job(1)))).first_sent_at == HandClock().time


async def test_the_token_of_a_failed_job_begins_a_new_life_once_it_is_forgotten(tmp_path: Path) -> None:
    assert (await admit_after(tmp_path, 25, failed(job(1)))).first_sent_at == HandClock().time + 25 * HOUR


@pytest.mark.parametrize("end", [created, failed, unresolved])
async def test_another_body_under_a_known_key_is_a_conflict(tmp_path: Path, end: Callable[[Job], Result]) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.settle([end(job(1))])
        (admission,) = await journal.admit([job(1, name="another")], stamped=True)
        (as_before,) = await journal.admit([job(1)], stamped=True)
    assert (admission.status, admission.may_exist, admission.run_id) == (AdmissionStatus.CONFLICT, False, None)
    assert as_before.status is not AdmissionStatus.CONFLICT


async def test_the_same_key_in_another_batch_is_another_job(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        for name in ("one", "two"):
            async with SqliteJournal.open(state, replace(SCOPE, batch=name), HandClock()) as journal:
                (admission,) = await journal.admit([job(1)], stamped=True)
                assert admission.status is AdmissionStatus.NEW
                await journal.settle([created(job(1))])


async def test_the_token_in_the_journal_is_the_one_that_is_sent(tmp_path: Path) -> None:
    second = replace(job(1), token=retry_token(SCOPE, "job-1", 1))
    async with opened(tmp_path) as journal:
        await journal.admit([second], stamped=True)
    async with opened(tmp_path) as journal:
        assert [admission.job for admission in await journal.admit([job(1)], stamped=True)] == [second]


async def test_the_word_on_many_jobs_comes_in_their_order(tmp_path: Path) -> None:
    many = jobs(1700)
    async with opened(tmp_path) as journal:
        await journal.admit(many[::2], stamped=True)
        await journal.settle([created(job) for job in many[::4]])
        admissions = await journal.admit(many[1::2] + many[::4], stamped=True)
    assert [admission.job.key for admission in admissions] == [job.key for job in many[1::2] + many[::4]]
    assert [admission.status for admission in admissions] == [AdmissionStatus.NEW] * 850 + [AdmissionStatus.DONE] * 425


async def test_no_jobs_are_no_question(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert await journal.admit([], stamped=True) == []
        await journal.settle([])
        await journal.release([])


@pytest.mark.parametrize("key", ["nul \0 and more", "nul \0 and less", "'; DROP TABLE job; --", "ключ"])
async def test_any_text_is_a_key(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1, key=key), job(2, key="nul ")], stamped=True)
        await journal.settle([created(job(1, key=key))])
        (admission,) = await journal.admit([job(1, key=key)], stamped=True)
    assert admission.run_id == f"run of {key}"


async def test_text_that_is_no_unicode_costs_nothing_but_itself(tmp_path: Path) -> None:
    odd = replace(job(1), origin=replace(job(1).origin, source="caf\udce9.jsonl"))
    async with opened(tmp_path) as journal:
        await journal.admit([odd], stamped=True)
        await journal.settle([replace(failed(odd), error_message="no \ud800")])
    assert [(row.source, row.error_message) for row in results(tmp_path)] == [(r"caf\udce9.jsonl", r"no \ud800")]


async def test_attempts_of_all_processes_add_up(tmp_path: Path) -> None:
    await admit_after(tmp_path, 1, failed(job(1)))
    async with opened(tmp_path) as journal:
        await journal.settle([created(job(1), attempts=4)])
    assert [(row.attempts, row.error_code, row.outcome) for row in results(tmp_path)] == [(5, None, State.CREATED)]


def outcomes(path: Path) -> dict[str, State]:
    return {row.job_id: row.outcome for row in results(path)}


async def test_a_released_job_was_never_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.release([job(1)])
        assert outcomes(tmp_path) == {"job-2": State.PENDING}
        assert (await journal.admit([job(1)], stamped=True))[0].status is AdmissionStatus.NEW


async def test_the_intent_of_an_earlier_process_is_never_released(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.release([job(1)])
    assert outcomes(tmp_path) == {"job-1": State.PENDING}


async def test_a_released_job_that_had_failed_has_failed_again(tmp_path: Path) -> None:
    await admit_after(tmp_path, 1, failed(job(1)))
    async with opened(tmp_path) as journal:
        await journal.release([job(1)])
    assert outcomes(tmp_path) == {"job-1": State.FAILED}


@pytest.mark.parametrize("end", [created, failed, unresolved])
async def test_a_settled_job_is_not_released(tmp_path: Path, end: Callable[[Job], Result]) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.settle([end(job(1))])
        await journal.release([job(1)])
    assert len(outcomes(tmp_path)) == 1
