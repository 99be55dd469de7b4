"""The ports Journal, UnsettledJobs and Outbox: what the journals in memory and on disk promise alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.database import transaction
from ingestor.journal.forgotten import forget_jobs, recall_jobs
from ingestor.journal.journal import SqliteJournal
from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.errors import ExitCode, JournalError
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Outcome, Result
from ingestor.model.request import Operation, Step
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from ingestor.policy.identity import retry_token
from tests.journal import support
from tests.journal.support import HOUR, ManualClock, absent, created, failed, partial, unresolved
from tests.support.memory_journal import Memory, MemoryJournal
from tests.support.records import SCOPE, job, jobs

AnyJournal = SqliteJournal | MemoryJournal

Open = Callable[[], AbstractAsyncContextManager[AnyJournal]]
"""Opens the journal as the next process does."""

TOKEN_GONE = 23.6 * HOUR
FORGOTTEN = 25 * HOUR

open_ends = pytest.mark.parametrize("ends", [[], [unresolved(job(1))]], ids=["pending", "unresolved"])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, memory: Memory) -> Open:

    @asynccontextmanager
    async def in_memory() -> AsyncIterator[AnyJournal]:
        yield MemoryJournal(SCOPE, clock, memory)

    @asynccontextmanager
    async def on_disk() -> AsyncIterator[AnyJournal]:
        async with support.opened(tmp_path, clock) as journal:
            yield journal

    return in_memory if request.param == "memory" else on_disk


async def admit(journal: AnyJournal, offered: Job, *, stamped: bool = True) -> Admission:
    (admission,) = await journal.admit([offered], stamped=stamped)
    return admission


async def end(journal: AnyJournal, *results: Result) -> int:
    return await journal.commit(Changes(results))


async def admitted_once(opened: Open, ends: Sequence[Result], *, stamped: bool = True) -> None:
    """Let one process admit job 1 and end it so."""
    async with opened() as journal:
        await admit(journal, job(1), stamped=stamped)
        for result in ends:
            await end(journal, result)


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_job_never_seen_is_new_from_now_on(opened: Open, clock: ManualClock, stamped: bool) -> None:
    async with opened() as journal:
        admission = await admit(journal, job(1), stamped=stamped)
    assert admission == Admission(job(1), AdmissionStatus.NEW, stamped, clock.time)


@open_ends
@pytest.mark.parametrize("stamped", [True, False])
async def test_an_open_job_is_resent_and_may_have_a_run_and_is_stamped_as_at_first(
    opened: Open, clock: ManualClock, ends: list[Result], stamped: bool
) -> None:
    await admitted_once(opened, ends, stamped=stamped)
    begun, clock.time = clock.time, clock.time + HOUR
    async with opened() as journal:
        admission = await admit(journal, job(1), stamped=not stamped)
    assert admission == Admission(job(1), AdmissionStatus.RESEND, stamped, begun, may_exist=True)


@open_ends
@pytest.mark.parametrize("later", [TOKEN_GONE, FORGOTTEN, -HOUR])
async def test_an_open_job_is_expired_once_its_token_may_not_protect(
    opened: Open, clock: ManualClock, ends: list[Result], later: float
) -> None:
    await admitted_once(opened, ends)
    begun, clock.time = clock.time, clock.time + later
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.EXPIRED, True, begun, may_exist=True)


@open_ends
async def test_a_clock_that_is_set_back_during_an_execution_makes_no_token_younger(
    opened: Open, clock: ManualClock, ends: list[Result]
) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        for result in ends:
            await end(journal, result)
        clock.work(20 * HOUR)
        clock.time -= 20 * HOUR
        await admit(journal, job(2))
    clock.time += 3.4 * HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.RESEND
    clock.time += 0.2 * HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.EXPIRED
        assert (await admit(journal, job(2))).status is AdmissionStatus.RESEND


async def test_tokens_from_after_a_clock_was_set_back_protect_as_usual(opened: Open, clock: ManualClock) -> None:
    await admitted_once(opened, [])
    clock.time -= 100 * HOUR
    async with opened() as journal:
        await admit(journal, job(2))
    clock.time += TOKEN_GONE - HOUR
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.EXPIRED
        assert (await admit(journal, job(2))).status is AdmissionStatus.RESEND


async def test_a_created_job_is_done_for_ever_and_names_its_run(opened: Open, clock: ManualClock) -> None:
    await admitted_once(opened, [created(job(1))])
    begun, clock.time = clock.time, clock.time + 1000 * FORGOTTEN
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.DONE, True, begun, run_id="run of job-1")


@pytest.mark.parametrize(("later", "begins"), [(HOUR, 0.0), (TOKEN_GONE, 0.0), (FORGOTTEN, FORGOTTEN)])
async def test_a_failed_job_is_resent_under_a_token_as_old_as_the_service_may_think(
    opened: Open, clock: ManualClock, later: float, begins: float
) -> None:
    await admitted_once(opened, [failed(job(1))])
    begun, clock.time = clock.time, clock.time + later
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert admission == Admission(job(1), AdmissionStatus.RESEND, True, begun + begins)


async def test_a_failed_job_that_is_resent_may_have_a_run_for_the_next_process(opened: Open) -> None:
    await admitted_once(opened, [failed(job(1))])
    await admitted_once(opened, [])
    async with opened() as journal:
        assert (await admit(journal, job(1))).may_exist


@pytest.mark.parametrize("ends", [[], [created(job(1))], [failed(job(1))], [unresolved(job(1))]])
async def test_another_body_under_a_known_key_is_a_conflict_and_changes_nothing(
    opened: Open, clock: ManualClock, ends: list[Result]
) -> None:
    await admitted_once(opened, ends)
    async with opened() as journal:
        conflict = await admit(journal, job(1, name="another"))
        as_before = await admit(journal, job(1))
    assert conflict == Admission(job(1, name="another"), AdmissionStatus.CONFLICT, True, clock.time)
    assert as_before.status in {AdmissionStatus.RESEND, AdmissionStatus.DONE}


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


async def test_admissions_come_in_the_order_of_the_jobs(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(20), stamped=True)
        await end(journal, *map(created, jobs(20)))
        offered = jobs(40)[::-1]
        admissions = await journal.admit(offered, stamped=True)
    assert [admission.job for admission in admissions] == offered
    assert [admission.status for admission in admissions] == [AdmissionStatus.NEW] * 20 + [AdmissionStatus.DONE] * 20


async def test_calls_without_jobs_do_nothing(opened: Open) -> None:
    async with opened() as journal:
        assert await journal.admit([], stamped=True) == []
        await journal.commit(Changes())
        await journal.release([])


async def test_a_released_job_was_never_there(opened: Open, clock: ManualClock) -> None:
    async with opened() as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.release([job(1)])
    clock.time += HOUR
    async with opened() as journal:
        released, kept = await journal.admit(jobs(2), stamped=False)
    assert released == Admission(job(1), AdmissionStatus.NEW, False, clock.time)
    assert (kept.status, kept.may_exist) == (AdmissionStatus.RESEND, True)


async def test_the_intent_of_an_earlier_execution_is_not_released(opened: Open) -> None:
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
    assert (admission.status, admission.may_exist) == (AdmissionStatus.RESEND, False)


@pytest.mark.parametrize("end", [created, unresolved])
async def test_a_job_that_has_ended_is_not_released(opened: Open, end: Callable[[Job], Result]) -> None:
    await admitted_once(opened, [end(job(1))])
    async with opened() as journal:
        before = await admit(journal, job(1))
        await journal.release([job(1)])
        assert await admit(journal, job(1)) == before


async def test_releasing_a_job_never_admitted_does_nothing(opened: Open) -> None:
    async with opened() as journal:
        await journal.release([job(1)])
        assert (await admit(journal, job(1))).status is AdmissionStatus.NEW


async def test_ending_a_job_never_admitted_is_an_error_and_ends_none_of_the_others(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        with pytest.raises(JournalError, match="lacks the intents"):
            await end(journal, created(job(1)), created(job(2)))
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.RESEND
        assert (await admit(journal, job(2))).status is AdmissionStatus.NEW


async def test_a_journal_that_has_failed_fails_every_later_call(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        with pytest.raises(JournalError):
            await end(journal, created(job(2)))
        with pytest.raises(JournalError):
            await journal.admit([job(3)], stamped=True)
        with pytest.raises(JournalError):
            await end(journal, created(job(1)))
        with pytest.raises(JournalError):
            await journal.release([job(1)])
    async with opened() as journal:
        assert (await admit(journal, job(1))).may_exist


async def test_a_caller_that_is_cancelled_does_not_undo_its_call(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        ending = asyncio.ensure_future(end(journal, created(job(1))))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert (await admit(journal, job(1))).status is AdmissionStatus.DONE


async def test_calls_at_the_same_time_are_carried_out_in_their_order(opened: Open) -> None:
    async with opened() as journal:
        _, _, again = await asyncio.gather(
            journal.admit(jobs(50), stamped=True),
            end(journal, *map(created, jobs(50))),
            journal.admit(jobs(50), stamped=True),
        )
    assert [admission.status for admission in again] == [AdmissionStatus.DONE] * 50


@pytest.mark.parametrize("ends", [created, partial])
async def test_a_job_that_this_execution_completed_is_marked_and_one_of_an_earlier_execution_is_not(
    opened: Open, ends: Callable[[Job], Result]
) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        await end(journal, ends(job(1)))
        again = await admit(journal, job(1))
    assert (again.status, again.run_id, again.done_in_this_execution) == (AdmissionStatus.DONE, "run of job-1", True)
    async with opened() as journal:
        assert await admit(journal, job(1)) == replace(again, done_in_this_execution=False)


@open_ends
@pytest.mark.parametrize("later", [0.0, HOUR, TOKEN_GONE, FORGOTTEN, -HOUR])
async def test_a_job_whose_run_exists_is_begun_at_any_age(
    opened: Open, clock: ManualClock, ends: list[Result], later: float
) -> None:
    async with opened() as journal:
        await admit(journal, job(1), stamped=False)
        await journal.commit(Changes(begun=[(job(1), "run-1")]))
        await end(journal, *ends)
    first_sent_at, clock.time = clock.time, clock.time + later
    async with opened() as journal:
        admission = await admit(journal, job(1))
        await journal.release([job(1)])
        assert await admit(journal, job(1)) == admission
        assert await journal.count_unsettled() == 0
        for pending in (True, False):
            assert await journal.unsettled(pending=pending, after=0, limit=9) == []
    assert admission == Admission(job(1), AdmissionStatus.BEGUN, False, first_sent_at, run_id="run-1")


async def test_an_unresolved_result_that_names_a_run_leaves_a_begun_job(opened: Open) -> None:
    await admitted_once(opened, [replace(unresolved(job(1)), run_id="run-1")])
    async with opened() as journal:
        admission = await admit(journal, job(1))
    assert (admission.status, admission.run_id) == (AdmissionStatus.BEGUN, "run-1")


async def test_another_body_under_the_key_of_a_begun_job_is_a_conflict(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        await journal.commit(Changes(begun=[(job(1), "run-1")]))
        assert (await admit(journal, job(1, name="another"))).status is AdmissionStatus.CONFLICT


async def test_a_job_may_begin_and_end_in_one_commit(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.commit(Changes([created(job(1))], begun=[(job(1), "run-1"), (job(2), "run-2")]))
        first, second = await journal.admit(jobs(2), stamped=True)
    assert (first.status, first.run_id) == (AdmissionStatus.DONE, "run of job-1")
    assert (second.status, second.run_id) == (AdmissionStatus.BEGUN, "run-2")


async def test_beginning_a_job_never_admitted_is_an_error(opened: Open) -> None:
    async with opened() as journal:
        with pytest.raises(JournalError, match="lacks the intents of 1 jobs"):
            await journal.commit(Changes(begun=[(job(1), "run-1")]))


async def test_a_job_that_may_have_been_sent_by_an_earlier_execution_never_fails_by_a_release(opened: Open) -> None:
    await admitted_once(opened, [failed(job(1))])
    await admitted_once(opened, [])
    async with opened() as journal:
        assert (await admit(journal, job(1))).may_exist
        await journal.release([job(1)])
        assert (await admit(journal, job(1))).may_exist


async def test_a_job_without_a_run_that_is_released_before_its_new_attempt_has_failed_again(opened: Open) -> None:
    await admitted_once(opened, [])
    async with opened() as journal:
        await journal.conclude([absent(job(1))])
    async with opened() as journal:
        await admit(journal, job(1))
        await journal.release([job(1)])
        assert await journal.count_unsettled() == 0
        assert not (await admit(journal, job(1))).may_exist


async def kept(journal: AnyJournal, outcome: Outcome, *, after: int = 0, limit: int = 100) -> list[bytes]:
    return [it.text for it in await journal.kept_records(outcome, after=after, limit=limit)]


async def test_texts_of_failed_and_unresolved_records_are_kept_until_their_runs_exist(opened: Open) -> None:
    many = jobs(6)
    ends = [created(many[0]), partial(many[1]), failed(many[2]), unresolved(many[3]), failed(many[4])]
    async with opened() as journal:
        await journal.admit(many, stamped=True)
        await end(journal, *ends)
        for outcome in Outcome:
            assert await kept(journal, outcome) == [], "this execution has tried them"
    async with opened() as journal:
        assert await kept(journal, Outcome.FAILED) == [many[2].raw, many[4].raw]
        (record,) = await journal.kept_records(Outcome.UNRESOLVED, after=0, limit=100)
        assert (record.origin, record.text) == (many[3].origin, many[3].raw)
        await journal.admit(many[2:5], stamped=True)
        await end(journal, created(many[2]), created(many[3]), failed(many[4]))
    async with opened() as journal:
        assert await kept(journal, Outcome.UNRESOLVED) == []
        assert await kept(journal, Outcome.FAILED) == [many[4].raw]
        await admit(journal, many[4])
        await end(journal, partial(many[4]))
    async with opened() as journal:
        assert await kept(journal, Outcome.FAILED) == []


async def test_kept_records_come_in_pages_in_the_order_of_their_admission(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(300)[::-1], stamped=True)
        await end(journal, *map(failed, jobs(300)))
    found: list[bytes] = []
    after = 0
    async with opened() as journal:
        while page := await journal.kept_records(Outcome.FAILED, after=after, limit=130):
            found += [record.text for record in page]
            after = page[-1].number
    assert found == [one.raw for one in jobs(300)[::-1]]


@pytest.mark.parametrize(("later", "is_offered"), [(HOUR, True), (TOKEN_GONE, False), (-HOUR, False)])
async def test_an_unresolved_record_is_offered_while_its_token_protects_and_a_failed_one_for_ever(
    opened: Open, clock: ManualClock, later: float, is_offered: bool
) -> None:
    async with opened() as journal:
        await journal.admit(jobs(2), stamped=True)
        await end(journal, unresolved(job(1)), failed(job(2)))
    clock.time += later
    async with opened() as journal:
        assert await kept(journal, Outcome.UNRESOLVED) == [job(1).raw] * is_offered
        assert await kept(journal, Outcome.FAILED) == [job(2).raw]


async def test_a_begun_record_is_offered_at_any_age(opened: Open, clock: ManualClock) -> None:
    await admitted_once(opened, [replace(unresolved(job(1)), run_id="run-1")])
    clock.time += 100 * FORGOTTEN
    async with opened() as journal:
        assert await kept(journal, Outcome.UNRESOLVED) == [job(1).raw]


async def test_a_kept_record_that_was_in_flight_when_its_process_died_is_offered_as_unresolved(opened: Open) -> None:
    await admitted_once(opened, [failed(job(1))])
    await admitted_once(opened, [])
    async with opened() as journal:
        assert await kept(journal, Outcome.FAILED) == []
        assert await kept(journal, Outcome.UNRESOLVED) == [job(1).raw]


async def test_a_kept_record_that_is_released_is_offered_to_the_next_execution(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        await end(journal, replace(failed(job(1)), attempts=0))
        await admit(journal, job(1))
        await journal.release([job(1)])
    async with opened() as journal:
        assert await kept(journal, Outcome.FAILED) == [job(1).raw]


async def test_what_reconcile_finds_out_keeps_or_deletes_the_text(opened: Open) -> None:
    many = jobs(3)
    async with opened() as journal:
        await journal.admit(many, stamped=True)
        await end(journal, *map(unresolved, many))
    async with opened() as journal:
        found = [it.admission.job for it in await journal.unsettled(pending=False, after=0, limit=9)]
        assert [one.raw for one in found] == [b""] * 3
        await journal.conclude([created(found[0]), absent(found[1]), unresolved(found[2])])
    async with opened() as journal:
        assert await kept(journal, Outcome.FAILED) == [many[1].raw]
        assert await kept(journal, Outcome.UNRESOLVED) == [many[2].raw]


async def test_an_unsettled_job_says_whether_its_plan_has_steps(opened: Open) -> None:
    planned = replace(job(1), steps=(Step(Operation.UPDATE_RUN),))
    async with opened() as journal:
        await journal.admit([planned, job(2)], stamped=True)
    async with opened() as journal:
        found = await journal.unsettled(pending=True, after=0, limit=9)
    assert [it.has_steps for it in found] == [True, False]


async def test_jobs_without_a_run_get_a_token_of_a_new_generation_whose_life_begins_with_the_next_attempt(
    opened: Open, clock: ManualClock
) -> None:
    tokens = {job(1).token}
    for generation in (1, 2):
        await admitted_once(opened, [])
        async with opened() as journal:
            (found,) = await journal.unsettled(pending=True, after=0, limit=9)
            await journal.conclude([absent(found.admission.job)])
        clock.time += HOUR
        async with opened() as journal:
            admission = await admit(journal, job(1))
        assert admission.job.token == retry_token(SCOPE, "job-1", generation)
        assert (admission.first_sent_at, admission.may_exist) == (clock.time, False)
        tokens.add(admission.job.token)
    assert len(tokens) == 3


FILE, OTHER, PIPE = Source("a", "/d/a"), Source("b", "/d/b"), Source("-", None)


async def known(opened: Open) -> list[Checkpoint]:
    async with opened() as journal:
        return await journal.checkpoints()


async def test_checkpoints_are_known_to_the_next_process_in_the_order_of_reading(opened: Open) -> None:
    async with opened() as journal:
        assert await journal.checkpoints() == []
        await journal.start_execution(checkpoints=[Checkpoint(it) for it in (OTHER, FILE, PIPE)])
        await admit(journal, job(1))
        await journal.commit(Changes([created(job(1))], checkpoints=[Checkpoint(FILE, "[1]", 2)]))
        await journal.commit(Changes(checkpoints=[Checkpoint(PIPE, "[3]", 4, SourceEnd.DAMAGED)]))
    assert await known(opened) == [
        Checkpoint(OTHER),
        Checkpoint(FILE, "[1]", 2),
        Checkpoint(PIPE, "[3]", 4, SourceEnd.DAMAGED),
    ]


async def test_a_source_that_is_read_again_starts_as_given_and_the_others_stay(opened: Open) -> None:
    async with opened() as journal:
        await journal.start_execution(checkpoints=[Checkpoint(it, "[1]", 1) for it in (FILE, OTHER, PIPE)])
    async with opened() as journal:
        await journal.start_execution(checkpoints=[Checkpoint(FILE), Checkpoint(PIPE, "[1]", 1)])
    assert await known(opened) == [Checkpoint(OTHER, "[1]", 1), Checkpoint(FILE), Checkpoint(PIPE, "[1]", 1)]


async def test_a_file_is_one_source_under_every_name_and_files_of_one_name_are_two(opened: Open) -> None:
    renamed, elsewhere = Source("./a", "/d/a"), Source("a", "/e/a")
    async with opened() as journal:
        await journal.start_execution(checkpoints=[Checkpoint(FILE, "[1]"), Checkpoint(elsewhere, "[2]")])
    async with opened() as journal:
        await journal.start_execution(checkpoints=[Checkpoint(renamed)])
    assert await known(opened) == [Checkpoint(elsewhere, "[2]"), Checkpoint(renamed)]


@pytest.mark.parametrize("exit_code", [None, *ExitCode])
async def test_a_file_read_to_its_end_is_forgotten_by_an_execution_that_came_to_its_own(
    opened: Open, exit_code: ExitCode | None
) -> None:
    damaged = Checkpoint(OTHER, "[2]", 1, SourceEnd.DAMAGED)
    pipe = Checkpoint(PIPE, "[3]", 7, SourceEnd.COMPLETE)
    open_file = Checkpoint(Source("c", "/d/c"), "[4]", 3)
    checkpoints = [Checkpoint(FILE, "[1]", 1, SourceEnd.COMPLETE), damaged, pipe, open_file]
    async with opened() as journal:
        await journal.start_execution(checkpoints=checkpoints)
        if exit_code is not None:
            await journal.finish_execution({}, already_done=0, left=0, exit_code=exit_code)
    if exit_code in (ExitCode.OK, ExitCode.INCOMPLETE):
        assert await known(opened) == [damaged, replace(pipe, rejected=0), open_file]
    else:
        assert await known(opened) == checkpoints


async def unacknowledged(opened: Open) -> list[tuple[int, str]]:
    """Return the outcomes that the next process finds in the outbox."""
    async with opened() as journal:
        return [(number, result.job.key) for number, result in await journal.unacknowledged()]


async def test_outcomes_are_numbered_without_gaps_over_all_processes(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(5), stamped=True)
        assert await journal.commit(Changes()) == 0
        assert await end(journal, *map(created, jobs(3))) == 3
        assert await journal.commit(Changes()) == 3
    async with opened() as journal:
        assert await journal.commit(Changes()) == 3
        assert await end(journal, failed(job(4))) == 4
        assert await journal.conclude([unresolved(job(5))]) == 5
    assert await unacknowledged(opened) == [(number, f"job-{number}") for number in range(1, 6)]


async def test_no_number_is_used_twice_though_all_outcomes_are_acknowledged(opened: Open) -> None:
    async with opened() as journal:
        await journal.admit(jobs(4), stamped=True)
        journal.acknowledge(await end(journal, *map(created, jobs(3))))
        await journal.commit(Changes())
        assert await journal.unacknowledged() == []
    async with opened() as journal:
        journal.acknowledge(2)
        assert await journal.commit(Changes()) == 3
    async with opened() as journal:
        assert await end(journal, created(job(4))) == 4
    assert await unacknowledged(opened) == [(4, "job-4")]


async def test_the_end_of_an_execution_writes_what_is_acknowledged(opened: Open) -> None:
    async with opened() as journal:
        await journal.start_execution()
        await journal.admit(jobs(3), stamped=True)
        await end(journal, *map(created, jobs(3)))
        journal.acknowledge(2)
        await journal.finish_execution({"created": 3}, already_done=0, left=0, exit_code=ExitCode.OK)
    assert await unacknowledged(opened) == [(3, "job-3")]


async def test_an_outcome_is_unacknowledged_as_it_was_but_for_the_text(opened: Open) -> None:
    ends = [
        replace(created(job(1)), latency_ms=12.5, opc_request_id="A/B/C", opc_client_request_id="A"),
        failed(job(2)),
        unresolved(job(3)),
        partial(job(4)),
    ]
    async with opened() as journal:
        await journal.admit(jobs(5), stamped=True)
        await end(journal, *ends)
    async with opened() as journal:
        found = await journal.unacknowledged()
    assert found == [(number, replace(it, job=replace(it.job, body=b"", raw=b""))) for number, it in enumerate(ends, 1)]


async def test_a_job_that_is_sent_again_has_no_outcome_to_acknowledge(opened: Open) -> None:
    async with opened() as journal:
        await admit(journal, job(1))
        await end(journal, failed(job(1)))
        await admit(journal, job(1))
        assert await journal.unacknowledged() == []


@pytest.fixture
def forget(opened: Open, memory: Memory, tmp_path: Path) -> Callable[..., None]:
    """Give up jobs between two processes, or take that back."""

    def change(*keys: str, undo: bool = False) -> None:
        if memory.jobs:
            (memory.recall if undo else memory.forget)(*keys)
            return
        with transaction(tmp_path / "journal.db") as connection:
            counts = (recall_jobs if undo else forget_jobs)(connection, 1, keys=keys)
        assert counts.total() == len(keys)

    return change


@pytest.mark.parametrize("later", [0.0, HOUR, TOKEN_GONE, FORGOTTEN, -HOUR])
@pytest.mark.parametrize(
    "ends", [[], [failed(job(1))], [unresolved(job(1))], [replace(unresolved(job(1)), run_id="run-1")]]
)
async def test_a_forgotten_job_is_not_sent_at_any_age_and_nothing_of_it_is_left_to_do(
    opened: Open, forget: Callable[..., None], clock: ManualClock, ends: list[Result], later: float
) -> None:
    await admitted_once(opened, ends)
    begun = clock.time
    forget("job-1")
    clock.time += later
    async with opened() as journal:
        assert await admit(journal, job(1)) == Admission(job(1), AdmissionStatus.FORGOTTEN, True, begun)
        assert await journal.count_unsettled() == 0
        for pending in (True, False):
            assert await journal.unsettled(pending=pending, after=0, limit=9) == []
        for outcome in (Outcome.FAILED, Outcome.UNRESOLVED):
            assert await kept(journal, outcome) == []


@pytest.mark.parametrize("ends", [[], [failed(job(1))], [unresolved(job(1))]])
async def test_a_job_that_is_forgotten_no_longer_is_what_it_was_before(
    opened: Open, forget: Callable[..., None], ends: list[Result]
) -> None:
    async with opened() as journal:
        await journal.admit([job(1)], stamped=True)
        if ends:
            await end(journal, *ends)
    async with opened() as journal:
        offered = [await kept(journal, it) for it in (Outcome.FAILED, Outcome.UNRESOLVED)]
        unsettled = await journal.count_unsettled()
    forget("job-1")
    async with opened() as journal:
        assert (await admit(journal, job(1))).status is AdmissionStatus.FORGOTTEN
    forget("job-1", undo=True)
    async with opened() as journal:
        assert [await kept(journal, it) for it in (Outcome.FAILED, Outcome.UNRESOLVED)] == offered
        assert await journal.count_unsettled() == unsettled
        admission = await admit(journal, job(1))
    assert admission.status is AdmissionStatus.RESEND
    assert admission.may_exist is (ends != [failed(job(1))])


async def test_another_body_under_the_key_of_a_forgotten_job_is_a_conflict(
    opened: Open, forget: Callable[..., None]
) -> None:
    await admitted_once(opened, [failed(job(1))])
    forget("job-1")
    async with opened() as journal:
        assert (await admit(journal, job(1, name="another"))).status is AdmissionStatus.CONFLICT


async def test_the_outcome_of_a_job_that_was_forgotten_since_still_reaches_the_log(
    opened: Open, forget: Callable[..., None]
) -> None:
    async with opened() as journal:
        await journal.admit(jobs(2), stamped=True)
        await end(journal, failed(job(1)))
    forget("job-1", "job-2")
    async with opened() as journal:
        (found,) = await journal.unacknowledged()
    assert (found[1].job.key, found[1].outcome) == ("job-1", Outcome.FAILED)
