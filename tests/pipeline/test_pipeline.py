"""What the pipeline does with a batch, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from ingestor.model.errors import JournalError
from ingestor.model.events import (
    BatchHalted,
    BatchPaused,
    BatchResumed,
    InputRead,
    RecordRejected,
    RecordsAlreadyDone,
    RecordsDuplicate,
    RunsEnded,
)
from ingestor.model.record import Job, Origin, Outcome, Reject
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Request
from ingestor.model.sources import Chunk, SourceEnd
from ingestor.pipeline.options import PipelineResult
from ingestor.pipeline.pacer import PAUSE_REASON
from ingestor.pipeline.pipeline import Pipeline
from ingestor.policy.retry import RetryBudget
from ingestor.policy.tallies import MAX_REFUSALS
from ingestor.simulator.memory_service import Lost, MemoryService
from ingestor.sources.inputs import Chained
from tests.pipeline.world import Script, World, always_create
from tests.support.memory import MemoryInput, RecordingSink
from tests.support.records import job, jobs
from tests.support.virtual import loop_time, run_virtual

NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound", message="Authorization failed or resource not found")
REFUSED_KEY = Reply(status=401, code="NotAuthenticated", message="The required information was not provided")
NO_CONNECTION = Reply(fault=Fault.REFUSED, message="connection refused")
RESET = Reply(fault=Fault.RESET, message="connection reset")


class Broken(MemoryInput):
    """An input that raises an error of its own after its records."""

    async def chunks(self) -> AsyncIterator[Chunk]:
        async for chunk in super().chunks():
            if chunk.end is not None:
                raise LookupError("mine")
            yield chunk


class ExpiringCredentials(MemoryService):
    """A service that accepts no credentials from the first second on, until they are renewed, which takes a while."""

    def __init__(self) -> None:
        super().__init__(self._expire, latency=0.05)
        self.is_renewed = False
        self.refused = 0

    def _expire(self, request: Request, number: int) -> Reply | None:
        if self.is_renewed or loop_time() < 1.0:
            return None
        self.refused += 1
        return REFUSED_KEY

    async def renew_credentials(self) -> bool:
        self.renewals += 1
        await asyncio.sleep(0.3)
        self.is_renewed = True
        return True


class QuickProbe(MemoryService):
    """A service that creates runs slowly, and answers probes at once."""

    async def probe(self) -> Reply:
        return Reply(status=200)


def test_every_record_becomes_one_run() -> None:
    world = World()
    result = run_virtual(world.ingest(jobs(100)))
    assert sorted(world.created) == sorted(job.key for job in jobs(100))
    assert world.outcomes == {"created": 100}
    assert (result.halt, result.stopped, result.left) == (None, False, 0)


def test_a_second_execution_creates_nothing_and_counts_what_is_already_done() -> None:
    world = World()

    async def twice() -> None:
        await world.ingest(jobs(30))
        world.next_process()
        await world.ingest(jobs(30))

    run_virtual(twice())
    assert len(world.created) == 30
    assert world.outcomes == {"already_done": 30}
    assert sum(event.count for event in world.sink.of(RecordsAlreadyDone)) == 30


def test_a_record_that_occurs_again_in_one_execution_is_a_duplicate_that_names_its_run() -> None:
    world = World()

    async def twice() -> None:
        await world.ingest(jobs(30))
        await world.ingest(jobs(30))

    run_virtual(twice())
    assert len(world.created) == 30
    assert world.outcomes == {"duplicate": 30}
    assert {run_id for event in world.sink.of(RecordsDuplicate) for _, run_id in event.duplicates} == set(
        world.service.run_ids.values()
    )


def test_a_record_whose_answer_was_lost_is_sent_again_under_the_same_token() -> None:
    world = World(lambda job, number: Lost(RESET) if number == 1 else None)
    run_virtual(world.ingest(jobs(20)))
    assert Counter(world.created) == Counter(job.key for job in jobs(20))
    assert world.outcomes == {"created": 20}


def test_where_no_token_is_honoured_a_record_whose_answer_was_lost_is_looked_up_and_not_sent_again() -> None:
    world = World(lambda job, number: Lost(RESET) if job.key == "job-2" else None, idempotent=False)
    run_virtual(world.ingest(jobs(3)))
    assert sum(job.key == "job-2" for _, job in world.attempts) == 1
    assert world.outcomes == {"created": 3}


def test_a_refused_record_costs_only_itself_and_keeps_the_services_words() -> None:
    refusal = Reply(status=400, code="InvalidParameter", message="tags are odd", opc_request_id="A/B/C")
    world = World(lambda job, number: refusal if job.key == "job-7" else None)
    run_virtual(world.ingest(jobs(20)))
    assert world.outcomes == {"created": 19, "failed": 1}
    [failed] = [result for result in world.results if result.outcome is Outcome.FAILED]
    assert (failed.error_code, failed.error_message, failed.opc_request_id, failed.attempts) == (
        "InvalidParameter",
        "tags are odd",
        "A/B/C",
        1,
    )


def test_a_failed_record_is_tried_again_by_the_next_batch() -> None:
    world = World(lambda job, number: Reply(status=400, code="LimitExceeded") if number == 1 else None)

    async def twice() -> None:
        await world.ingest(jobs(3))
        assert world.outcomes == {"failed": 3}
        await world.ingest(jobs(3))

    run_virtual(twice())
    assert world.outcomes == {"created": 3}


def test_what_keeps_failing_without_proof_ends_unresolved() -> None:
    world = World(lambda job, number: Reply(status=500, message="boom") if job.key == "job-3" else None)
    run_virtual(world.ingest(jobs(10)))
    assert world.outcomes == {"created": 9, "unresolved": 1}
    assert sum(job.key == "job-3" for _, job in world.attempts) == world.budget.max_attempts


def test_what_keeps_failing_before_it_is_sent_ends_failed() -> None:
    world = World(lambda job, number: NO_CONNECTION if job.key == "job-3" else None)
    run_virtual(world.ingest(jobs(10)))
    assert world.outcomes == {"created": 9, "failed": 1}


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_delays_its_record_and_no_other(status: int) -> None:
    busy = Reply(status=status, code="Busy", retry_after=60.0)
    world = World(lambda job, number: busy if job.key.endswith("0") and number == 1 else None)
    run_virtual(world.ingest(jobs(100)))
    assert world.outcomes == {"created": 100}
    sent_at = {key: [at for at, job in world.attempts if job.key == key] for key in world.jobs}
    assert max(sent[0] for sent in sent_at.values()) < 10.0
    for key, sent in sent_at.items():
        assert len(sent) == (2 if key.endswith("0") else 1)
        assert sent[-1] - sent[0] == 0 or 60.0 <= sent[-1] - sent[0] < 63.0
    assert world.sink.of(BatchPaused) == []


def test_a_429_with_retry_after_costs_no_budget() -> None:
    busy = Reply(status=429, code="TooManyRequests", retry_after=60.0)
    world = World(lambda job, number: busy if job.key == "job-40" and number < 20 else None)
    run_virtual(world.ingest(jobs(100)))
    assert world.outcomes == {"created": 100}
    sent_at = [at for at, job in world.attempts if job.key == "job-40"]
    assert len(sent_at) == 20
    assert min(later - sooner for sooner, later in pairwise(sent_at)) >= 60.0


def test_a_retry_after_delays_every_record_once_the_service_refuses_everything() -> None:
    busy = Reply(status=429, code="TooManyRequests", retry_after=60.0)
    world = World(lambda job, number: busy if loop_time() < 200.0 else None)
    run_virtual(world.ingest(jobs(1000)))
    assert world.outcomes == {"created": 1000}
    assert len([at for at, _ in world.attempts if at < 200.0]) <= 12
    assert PAUSE_REASON in [event.reason for event in world.sink.of(BatchPaused)]
    assert [event.reason for event in world.sink.of(BatchResumed)].count(PAUSE_REASON) == 1


def test_a_retry_after_is_honoured_only_up_to_its_ceiling() -> None:
    busy = Reply(status=429, retry_after=10.0**9)
    world = World(lambda job, number: busy if number == 1 else None, budget=RetryBudget(longest_wait=30.0))
    run_virtual(world.ingest(jobs(1)))
    (first, _), (second, _) = world.attempts
    assert 30.0 <= second - first < 32.0


def test_a_429_slows_all_sending() -> None:
    limit = 50.0
    bucket = {"level": 5.0, "at": 0.0}

    def limited(job: Job, number: int) -> Reply | None:
        now = asyncio.get_running_loop().time()
        bucket["level"] = min(5.0, bucket["level"] + (now - bucket["at"]) * limit)
        bucket["at"] = now
        if bucket["level"] < 1:
            return Reply(status=429, code="TooManyRequests")
        bucket["level"] -= 1
        return None

    world = World(limited, concurrency=64)
    run_virtual(world.ingest(jobs(3000)))
    assert world.outcomes == {"created": 3000}
    assert len(world.attempts) < 3000 * 1.1


def test_no_more_attempts_than_the_rate_in_any_second() -> None:
    world = World(rate=40.0, concurrency=64)
    run_virtual(world.ingest(jobs(400)))
    times = [at for at, _ in world.attempts]
    for start in times:
        assert sum(start <= t < start + 1.0 for t in times) <= 42
    assert times[-1] < 400 / 40 * 1.05


def test_no_more_attempts_in_flight_than_slots() -> None:
    world = World(concurrency=5, latency=1.0, rate=1000.0)
    run_virtual(world.ingest(jobs(60)))
    assert world.service.most_in_flight == 5


def test_few_attempts_are_in_flight_until_the_service_is_proven() -> None:
    world = World(concurrency=64, latency=5.0, rate=1000.0)
    seen: list[int] = []

    async def look(pipeline: Pipeline) -> None:
        await asyncio.sleep(4.0)
        seen.append(world.service.most_in_flight)

    run_virtual(world.ingest(jobs(200), meanwhile=look))
    assert seen == [MAX_REFUSALS - 1]
    assert world.service.most_in_flight == 64


def test_a_retry_holds_no_slot_and_goes_ahead_of_new_records() -> None:
    world = World(lambda job, number: RESET if job.key == "job-1" and number == 1 else None, concurrency=1, rate=10.0)
    run_virtual(world.ingest(jobs(100)))
    order = [job.key for _, job in world.attempts]
    assert order[1] == "job-2"
    assert order.index("job-1", 1) < 15


def test_reading_stops_where_the_pipeline_is_full() -> None:
    world = World(concurrency=2, latency=1000.0, wait_for_service=True)
    seen: list[int] = []

    async def look(pipeline: Pipeline) -> None:
        await asyncio.sleep(500.0)
        seen.append(len(world.journal.rows))
        pipeline.stop()

    run_virtual(world.ingest(jobs(10_000), meanwhile=look))
    assert seen == [32], "16 for each attempt in flight"


def test_records_that_are_read_while_the_journal_writes_are_admitted_together() -> None:
    world = World(concurrency=64)
    records = jobs(1000)
    world.jobs = {record.key: record for record in records}
    run_virtual(world.take(MemoryInput(records, size=1)))
    assert world.outcomes == {"created": 1000}
    assert world.journal.admissions < 30


def test_after_an_error_of_the_journal_every_record_that_was_read_is_counted_as_left() -> None:
    world = World()

    async def story() -> tuple[int, int]:
        lefts = []

        async def fail(pipeline: Pipeline) -> None:
            lefts.append(pipeline)
            world.journal.fail = True

        with pytest.raises(JournalError):
            await world.ingest(jobs(300), meanwhile=fail)
        return lefts[0].left, sum(event.records for event in world.sink.of(InputRead))

    left, read = run_virtual(story())
    assert left == read > 0


@pytest.mark.parametrize("delay", [0.003, 0.02, 0.1])
def test_a_cancelled_batch_takes_back_the_intents_of_what_was_never_sent(delay: float) -> None:
    world = World(latency=30.0, concurrency=2)

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await world.ingest(jobs(300))

    run_virtual(story())
    assert set(world.journal.rows) == {job.key for _, job in world.attempts}


def test_an_error_of_the_input_stops_the_batch_and_is_returned() -> None:
    world = World(latency=1.0, concurrency=2)
    records = jobs(20)
    world.jobs = {record.key: record for record in records}
    result = run_virtual(world.take(Broken(records)))
    assert isinstance(result.error, LookupError)
    assert (result.halt, result.stopped, result.exhausted) == (None, True, False)
    assert result.reason == "the input raised LookupError: mine"
    assert set(world.journal.rows) == {job.key for _, job in world.attempts}
    assert world.outcomes == {"created": len(world.attempts)}
    assert result.left == 20 - len(world.attempts)


@pytest.mark.parametrize("outcome", ["created", "unresolved"])
def test_a_record_that_was_sent_again_from_its_kept_text_counts_once_where_its_source_has_it_too(outcome: str) -> None:
    world = World(lambda job, number: Reply(status=500), budget=RetryBudget(max_attempts=1))
    records = jobs(7)
    world.jobs = {record.key: record for record in records}
    run_virtual(world.ingest(records[:5]))
    assert world.outcomes == {"unresolved": 5}

    world.next_process()
    if outcome == "created":
        world.script = always_create
    source = MemoryInput(records)
    run_virtual(world.take(Chained([MemoryInput(records[:5], source=None), source])))
    assert world.outcomes == {outcome: 7}
    assert sum(event.records for event in world.sink.of(InputRead)) == 7
    assert sum(event.records + event.again for event in world.sink.of(InputRead) if event.source) == 7
    assert len(world.attempts) == 5 + 7
    assert source.acknowledged[-1].end is SourceEnd.COMPLETE


def test_each_chunk_is_reported_with_its_source_and_before_its_rejects() -> None:
    world = World()
    reject = Reject(Origin("runs.jsonl", 8), "bad", "{")
    world.jobs = {record.key: record for record in jobs(7)}
    run_virtual(world.take(MemoryInput([*jobs(7), reject], size=5)))
    seen = [event for event in world.sink.events if isinstance(event, InputRead | RecordRejected)]
    assert [(it.source, it.records, it.end) if isinstance(it, InputRead) else it.reject for it in seen] == [
        ("runs.jsonl", 5, None),
        ("runs.jsonl", 3, None),
        reject,
        ("runs.jsonl", 0, SourceEnd.COMPLETE),
    ]


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_credentials_that_are_not_accepted_halt_after_a_few_attempts_and_fail_nothing(count: int) -> None:
    world = World(lambda job, number: REFUSED_KEY, concurrency=64)
    result = run_virtual(world.ingest(jobs(count)))
    assert result.halt is not None
    assert "NotAuthenticated" in result.halt.reason
    assert len(world.attempts) <= 10
    assert world.outcomes == {}
    assert world.journal.rows == {}


def test_a_halt_names_a_clock_that_is_wrong() -> None:
    skewed = Reply(status=401, code="NotAuthenticated", message="no", clock_skew=3600.0)
    result = run_virtual(World(lambda job, number: skewed).ingest(jobs(10)))
    assert result.halt is not None
    assert "3600 seconds" in result.halt.advice


def test_credentials_are_renewed_on_a_401_and_the_batch_continues() -> None:
    world = World(lambda job, number: REFUSED_KEY if world.service.renewals == 0 else None, concurrency=64)
    world.service.renewable = True
    result = run_virtual(world.ingest(jobs(200)))
    assert result.halt is None
    assert world.outcomes == {"created": 200}


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_a_workspace_that_is_not_there_halts_after_a_few_attempts_and_fails_nothing(count: int) -> None:
    world = World(lambda job, number: NOT_FOUND, concurrency=64, probe=NOT_FOUND)
    result = run_virtual(world.ingest(jobs(count)))
    assert result.halt is not None
    assert "--workspace" in result.halt.advice
    assert len(world.attempts) + world.service.probes <= 12
    assert world.outcomes == {}
    assert world.journal.rows == {}


def test_an_experiment_that_is_not_there_is_its_records_failure() -> None:
    world = World(lambda job, number: NOT_FOUND if job.key == "job-50" else None)
    result = run_virtual(world.ingest(jobs(100)))
    assert result.halt is None
    assert world.outcomes == {"created": 99, "failed": 1}


def test_a_first_record_without_its_experiment_waits_until_the_address_is_proven() -> None:
    world = World(lambda job, number: NOT_FOUND if job.key == "job-1" else None, probe=NOT_FOUND)
    result = run_virtual(world.ingest(jobs(100)))
    assert result.halt is None
    assert world.outcomes == {"created": 99, "failed": 1}


def test_a_probe_proves_the_address_where_no_record_can() -> None:
    world = World(lambda job, number: NOT_FOUND, probe=Reply(status=200))
    result = run_virtual(world.ingest(jobs(3)))
    assert result.halt is None
    assert world.outcomes == {"failed": 3}
    assert world.service.probes == 1


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("latency", [0.01, 0.6])
@pytest.mark.parametrize("status", [403, 404])
def test_a_policy_that_allows_to_read_and_not_to_create_halts_and_fails_next_to_nothing(
    status: int, latency: float, concurrency: int
) -> None:
    denied = Reply(status=status, code="NotAuthorizedOrNotFound", message="Authorization failed")
    world = World(lambda job, number: denied, probe=Reply(status=200), latency=latency, concurrency=concurrency)
    result = run_virtual(world.ingest(jobs(500)))
    assert result.halt is not None
    assert "create runs" in result.halt.advice
    assert world.outcomes["failed"] <= 4
    assert world.outcomes.total() == world.outcomes["failed"]


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_some_missing_experiments_fail_their_records_where_others_are_created(concurrency: int) -> None:
    world = World(
        lambda job, number: NOT_FOUND if int(job.key[4:]) % 12 == 1 else None,
        probe=Reply(status=200),
        concurrency=concurrency,
    )
    result = run_virtual(world.ingest(jobs(504)))
    assert result.halt is None
    assert world.outcomes == {"created": 462, "failed": 42}


def test_credentials_that_expire_in_the_middle_of_a_batch_are_renewed_and_halt_nothing() -> None:
    world = World(concurrency=64)
    world.service = service = ExpiringCredentials()
    result = run_virtual(world.ingest(jobs(2000)))
    assert result.halt is None
    assert world.outcomes == {"created": 2000}
    assert service.renewals == 1
    assert service.refused > 5


def test_a_probe_that_proves_the_address_lets_more_attempts_start_at_once() -> None:
    world = World(concurrency=16)
    world.service = QuickProbe(latency=20.0)
    run_virtual(world.ingest(jobs(16)))
    times = sorted(at for at, _ in world.service.attempts)
    assert len(times) == 16
    assert times[4] < 16.0, "the probe after 15 seconds is the proof, not the first run after 20"


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.DNS, Fault.TLS])
@pytest.mark.parametrize("count", [1, 1000])
def test_an_address_that_was_never_reached_halts_within_half_a_minute(fault: Fault, count: int) -> None:
    world = World(lambda job, number: Reply(fault=fault, message="no"), concurrency=64)

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(count)), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert result.halt is not None
    assert seconds < 30
    assert len(world.attempts) <= 10
    assert world.outcomes == {}
    assert world.journal.rows == {}
    assert len(world.sink.of(BatchHalted)) == 1


def test_a_halt_keeps_every_request_that_may_have_been_carried_out() -> None:
    timeout = Reply(fault=Fault.TIMEOUT, message="no answer")
    world = World(lambda job, number: Lost(timeout) if loop_time() < 3600.0 else None)

    async def twice() -> None:
        result = await world.ingest(jobs(5))
        assert result.halt is not None
        assert set(world.created) <= set(world.journal.rows)
        await asyncio.sleep(25 * 3600.0)
        await world.ingest(jobs(5))

    run_virtual(twice())
    assert Counter(world.created).most_common(1)[0][1] == 1
    assert world.outcomes["unresolved"] > 0


def test_a_connection_refused_after_an_answer_is_no_halt() -> None:
    world = World(lambda job, number: NO_CONNECTION if number == 1 and job.key != "job-1" else None)
    result = run_virtual(world.ingest(jobs(50)))
    assert result.halt is None
    assert world.outcomes == {"created": 50}


def test_the_same_record_twice_is_sent_once_and_the_second_names_the_run() -> None:
    world = World(latency=5.0)
    run_virtual(world.ingest([job(1), job(1), job(2), *jobs(30), job(2)]))
    assert sorted(world.created) == sorted(job.key for job in jobs(30))
    assert world.outcomes == {"created": 30, "duplicate": 4}
    assert all(run_id for event in world.sink.of(RecordsDuplicate) for _, run_id in event.duplicates)


def test_a_key_with_another_body_is_rejected_with_its_text() -> None:
    world = World()
    other = job(99, key="job-1")

    async def twice() -> None:
        await world.ingest([job(1), other])
        assert world.outcomes == {"created": 1, "rejected": 1}
        await world.ingest([other])

    run_virtual(twice())
    assert world.outcomes == {"rejected": 1}
    [event] = world.sink.of(RecordRejected)
    assert event.reject.text == other.raw.decode()
    assert event.reject.reason.startswith("job_id:")
    assert world.created == ["job-1"]


def test_a_rejected_line_is_reported_and_the_others_go_through() -> None:
    world = World()
    bad = Reject(Origin("runs.jsonl", 3), "not JSON", "{")
    run_virtual(world.ingest([*jobs(2), bad, *jobs(4)[2:]]))
    assert world.outcomes == {"created": 4, "rejected": 1}


def test_a_result_is_reported_only_once_it_is_durable() -> None:
    world = World()
    durable_when_reported: list[bool] = []
    original = world.sink.emit

    class Watching(RecordingSink):
        def emit(self, event: object) -> None:
            if isinstance(event, RunsEnded):
                rows = world.journal.rows
                durable_when_reported.extend(rows[it.job.key].state.value == it.outcome.value for it in event.results)
            original(event)  # type: ignore[arg-type]

    world.sink = Watching(world.sink.events)
    run_virtual(world.ingest(jobs(50)))
    assert durable_when_reported == [True] * 50


def test_nothing_is_sent_before_its_intent_is_durable() -> None:
    def script(job: Job, number: int) -> None:
        assert job.key in world.journal.rows

    world = World(script)
    run_virtual(world.ingest(jobs(50)))
    assert world.outcomes == {"created": 50}


def test_a_journal_that_fails_ends_the_batch_with_its_error() -> None:
    world = World()

    async def break_it(pipeline: Pipeline) -> None:
        await asyncio.sleep(0.5)
        world.journal.fail = True

    async def batch() -> None:
        with pytest.raises(JournalError, match="no space left"):
            await world.ingest(jobs(100_000), meanwhile=break_it)

    run_virtual(batch())


def test_a_stop_lets_what_is_in_flight_end_and_releases_what_was_never_sent() -> None:
    world = World(latency=10.0, concurrency=8)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(25.0)
        pipeline.stop()

    result = run_virtual(world.ingest(jobs(1000), meanwhile=stop))
    assert result.stopped
    assert result.left > 0
    assert world.service.in_flight == 0
    assert world.outcomes["created"] == len(world.created) == len(world.journal.rows)


def test_after_a_stop_the_next_batch_does_the_rest_once() -> None:
    world = World(latency=1.0, rate=20.0)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(3.5)
        pipeline.stop()

    async def twice() -> None:
        await world.ingest(jobs(100), meanwhile=stop)
        done = world.outcomes["created"]
        assert 0 < done < 100
        world.next_process()
        await world.ingest(jobs(100))
        assert world.outcomes == {"created": 100 - done, "already_done": done}

    run_virtual(twice())
    assert Counter(world.created) == Counter(job.key for job in jobs(100))


def test_what_outlasts_the_drain_is_left_pending_under_its_token() -> None:
    world = World(latency=100.0, wait_for_service=True)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(1.0)
        pipeline.stop()

    async def twice() -> None:
        started = asyncio.get_running_loop().time()
        result = await world.ingest(jobs(2), drain_timeout=5.0, meanwhile=stop)
        assert asyncio.get_running_loop().time() - started < 7.0
        assert (result.stopped, result.left) == (True, 2)
        assert len(world.journal.rows) == 2
        await world.ingest(jobs(2))

    run_virtual(twice())
    assert world.outcomes == {"created": 2}


def test_a_halt_that_becomes_clear_while_what_is_in_flight_ends_counts() -> None:
    world = World(lambda job, number: Reply(status=404, message="no such page"), latency=5.0)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(6.0)
        assert len(world.attempts) < 10
        pipeline.stop()

    result = run_virtual(world.ingest(jobs(20), meanwhile=stop))
    assert result.halt is not None
    assert result.reason == "asked to"
    assert len(world.sink.of(BatchHalted)) == 1


@pytest.mark.parametrize(
    "script",
    [always_create, lambda job, number: Reply(status=429, retry_after=200.0), lambda job, number: Reply(status=503)],
    ids=["silent input", "paused", "backing off"],
)
def test_a_stop_works_during_every_wait(script: Script) -> None:
    world = World(script)

    async def stop(pipeline: Pipeline) -> None:
        await asyncio.sleep(2.0)
        pipeline.stop()

    async def timed() -> float:
        await world.ingest(jobs(3), open_end=True, meanwhile=stop)
        return asyncio.get_running_loop().time()

    assert run_virtual(timed()) < 3.0


def test_a_token_that_no_longer_protects_is_never_sent_again() -> None:
    world = World(lambda job, number: Lost(RESET))

    async def days() -> None:
        async def stop(pipeline: Pipeline) -> None:
            await asyncio.sleep(0.5)
            pipeline.stop()

        await world.ingest(jobs(3), meanwhile=stop)
        attempts = len(world.attempts)
        assert attempts >= 3
        await asyncio.sleep(24 * 3600.0)
        await world.ingest(jobs(3))
        assert len(world.attempts) == attempts

    run_virtual(days())
    assert world.outcomes == {"unresolved": 3}


def test_a_token_that_ends_while_its_job_waits_is_not_sent_again_either() -> None:
    patient = RetryBudget(max_attempts=1000, max_seconds=10.0**9, longest_wait=10.0**6)
    world = World(lambda job, number: Lost(Reply(status=503, retry_after=13 * 3600.0)), budget=patient)
    run_virtual(world.ingest(jobs(2)))
    assert world.outcomes == {"unresolved": 2}
    assert all(at < 24 * 3600.0 for at, _ in world.attempts)
