"""Jobs of several requests, in virtual time: create, then its steps in order, with every event between any two."""

import asyncio
from collections import Counter

import pytest

from ingestor.model.events import RunRetried
from ingestor.model.ports import Changes
from ingestor.model.record import State
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.retry import RetryBudget
from ingestor.simulator.memory_service import Lost
from tests.pipeline.world import World
from tests.support.memory import SlowJournal
from tests.support.records import STEPS, job, jobs
from tests.support.virtual import run_virtual

RESET = Reply(fault=Fault.RESET, message="connection reset")
REFUSED = Reply(status=400, code="InvalidParameter", message="a metric is odd")
LIMITED = Reply(status=429, code="TooManyRequests")
DAY = 24 * 3600.0
OPERATIONS = [Operation.CREATE_RUN, *(step.operation for step in STEPS)]


def complete(world: World, count: int) -> bool:
    """Whether each of `count` jobs is one run that every step of its plan was carried out on, in order."""
    plans = [list(dict.fromkeys(request.operation for request in run.steps)) for run in world.service.runs]
    is_whole = all(plan == OPERATIONS[1:] for plan in plans)
    return is_whole and Counter(world.created) == Counter(job.key for job in jobs(count))


def fails_first(reply: Reply | Lost, operation: Operation) -> World:
    """Let the first attempt of an operation of each job go wrong."""
    return World(
        script=lambda _, number: reply if operation is Operation.CREATE_RUN and number == 1 else None,
        steps=lambda request, number: reply if request.operation is operation and number == 1 else None,
    )


def test_the_requests_of_a_plan_are_sent_in_order_and_the_job_ends_with_the_last() -> None:
    world = World()
    run_virtual(world.ingest(jobs(40, steps=STEPS)))
    assert complete(world, 40)
    assert world.outcomes == {"created": 40}
    assert {(result.attempts, result.run_id is not None) for result in world.results} == {(4, True)}


def test_a_plan_of_one_request_is_one_request() -> None:
    world = World()
    run_virtual(world.ingest(jobs(40)))
    assert len(world.service.attempts) == 40
    assert {result.attempts for result in world.results} == {1}


def test_steps_of_begun_runs_go_before_new_creates() -> None:
    world = World(concurrency=1, rate=10.0)
    run_virtual(world.ingest(jobs(3, steps=STEPS)))
    assert [request.operation for _, request in world.service.attempts] == 3 * OPERATIONS


def test_every_attempt_of_every_kind_pays_the_pacer() -> None:
    world = World(rate=40.0, concurrency=64)
    run_virtual(world.ingest(jobs(50, steps=STEPS)))
    times = [at for at, _ in world.service.attempts]
    assert len(times) == 200
    assert all(sum(start <= at < start + 1.0 for at in times) <= 42 for start in times)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("reply", [Lost(RESET), RESET, LIMITED, Reply(status=503)], ids=["lost", "reset", "429", "503"])
def test_a_request_that_goes_wrong_once_is_sent_again(operation: Operation, reply: Reply | Lost) -> None:
    world = fails_first(reply, operation)
    run_virtual(world.ingest(jobs(10, steps=STEPS)))
    assert complete(world, 10)
    assert world.outcomes == {"created": 10}
    assert len(world.sink.of(RunRetried)) == 10


@pytest.mark.parametrize("stamped", [True, False])
def test_a_lost_answer_of_a_step_is_no_reason_to_look_the_run_up(stamped: bool) -> None:
    world = fails_first(RESET, Operation.LOG_BATCH)
    world.service._idempotent = world.idempotent = False
    world.stamped = stamped
    run_virtual(world.ingest(jobs(5, steps=STEPS)))
    assert complete(world, 5)
    assert world.service.lookups == []


def test_where_the_answer_of_create_is_lost_the_run_is_looked_up_and_its_steps_follow() -> None:
    world = World(lambda job, number: Lost(RESET) if number == 1 else None, idempotent=False)
    run_virtual(world.ingest(jobs(5, steps=STEPS)))
    assert complete(world, 5)
    assert len(world.service.lookups) == 5
    assert world.outcomes == {"created": 5}


def test_a_step_is_sent_again_at_any_age() -> None:
    patient = RetryBudget(max_attempts=1000, max_seconds=10.0**9, longest_wait=10.0**6)
    world = fails_first(Lost(Reply(status=503, retry_after=5 * DAY)), Operation.UPDATE_RUN)
    world.budget = patient
    run_virtual(world.ingest(jobs(1, steps=STEPS)))
    assert world.outcomes == {"created": 1}


def test_a_refused_step_ends_the_job_partial_with_the_services_words() -> None:
    world = World(steps=lambda request, number: REFUSED if request.operation is Operation.LOG_INPUTS else None)
    run_virtual(world.ingest(jobs(3, steps=STEPS)))
    assert world.outcomes == {"partial": 3}
    assert {(it.error_code, it.error_message) for it in world.results} == {("InvalidParameter", "a metric is odd")}
    assert {it.run_id for it in world.results} == set(world.service.run_ids.values())
    assert all([step.operation for step in run.steps] == [Operation.LOG_BATCH] for run in world.service.runs)


def test_a_record_that_is_partial_is_done_for_later_executions() -> None:
    world = World(steps=lambda request, number: REFUSED if request.operation is Operation.LOG_INPUTS else None)

    async def twice() -> None:
        await world.ingest(jobs(3, steps=STEPS))
        world.next_process()
        await world.ingest(jobs(3, steps=STEPS))

    run_virtual(twice())
    assert world.outcomes == {"already_done": 3}


def test_a_step_whose_budget_is_used_up_leaves_the_job_unresolved_and_the_next_execution_continues() -> None:
    broken = Reply(status=500, message="boom")

    def broken_for_one(request: Request, number: int) -> Reply | None:
        is_broken = request.operation is Operation.LOG_INPUTS and world.job_of_run(request).key == "job-2"
        return broken if is_broken and repaired == [] else None

    repaired: list[bool] = []
    world = World(steps=broken_for_one)

    async def twice() -> None:
        await world.ingest(jobs(20, steps=STEPS))
        assert world.outcomes == {"created": 19, "unresolved": 1}
        row = world.journal.rows["job-2"]
        assert (row.state, row.run_id is not None) == (State.UNRESOLVED, True)
        await asyncio.sleep(3 * DAY)
        repaired.append(True)
        world.next_process()
        await world.ingest(jobs(20, steps=STEPS))

    run_virtual(twice())
    assert world.outcomes == {"already_done": 19, "created": 1}
    assert Counter(world.created) == Counter(job.key for job in jobs(20))
    assert world.service.runs[1].steps[-1].operation is Operation.UPDATE_RUN


def test_each_request_of_a_plan_has_a_budget_of_its_own() -> None:
    failures = 6
    world = World(
        lambda job, number: Reply(status=503) if job.key == "job-1" and number <= failures else None,
        steps=lambda request, number: Reply(status=503) if number <= failures else None,
        budget=RetryBudget(max_attempts=failures + 1),
    )
    run_virtual(world.ingest([job(2), *jobs(1, steps=STEPS)]))
    assert world.outcomes == {"created": 2}


def test_a_run_that_exists_is_recorded_as_begun_before_its_plan_is_finished() -> None:
    world = World(latency=1.0)
    begun: list[tuple[str, str]] = []

    class Watching(SlowJournal):
        async def commit(self, changes: Changes) -> int:
            begun.extend((job.key, run_id) for job, run_id in changes.begun)
            ended = {result.job.key for result in changes.results}
            assert not ended & {job.key for job, _ in changes.begun}
            return await super().commit(changes)

    async def batch() -> None:
        world.journal = Watching(world.clock, world.journal.memory)
        await world.ingest(jobs(3, steps=STEPS))

    run_virtual(batch())
    assert dict(begun) == {world.job_of(run.token).key: run.run_id for run in world.service.runs}


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("hours", [0.0, 30.0])
@pytest.mark.parametrize("seconds", [0.5, 1.4, 2.3, 3.2])
def test_a_process_killed_between_any_two_requests_leaves_a_run_that_the_next_one_completes(
    seconds: float, hours: float, idempotent: bool
) -> None:
    """Each request takes 0.9 seconds: the answer to the first, second, third or fourth is lost."""
    world = World(latency=0.9, idempotent=idempotent)

    async def killed_and_started_again() -> None:
        killed = asyncio.ensure_future(world.ingest(jobs(2, steps=STEPS)))
        await asyncio.sleep(seconds)
        killed.cancel()
        await asyncio.wait({killed})
        await asyncio.sleep(hours * 3600)
        world.next_process()
        await world.ingest(jobs(2, steps=STEPS))

    run_virtual(killed_and_started_again())
    if idempotent and hours and seconds < 0.9:
        assert world.outcomes == {"unresolved": 2}, "only reconcile can settle it"
        return
    assert complete(world, 2)
    assert world.outcomes == {"created": 2}
    assert {run.steps[-1].operation for run in world.service.runs} == {Operation.UPDATE_RUN}


def test_a_begun_run_is_neither_created_nor_looked_up_again() -> None:
    world = World(latency=1.0, idempotent=False)

    async def stopped_and_started_again() -> None:
        async def stop(pipeline: Pipeline) -> None:
            await asyncio.sleep(1.5)
            pipeline.stop()

        result = await world.ingest(jobs(2, steps=STEPS), meanwhile=stop)
        assert (result.stopped, result.left) == (True, 2)
        assert all(row.run_id is not None for row in world.journal.rows.values())
        world.next_process()
        await world.ingest(jobs(2, steps=STEPS))

    run_virtual(stopped_and_started_again())
    assert complete(world, 2)
    assert world.service.lookups == []
    assert len(world.attempts) == 2


def test_a_job_of_several_requests_is_one_job_for_its_duplicates() -> None:
    world = World()
    planned = job(1, steps=STEPS)

    async def batch() -> None:
        await world.ingest([planned, planned])

    run_virtual(batch())
    assert world.outcomes == {"created": 1, "duplicate": 1}


def test_another_plan_under_the_same_key_is_a_conflict() -> None:
    world = World()
    run_virtual(world.ingest([job(1), job(1, steps=STEPS)]))
    assert world.outcomes == {"created": 1, "rejected": 1}


def test_plans_of_one_and_of_many_requests_go_side_by_side() -> None:
    world = World(concurrency=4)
    mixed = [job(number, steps=STEPS if number % 3 == 0 else ()) for number in range(1, 61)]
    run_virtual(world.ingest(mixed))
    assert world.outcomes == {"created": 60}
    assert {len(run.steps) for run in world.service.runs} == {0, 3}
