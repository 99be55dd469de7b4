"""A service that answers, and refuses every request for no fault of its record; in virtual time."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from ingestor.model.events import BatchPaused, BatchResumed
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.options import PipelineResult
from ingestor.pipeline.pacer import PAUSE_REASON as CLOSED
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.simulator.memory_service import Lost, MemoryService
from tests.pipeline.world import Answer, Script, World
from tests.support.records import jobs
from tests.support.virtual import loop_time, run_virtual

USED_UP = Reply(status=429, code="TooManyRequests", message="daily quota used up")
MAINTENANCE = Reply(status=503, code="ServiceUnavailable", message="maintenance until 6")
BAD_RECORD = Reply(status=400, code="InvalidParameter", message="tags are odd")
WORDS = "429 TooManyRequests: daily quota used up"
GIVEN_UP = f"every request was refused for longer than --give-up-after: {WORDS}"
REFUSED = f"every request is refused (still trying): {WORDS}"


def timed(world: World, records: Sequence[Job]) -> tuple[PipelineResult, float]:
    async def ingest() -> tuple[PipelineResult, float]:
        return await world.ingest(records), loop_time()

    return run_virtual(ingest())


def accepts_from(seconds: float, refusal: Reply = USED_UP) -> Script:
    return lambda job, number: None if loop_time() >= seconds else refusal


def accepts_first(count: int) -> Script:
    return lambda job, number: None if int(job.key.removeprefix("job-")) <= count else USED_UP


def pauses(world: World) -> list[BatchPaused]:
    return [it for it in world.sink.of(BatchPaused) if it.reason != CLOSED]


@pytest.mark.parametrize("wait_for_service", [False, True])
@pytest.mark.parametrize("count", [1, 200])
def test_a_service_that_refuses_every_request_ends_the_batch_resumable_in_its_own_words(
    count: int, wait_for_service: bool
) -> None:
    world = World(lambda job, number: USED_UP, give_up_after=120.0, wait_for_service=wait_for_service)
    result, seconds = timed(world, jobs(count))
    assert (result.halt, result.stopped, result.left) == (None, True, count)
    assert result.reason == GIVEN_UP
    assert 120.0 <= seconds < 125.0
    assert world.outcomes == {}
    assert len(world.attempts) < 200


def test_it_is_reported_once_with_the_reason_and_the_seconds_that_are_left() -> None:
    world = World(lambda job, number: USED_UP, give_up_after=120.0)
    timed(world, jobs(50))
    [paused] = pauses(world)
    assert paused.reason == REFUSED
    assert paused.seconds == pytest.approx(110.0, abs=1.0)


def test_time_counts_from_the_last_success() -> None:
    world = World(accepts_first(100), give_up_after=60.0, rate=10.0)
    result, seconds = timed(world, jobs(200))
    assert result.reason == GIVEN_UP
    assert world.outcomes == {"created": 100}
    assert 70.0 <= seconds < 78.0


def test_a_success_ends_the_report_and_the_batch_goes_on() -> None:
    world = World(accepts_from(50.0), give_up_after=120.0)
    result, _ = timed(world, jobs(200))
    assert (result.stopped, world.outcomes) == (False, {"created": 200})
    assert [it.reason for it in pauses(world)] == [REFUSED]
    assert [it.reason for it in world.sink.of(BatchResumed)] == [CLOSED, REFUSED]


def test_a_retry_after_that_is_longer_does_not_hold_the_end_back() -> None:
    world = World(lambda job, number: Reply(status=429, retry_after=86_400.0), give_up_after=60.0)
    result, seconds = timed(world, jobs(200))
    assert result.stopped
    assert 60.0 <= seconds < 62.0
    assert len(world.attempts) <= world.concurrency


def test_a_record_that_waits_for_proof_waits_for_its_retry_after_too() -> None:
    denied = Reply(status=403, code="NotAuthorized", retry_after=50.0)
    world = World(lambda job, number: denied if job.key == "job-1" and number == 1 else None)
    timed(world, jobs(20))
    first, second = (at for at, job in world.attempts if job.key == "job-1")
    assert world.outcomes == {"created": 20}
    assert 50.0 <= second - first < 52.0


@pytest.mark.parametrize("give_up_after", [0.0, 1.0])
def test_with_no_time_to_wait_it_ends_within_seconds(give_up_after: float) -> None:
    world = World(lambda job, number: USED_UP, give_up_after=give_up_after)
    result, seconds = timed(world, jobs(200))
    assert result.reason == GIVEN_UP
    assert seconds < 5.0
    assert len(pauses(world)) == 1


class Limiter(MemoryService):
    """A service that accepts one request in so many seconds."""

    def __init__(self, interval: float) -> None:
        super().__init__(lambda request, number: self._next())
        self._interval = interval
        self._free_at = 0.0

    def _next(self) -> Reply | None:
        if loop_time() < self._free_at:
            return USED_UP
        self._free_at = loop_time() + self._interval
        return None


@pytest.mark.parametrize("give_up_after", [0.0, 5.0, 3600.0])
def test_an_ordinary_rate_limit_never_ends_a_batch(give_up_after: float) -> None:
    world = World(give_up_after=give_up_after)
    world.service = Limiter(1.0)
    result, _ = timed(world, jobs(100))
    assert (result.stopped, world.outcomes) == (False, {"created": 100})


def test_refusals_and_failures_by_turns_end_the_batch_too() -> None:
    world = World(lambda job, number: USED_UP if number % 2 else MAINTENANCE, give_up_after=120.0)
    result, seconds = timed(world, jobs(200))
    assert (result.halt, result.stopped) == (None, True)
    assert result.reason is not None
    assert "--give-up-after" in result.reason
    assert 120.0 <= seconds < 130.0
    assert world.outcomes == {}


def test_an_outage_that_turns_into_refusals_is_waited_for_once() -> None:
    def script(job: Job, number: int) -> Reply:
        return MAINTENANCE if loop_time() < 100.0 else USED_UP

    world = World(script, give_up_after=120.0)
    result, seconds = timed(world, jobs(200))
    assert result.stopped
    assert 120.0 <= seconds < 130.0


class EndlessRenewal(MemoryService):
    """A service that refuses all credentials, whose renewal never ends."""

    def __init__(self) -> None:
        super().__init__(lambda request, number: Reply(status=401, code="NotAuthenticated", message="token expired"))

    async def renew_credentials(self) -> bool:
        await asyncio.sleep(10.0**6)
        return False


def test_credentials_whose_renewal_never_ends_are_waited_for_no_longer() -> None:
    world = World(give_up_after=60.0)
    world.service = EndlessRenewal()
    result, seconds = timed(world, jobs(10))
    assert (result.halt, result.stopped) == (None, True)
    assert result.reason is not None
    assert "token expired" in result.reason
    assert seconds < 100.0


def test_bad_records_with_a_refusal_now_and_then_all_end() -> None:
    """A refused record counts as progress: the service has looked at it."""

    def script(job: Job, number: int) -> Reply:
        return USED_UP if number == 1 and job.key.endswith("7") else BAD_RECORD

    world = World(script, give_up_after=3.0, rate=10.0)
    result, seconds = timed(world, jobs(300))
    assert (result.stopped, world.outcomes) == (False, {"failed": 300})
    assert seconds > 20.0


def test_time_without_anything_to_send_does_not_count() -> None:
    async def later(pipeline: Pipeline) -> None:
        await asyncio.sleep(1000.0)
        pipeline.stop("enough")

    async def ingest(world: World) -> PipelineResult:
        return await world.ingest(jobs(1), open_end=True, meanwhile=later)

    world = World(lambda job, number: [USED_UP, USED_UP, USED_UP, BAD_RECORD][number - 1], give_up_after=60.0)
    assert run_virtual(ingest(world)).reason == "enough"
    assert world.outcomes == {"failed": 1}


def test_records_that_always_fail_end_although_a_rate_limit_refuses_the_others() -> None:
    def script(job: Job, number: int) -> Reply | None:
        if int(job.key.removeprefix("job-")) <= 20:
            return None
        return USED_UP if number % 2 else Reply(status=500, message="boom")

    world = World(script, give_up_after=60.0, rate=50.0)
    result, _ = timed(world, jobs(22))
    assert (result.stopped, world.outcomes) == (False, {"created": 20, "unresolved": 2})


def test_a_record_that_is_refused_once_and_then_fails_by_itself_ends_no_batch() -> None:
    """Its own budget decides: it is answered with 500 and not with 429."""
    world = World(
        lambda job, number: (USED_UP if number == 1 else Reply(status=500)) if job.key == "job-5" else None,
        give_up_after=5.0,
    )
    result, _ = timed(world, jobs(20))
    assert (result.stopped, world.outcomes) == (False, {"created": 19, "unresolved": 1})


@pytest.mark.parametrize(("status", "code"), [(400, "QuotaExceeded"), (400, "LimitExceeded"), (402, "PaymentRequired")])
def test_a_quota_that_is_used_up_holds_the_records_back_and_fails_next_to_none(status: int, code: str) -> None:
    used_up = Reply(status=status, code=code, message="daily quota used up")
    world = World(lambda job, number: used_up, give_up_after=60.0)
    result, seconds = timed(world, jobs(500))
    assert (result.halt, result.stopped) == (None, True)
    assert result.reason is not None
    assert result.reason.endswith(f"{status} {code}: daily quota used up")
    assert 60.0 <= seconds < 70.0
    assert world.outcomes == {"failed": 4}
    assert len(world.attempts) < 40
    assert {it.reason for it in pauses(world)} == {
        f"every request is refused (still trying): {status} {code}: daily quota used up"
    }


def test_a_workspace_that_is_busy_for_every_record_is_waited_for_and_fails_none() -> None:
    busy = Reply(status=409, code="IncorrectState", message="the workspace is being updated")
    world = World(accepts_from(60.0, busy))
    result, _ = timed(world, jobs(500))
    assert (result.halt, result.stopped, world.outcomes) == (None, False, {"created": 500})
    world = World(lambda job, number: busy, give_up_after=60.0)
    result, _ = timed(world, jobs(500))
    assert (result.halt, result.stopped, world.outcomes) == (None, True, {})
    assert (result.reason or "").endswith("409 IncorrectState: the workspace is being updated")


def test_single_records_that_are_busy_for_ever_are_failed_where_others_are_created() -> None:
    busy = Reply(status=409, code="IncorrectState", message="the experiment is being updated")
    world = World(lambda job, number: busy if job.key.endswith("5") else None, rate=100.0)
    result, _ = timed(world, jobs(100))
    assert (result.stopped, world.outcomes) == (False, {"created": 90, "failed": 10})


def test_single_records_beyond_a_limit_are_failed_where_others_are_created() -> None:
    beyond = Reply(status=400, code="LimitExceeded", message="too many tags")
    world = World(lambda job, number: beyond if job.key.endswith("5") else None)
    result, _ = timed(world, jobs(100))
    assert (result.stopped, world.outcomes) == (False, {"created": 90, "failed": 10})


def test_a_reconciliation_whose_look_ups_are_all_refused_ends_resumable() -> None:
    lost: Callable[[Job, int], Answer] = lambda job, number: Lost(Reply(fault=Fault.RESET, message="reset"))  # noqa: E731
    world = World(lost, idempotent=False, search=lambda token, number: USED_UP, give_up_after=60.0)

    async def both() -> tuple[PipelineResult, float]:
        await world.ingest(jobs(5))
        world.next_process()
        began_at = loop_time()
        pacer = Pacer(None, world.sink)
        work = Reconciliation(world.options(), world.journal, world.service, pacer, world.sink, world.clock)
        return await work.run(), loop_time() - began_at

    result, seconds = run_virtual(both())
    assert (result.stopped, result.reason, result.left) == (True, GIVEN_UP, 5)
    assert 60.0 <= seconds < 66.0
