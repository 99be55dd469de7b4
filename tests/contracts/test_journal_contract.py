"""The port Journal: what the stand-in and SQLite promise alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.model.errors import JournalError
from ingestor.model.outcome import Result
from ingestor.model.ports import Admission, AdmissionStatus, Journal
from ingestor.model.record import Job
from ingestor.policy.identity import retry_token
from tests.journal import support
from tests.journal.support import HOUR, HandClock, created, failed, unresolved
from tests.support.memory import MemoryJournal, Rows
from tests.support.records import SCOPE, job, jobs
from tests.support.virtual import VirtualClock, run_virtual

Open = Callable[[], AbstractAsyncContextManager[Journal]]
"""Opens the journal as the next process does."""

TOKEN_GONE = 23.6 * HOUR
FORGOTTEN = 25 * HOUR

open_ends = pytest.mark.parametrize("ends", [[], [unresolved(job(1))]], ids=["pending", "unresolved"])


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> Open:
    rows = Rows()

    @asynccontextmanager
    async def in_memory() -> AsyncIterator[Journal]:
        yield MemoryJournal(clock, rows)

    @asynccontextmanager
    async def on_disk() -> AsyncIterator[Journal]:
        async with support.opened(tmp_path, clock) as journal:
            yield journal

    return in_memory if request.param == "memory" else on_disk


async def admit(journal: Journal, asked: Job, *, stamped: bool = True) -> Admission:
    (admission,) = await journal.admit([asked], stamped=stamped)
    return admission


async def admitted_once(opened: Open, ends: Sequence[Result], *, stamped: bool = True) -> None:
    """Let one process admit job 1 and end it as told."""
    async with opened() as journal:
        await admit(journal, job(1), stamped=stamped)
        for result in ends:
            await journal.settle([result])


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_job_never_seen_is_new_from_now_on(opened: Open, clock: HandClock, stamped: bool) -> None:
    async with opened() as journal:
        admission = await admit(journal, job(1), stamped=stamped)
    assert admission == Admission(job(1), AdmissionStatus.NEW, stamped, clock.time)


@open_ends
@pytest.mark.parametrize("stamped", [True, False])
async def test_an_open_job_is_sent_again_in_doubt_and_stamped_as_at_first(
    opened: Open, clock: HandClock, ends: list[Result], stamped: bool
) -> None:
    await admitted_once(opened, ends, stamped=stamped)
    begun, clock.time = clock.time, clock.time + HOUR
    async with opened() as journal:
        admission = await admit(journal, job(1), stamped=not stamped)
    assert admission == Admission(job(1), AdmissionStatus.AGAIN, stamped, begun, may_exist=True)


@open_ends
@pytest.mark.parametrize("later", [TOKEN_GONE, FORGOTTEN, -HOUR])
async def test_an_open_job_is_expired_once_its_token_may_not_protect(
    opened: Open, clock: HandClock, ends: list[Result], later: float
) -> None:
    await admitted_once(opened, ends)
    begun, clock.time = clock.time, clock.time + later
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.EXPIRED, True, begun, may_exist=True)


@open_ends
async def test_a_clock_that_is_set_back_at_work_makes_no_token_younger(
    opened: Open, clock: HandClock, ends: list[Result]
) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        for result in ends:
            await journal.settle([result])
        clock.work(20 * HOUR)
        clock.time -= 20 * HOUR
        await admit(journal, job(2))
    clock.time += 3.4 * HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.AGAIN
    clock.time += 0.2 * HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.EXPIRED
        assert (await admit(journal, job(2))).status is AdmissionStatus.AGAIN


async def test_what_comes_after_a_clock_was_set_back_is_as_safe_as_ever(opened: Open, clock: HandClock) -> None:
    await admitted_once(opened, [])
    clock.time -= 100 * HOUR
    async with opened() as journal:
        await admit(journal, job(2))
    clock.time += TOKEN_GONE - HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.EXPIRED
        assert (await admit(journal, job(2))).status is AdmissionStatus.AGAIN


async def test_a_created_job_is_done_for_ever_and_names_its_run(opened: Open, clock: HandClock) -> None:
    await admitted_once(opened, [created(job(1))])
    begun, clock.time = clock.time, clock.time + 1000 * FORGOTTEN
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.DONE, True, begun, run_id="run of job-1")


@pytest.mark.parametrize(("later", "begins"), [(HOUR, 0.0), (TOKEN_GONE, 0.0), (FORGOTTEN, FORGOTTEN)])
async def test_a_failed_job_is_sent_again_without_doubt_under_a_token_as_old_as_the_service_may_think(
    opened: Open, clock: HandClock, later: float, begins: float
) -> None:
    await admitted_once(opened, [failed(job(1))])
    begun, clock.time = clock.time, clock.time + later
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.AGAIN, True, begun + begins)


async def test_a_failed_job_that_is_sent_again_is_in_doubt_for_the_next_process(opened: Open) -> None:
    await admitted_once(opened, [failed(job(1))])
    await admitted_once(opened, [])
    async with opened() as journal:
        assert (await admit(journal, job(1))).may_exist


@pytest.mark.parametrize("ends", [[], [created(job(1))], [failed(job(1))], [unresolved(job(1))]])
async def test_another_body_under_a_known_key_is_a_conflict_and_changes_nothing(
    opened: Open, clock: HandClock, ends: list[Result]
) -> None:
    await admitted_once(opened, ends)
    async with opened() as journal:
        conflict = await admit(journal, job(1, name="another"))
        as_before = await admit(journal, job(1))
    assert conflict == Admission(job(1, name="another"), AdmissionStatus.CONFLICT, True, clock.time)
    assert as_before.status in {AdmissionStatus.AGAIN, AdmissionStatus.DONE}


async def test_a_job_is_sent_under_the_token_of_its_first_attempt(opened: Open) -> None:
    second_generation = replace(job(1), token=retry_token(SCOPE, "job-1", 1))
    async with opened() as journal:
        await admit(journal, second_generation)
    async with opened() as journal:
        assert (await admit(journal, job(1))).job == second_generation


async def test_the_last_result_of_a_job_is_the_one_that_counts(opened: Open) -> None:
    await admitted_once(opened, [unresolved(job(1)), created(job(1))])
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.DONE


async def test_answers_come_in_the_order_of_the_jobs(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(20), stamped=True)
        await journal.settle([created(one) for one in jobs(20)])
        asked = jobs(40)[::-1]
        admissions = await journal.admit(asked, stamped=True)
    assert [admission.job for admission in admissions] == asked
    assert [admission.status for admission in admissions] == [AdmissionStatus.NEW] * 20 + [AdmissionStatus.DONE] * 20


async def test_no_jobs_are_no_question(opened: Open) -> None:
    async with opened() as journal:
        assert await journal.admit([], stamped=True) == []
        await journal.settle([])
        await journal.release([])


async def test_a_released_job_was_never_there(opened: Open, clock: HandClock) -> None:
    async with opened() as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.release([job(1)])
    clock.time += HOUR
    async with opened() as journal:
        released, kept = await journal.admit(jobs(2), stamped=False)
    assert released == Admission(job(1), AdmissionStatus.NEW, False, clock.time)
    assert (kept.status, kept.may_exist) == (AdmissionStatus.AGAIN, True)


async def test_the_intent_of_an_earlier_process_is_not_released(opened: Open) -> None:
    await admitted_once(opened, [])
    async with opened() as journal:
        await admit(journal, job(1))
        await journal.release([job(1)])
        assert (await admit(journal, job(1))).may_exist


async def test_a_job_that_had_failed_and_is_released_has_failed_again(opened: Open) -> None:
    await admitted_once(opened, [failed(job(1))])
    async with opened() as journal:
        await admit(journal, job(1))
        await journal.release([job(1)])
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert (admission.status, admission.may_exist) == (AdmissionStatus.AGAIN, False)


@pytest.mark.parametrize("end", [created, unresolved])
async def test_a_settled_job_is_not_released(opened: Open, end: Callable[[Job], Result]) -> None:
    await admitted_once(opened, [end(job(1))])
    async with opened() as journal:
        before = await admit(journal, job(1))
        await journal.release([job(1)])
        assert await admit(journal, job(1)) == before


async def test_releasing_a_job_never_admitted_does_nothing(opened: Open) -> None:
    async with opened() as journal:
        await journal.release([job(1)])
        assert (await admit(journal, job(1))).status is AdmissionStatus.NEW


async def test_settling_a_job_never_admitted_is_an_error_and_settles_none_of_the_others(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        with pytest.raises(JournalError, match="misses the intents"):
            await journal.settle([created(job(1)), created(job(2))])
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.AGAIN
        assert (await admit(journal, job(2))).status is AdmissionStatus.NEW


async def test_a_journal_that_has_failed_is_never_believed_again(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        with pytest.raises(JournalError):
            await journal.settle([created(job(2))])
        with pytest.raises(JournalError):
            await journal.admit([job(3)], stamped=True)
        with pytest.raises(JournalError):
            await journal.settle([created(job(1))])
        with pytest.raises(JournalError):
            await journal.release([job(1)])
    async with opened() as journal:
        assert (await admit(journal, job(1))).may_exist


async def test_a_caller_that_is_cancelled_does_not_undo_its_call(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        settling = asyncio.ensure_future(journal.settle([created(job(1))]))
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert (await admit(journal, job(1))).status is AdmissionStatus.DONE


async def test_calls_at_once_are_carried_out_in_their_order(opened: Open) -> None:
    async with opened() as journal:
        _, _, again = await asyncio.gather(
            journal.admit(jobs(50), stamped=True),
            journal.settle([created(one) for one in jobs(50)]),
            journal.admit(jobs(50), stamped=True),
        )
    assert [admission.status for admission in again] == [AdmissionStatus.DONE] * 50


def test_the_stand_in_keeps_their_order_where_all_happens_at_one_moment() -> None:
    async def at_once() -> None:
        journal = MemoryJournal(VirtualClock())
        pairs = [(journal.admit([one], stamped=True), journal.settle([created(one)])) for one in jobs(10)]
        await asyncio.gather(*(call for pair in pairs for call in pair))
        assert [result.job for result in journal.settled] == jobs(10)

    run_virtual(at_once())
