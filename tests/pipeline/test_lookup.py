"""A service without retry tokens: a run that may exist is looked up before it is sent again. In virtual time."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.model.events import RunRetried
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Request
from ingestor.pipeline.options import PipelineResult
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.lookup import LOOKUP_DELAY
from ingestor.simulator.memory_service import Late, Lost, MemoryService
from tests.pipeline.world import Answer, Script, World
from tests.support.records import job, jobs
from tests.support.virtual import run_virtual

TIMEOUT = Reply(fault=Fault.TIMEOUT, message="no answer")
RESET = Reply(fault=Fault.RESET, message="connection reset")
BUSY = Reply(status=503, message="unavailable")
LIMITED = Reply(status=429, code="TooManyRequests")
DENIED = Reply(status=404, code="NotAuthorizedOrNotFound", message="no such experiment")


def first(answer: Answer) -> Script:
    """Give this answer to the first attempt of job 1."""
    return lambda job, number: answer if (job.key, number) == ("job-1", 1) else None


def world_without_tokens(script: Script, **options: object) -> World:
    return World(script, idempotent=False, **options)  # type: ignore[arg-type]


async def to_the_end(batch: Coroutine[None, None, PipelineResult]) -> PipelineResult:
    """Return how a batch ended, once the service has carried out everything."""
    result = await batch
    await asyncio.sleep(600.0)
    return result


def sent(world: World, key: str = "job-1") -> int:
    return sum(job.key == key for _, job in world.attempts)


def test_a_run_whose_answer_was_lost_is_found_and_not_created_again() -> None:
    world = world_without_tokens(first(Lost(RESET)))
    run_virtual(world.ingest(jobs(3)))
    assert world.outcomes == {"created": 3}
    assert Counter(world.created) == {"job-1": 1, "job-2": 1, "job-3": 1}
    assert sent(world) == 1
    logged = {result.job.token: result.run_id for result in world.results}
    assert logged == world.service.run_ids


def test_a_record_that_has_no_run_for_certain_is_sent_again() -> None:
    world = world_without_tokens(first(RESET))
    run_virtual(world.ingest(jobs(3)))
    assert world.outcomes == {"created": 3}
    assert (sent(world), len(world.service.lookups)) == (2, 1)


@pytest.mark.parametrize("seconds", [0.5, LOOKUP_DELAY - 0.1])
def test_a_request_that_the_service_carries_out_after_the_connection_broke_is_waited_for(seconds: float) -> None:
    world = world_without_tokens(first(Late(RESET, seconds)))
    run_virtual(to_the_end(world.ingest(jobs(1))))
    assert world.outcomes == {"created": 1}
    assert world.created == ["job-1"]


def test_a_request_that_ran_into_its_timeout_gets_as_long_again() -> None:
    late = first(Late(TIMEOUT, 110.0))
    world = world_without_tokens(late, latency=60.0, concurrency=1)
    run_virtual(to_the_end(world.ingest(jobs(1))))
    assert world.created == ["job-1"]


def test_what_queued_up_in_a_service_that_hung_is_waited_for_when_it_answers_again() -> None:
    """The request is carried out just after the first look-up that is answered again."""
    world = world_without_tokens(first(Late(RESET, 8.0)), search=lambda _, number: BUSY if number == 1 else None)
    run_virtual(to_the_end(world.ingest(jobs(1))))
    assert world.outcomes == {"created": 1}
    assert world.created == ["job-1"]


def test_a_look_up_that_fails_is_made_again() -> None:
    world = world_without_tokens(
        first(Lost(RESET)), search=lambda _, number: (BUSY, LIMITED, RESET)[number - 1] if number < 4 else None
    )
    run_virtual(world.ingest(jobs(2)))
    assert world.outcomes == {"created": 2}
    assert sent(world) == 1


def test_a_look_up_that_never_succeeds_leaves_the_record_unresolved_within_its_budget() -> None:
    world = world_without_tokens(first(Lost(RESET)), search=lambda _, number: Reply(status=200, message="<html>"))
    run_virtual(world.ingest(jobs(2)))
    assert world.outcomes == {"created": 1, "unresolved": 1}
    assert sent(world) == 1
    assert len(world.service.lookups) == world.budget.max_attempts - 1


def test_a_look_up_that_is_refused_leaves_the_record_unresolved() -> None:
    world = world_without_tokens(first(RESET), search=lambda _, number: DENIED)
    run_virtual(world.ingest(jobs(2)))
    (result,) = [result for result in world.results if result.job.key == "job-1"]
    assert (result.outcome, result.error_message) == ("unresolved", "no such experiment")
    assert sent(world) == 1


def test_a_record_that_never_succeeds_fails_once_it_has_no_run_for_certain() -> None:
    world = world_without_tokens(lambda job, number: Reply(status=500) if job.key == "job-1" else None)
    run_virtual(world.ingest(jobs(2)))
    assert world.outcomes == {"created": 1, "failed": 1}
    assert sent(world) == world.budget.max_attempts


def test_a_run_without_a_stamp_can_not_be_found_and_is_left_unresolved_at_once() -> None:
    world = world_without_tokens(first(RESET), stamped=False)

    async def twice() -> None:
        await world.ingest(jobs(2))
        world.next_process()
        await world.ingest(jobs(2))

    run_virtual(twice())
    assert world.outcomes == {"already_done": 1, "unresolved": 1}
    assert (sent(world), world.service.lookups) == (1, [])


@pytest.mark.parametrize("hours", [0.0, 30.0])
@pytest.mark.parametrize("lost", [RESET, Lost(RESET), Late(RESET, 3.0)], ids=["not", "done", "late"])
def test_what_an_earlier_execution_left_is_looked_up_first_at_any_age(lost: Answer, hours: float) -> None:
    world = world_without_tokens(lambda job, number: lost if number == 1 else None)

    async def killed_and_started_again() -> PipelineResult:
        killed = asyncio.ensure_future(world.ingest(jobs(1)))
        await asyncio.sleep(1.0)
        killed.cancel()
        await asyncio.wait({killed})
        await asyncio.sleep(hours * 3600)
        world.next_process()
        return await world.ingest(jobs(1))

    result = run_virtual(to_the_end(killed_and_started_again()))
    assert not result.stopped
    assert world.outcomes == {"created": 1}
    assert world.created == ["job-1"]


def test_a_stop_does_not_wait_for_a_look_up_that_is_not_due() -> None:
    world = world_without_tokens(first(Lost(RESET)))

    async def stop_soon(pipeline: Pipeline) -> None:
        await asyncio.sleep(1.0)
        pipeline.stop()

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(1), meanwhile=stop_soon), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert result.stopped
    assert result.left == 1
    assert seconds < 2.0


class Hanging(MemoryService):
    """A service that hangs from 2 s to 300 s: what reaches it then is carried out just after it answers again."""

    def __init__(self) -> None:
        super().__init__(self._scripted, latency=0.01, idempotent=False, search=self._looked_up)
        self._queued: list[Request] = []

    def _hangs(self) -> bool:
        return 2.0 <= asyncio.get_running_loop().time() < 300.0

    def _scripted(self, request: Request, number: int) -> Reply | None:
        if self._hangs():
            self._queued.append(request)
            return TIMEOUT
        return None

    def _looked_up(self, token: str, number: int) -> Reply | None:
        return TIMEOUT if self._hangs() else None

    async def probe(self) -> Reply:
        answer = await super().probe()
        if self._hangs():
            return TIMEOUT
        asyncio.get_running_loop().call_later(3.0, self._catch_up)
        return answer

    def _catch_up(self) -> None:
        while self._queued:
            self._carry_out(self._queued.pop())


def test_a_service_that_hangs_and_wakes_makes_no_record_two_runs() -> None:
    world = World(rate=20.0, idempotent=False)
    world.service = Hanging()
    run_virtual(to_the_end(world.ingest(jobs(120))))
    assert world.outcomes == {"created": 120}
    assert Counter(world.created) == Counter(job.key for job in jobs(120))


answers = st.sampled_from([None, RESET, Lost(RESET), Late(RESET, 3.0), BUSY, Lost(BUSY), LIMITED])
searches = st.sampled_from([None, None, BUSY, RESET, LIMITED])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(answers, max_size=4), min_size=5, max_size=5), st.lists(searches, max_size=6))
def test_for_every_lost_answer_no_record_becomes_two_runs_and_every_outcome_is_true(
    scripts: list[list[Answer]], lookups: list[Reply | None]
) -> None:
    def script(job: Job, number: int) -> Answer:
        answers = scripts[int(job.key[4:]) - 1]
        return answers[number - 1] if number <= len(answers) else None

    world = world_without_tokens(script, search=lambda _, n: lookups[n - 1] if n <= len(lookups) else None)

    run_virtual(to_the_end(world.ingest(jobs(5))))
    made = Counter(world.created)
    assert max(made.values(), default=1) == 1
    for result in world.results:
        assert (result.run_id is not None) == (result.outcome == "created")
        assert result.run_id is None or result.run_id == world.service.run_ids[result.job.token]
        assert result.outcome != "failed" or job(int(result.job.key[4:])).key not in made


def test_a_record_that_keeps_failing_is_looked_up_and_sent_at_growing_intervals() -> None:
    boom = Reply(status=500, message="boom")
    world = world_without_tokens(lambda job, number: boom if job.key == "job-1" else None)
    run_virtual(world.ingest(jobs(2)))
    times = [at for at, job in world.attempts if job.key == "job-1"]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == world.budget.max_attempts
    assert min(waits) >= LOOKUP_DELAY
    assert max(waits) > 2 * LOOKUP_DELAY


PAGE = Reply(status=200, message="<html>")


def test_a_first_record_that_is_queued_again_is_not_sent_where_its_run_can_not_be_found() -> None:
    world = world_without_tokens(first(Lost(PAGE)), stamped=False)
    run_virtual(world.ingest(jobs(3)))
    assert Counter(world.created) == {"job-1": 1, "job-2": 1, "job-3": 1}
    assert world.outcomes == {"created": 2, "unresolved": 1}


def test_a_first_record_that_is_queued_again_is_not_sent_before_the_quiescence_time_has_passed() -> None:
    world = world_without_tokens(first(Late(PAGE, LOOKUP_DELAY - 0.1)))
    run_virtual(world.ingest(jobs(3)))
    assert Counter(world.created) == {"job-1": 1, "job-2": 1, "job-3": 1}
    assert world.outcomes == {"created": 3}


def test_an_absence_that_does_not_count_yet_is_reported_in_words() -> None:
    world = world_without_tokens(first(RESET), search=lambda token, number: BUSY if number == 1 else None)
    run_virtual(world.ingest(jobs(3)))
    [retried] = [event for event in world.sink.of(RunRetried) if event.reason == "look-up absent"]
    assert "no run was found yet" in retried.reply.message
    assert world.outcomes == {"created": 3}
