"""Settings that are wrong for every record, in all the ways in which a service can answer; in virtual time."""

import asyncio
from collections import Counter

import pytest

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.options import PipelineResult
from ingestor.policy.retry import RetryBudget
from ingestor.simulator.memory_service import Lost
from tests.pipeline.world import World
from tests.support.records import job, jobs
from tests.support.virtual import run_virtual

NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound", message="Authorization failed or resource not found")
NO_SUCH_ROUTE = Reply(status=404, message="404: Not Found")
PORTAL = Reply(status=200, message="<html> Sign in")
MALFORMED = Reply(status=400, code="InvalidParameter", message="aiDataPlatformId is not a valid OCID")
BROKEN = Reply(fault=Fault.MALFORMED, message="the service answers, but the answer is malformed: two lengths")
RESET = Reply(fault=Fault.RESET, message="connection reset")


def test_a_page_where_runs_are_expected_halts_after_a_few_attempts() -> None:
    world = World(lambda job, number: PORTAL, probe=NO_SUCH_ROUTE, concurrency=64)
    result = run_virtual(world.ingest(jobs(100)))
    assert result.halt is not None
    assert "do not come from the API" in result.halt.advice
    assert len(world.attempts) <= 8
    assert world.outcomes == {}


def test_pages_in_the_middle_of_a_batch_halt_before_records_are_given_up() -> None:
    world = World(lambda job, number: PORTAL if int(job.key[4:]) > 20 else None, probe=PORTAL, rate=100.0)
    result = run_virtual(world.ingest(jobs(2000)))
    assert result.halt is not None
    assert "do not come from the API" in result.halt.advice
    assert world.outcomes == {"created": 20}


def test_a_truncated_first_answer_is_no_captive_portal() -> None:
    cut = Lost(Reply(status=200, message="broke off"))
    world = World(lambda job, number: cut if number == 1 else None, probe=NO_SUCH_ROUTE)
    result = run_virtual(world.ingest(jobs(3)))
    assert result.halt is None
    assert world.outcomes == {"created": 3}
    assert Counter(world.created) == Counter(job.key for job in jobs(3))


def test_bad_records_at_the_head_do_not_block_the_good_ones_after_them() -> None:
    """The service does not say which experiment is missing, and answers no probes."""
    bad = {job.key for job in jobs(6)}
    world = World(lambda job, number: NOT_FOUND if job.key in bad else None, probe=NO_SUCH_ROUTE)
    result = run_virtual(world.ingest(jobs(40)))
    assert result.halt is None
    assert world.outcomes == {"created": 34, "failed": 6}


def test_the_only_record_fails_by_itself_where_the_service_names_its_experiment() -> None:
    gone = Reply(status=404, code="NotAuthorizedOrNotFound", message="Experiment not found or not authorized")
    world = World(lambda job, number: gone, probe=NO_SUCH_ROUTE)
    result = run_virtual(world.ingest(jobs(1)))
    assert result.halt is None
    assert world.outcomes == {"failed": 1}


def test_a_few_different_experiments_are_evidence_enough() -> None:
    world = World(lambda job, number: NOT_FOUND, probe=NO_SUCH_ROUTE, concurrency=64)
    result = run_virtual(world.ingest([job(number, experiment_id=str(number)) for number in range(1, 100)]))
    assert result.halt is not None
    assert len(world.attempts) <= 8
    assert world.outcomes == {}


@pytest.mark.parametrize("denial", [NOT_FOUND, Reply(status=403, code="NotAuthorized"), NO_SUCH_ROUTE])
def test_a_workspace_that_is_lost_in_the_middle_halts_before_many_are_marked_failed(denial: Reply) -> None:
    world = World(lambda job, number: denial if int(job.key[4:]) > 20 else None, rate=100.0, probe=denial)
    result = run_virtual(world.ingest(jobs(2000)))
    assert result.halt is not None
    assert world.outcomes["created"] == 20
    assert world.outcomes["failed"] <= 20


def test_a_proxys_page_is_never_a_records_failure() -> None:
    def script(job: Job, number: int) -> Reply | None:
        return NO_SUCH_ROUTE if number == 1 and job.key in {"job-30", "job-31"} else None

    world = World(script, rate=100.0)
    run_virtual(world.ingest(jobs(100)))
    assert world.outcomes == {"created": 100}


def test_a_long_row_of_missing_experiments_is_their_records_failure_all_the_same() -> None:
    world = World(lambda job, number: NOT_FOUND if int(job.key[4:]) > 20 else None, rate=100.0)
    result = run_virtual(world.ingest(jobs(200)))
    assert result.halt is None
    assert world.outcomes == {"created": 20, "failed": 180}


def test_a_platform_id_that_the_service_calls_malformed_halts() -> None:
    world = World(lambda job, number: MALFORMED, probe=MALFORMED, concurrency=64)
    result = run_virtual(world.ingest(jobs(500)))
    assert result.halt is not None
    assert world.outcomes["failed"] <= 8


def test_records_that_are_all_refused_for_the_same_fault_of_their_own_are_all_failed() -> None:
    bad = Reply(status=400, code="InvalidParameter", message="tags are odd")
    world = World(lambda job, number: bad, probe=NO_SUCH_ROUTE)
    result = run_virtual(world.ingest(jobs(50)))
    assert result.halt is None
    assert world.outcomes == {"failed": 50}


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.GARBLED])
def test_a_host_that_takes_connections_and_breaks_them_halts_within_half_a_minute(fault: Fault) -> None:
    broken = Reply(fault=fault, message="no")
    world = World(lambda job, number: broken, probe=broken)

    async def timed() -> tuple[PipelineResult, float]:
        return await world.ingest(jobs(5)), asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert result.halt is not None
    assert seconds < 30
    assert world.outcomes == {}


def test_a_host_that_never_answers_halts_with_its_first_timeouts() -> None:
    silent = Reply(fault=Fault.TIMEOUT, message="no whole answer came in time")
    world = World(lambda job, number: silent, probe=silent, latency=60.0)
    result = run_virtual(world.ingest(jobs(100)))
    assert result.halt is not None
    assert world.outcomes == {}


OUTSIDE_LIST = ("7",)
"""The list of experiments lacks that of the records."""
LISTED = ("1", "7")


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_records_whose_experiments_are_not_listed_are_failed_where_nothing_was_created_before(concurrency: int) -> None:
    """The service does not say what is missing; reading is allowed."""
    world = World(lambda job, number: NOT_FOUND, experiments=OUTSIDE_LIST, concurrency=concurrency)
    result = run_virtual(world.ingest([job(number, experiment_id=str(100 + number % 21)) for number in range(1, 51)]))
    assert (result.halt, world.outcomes) == (None, {"failed": 50})
    assert world.service.lists == 1
    assert len(world.attempts) <= 50 + 3 * 4


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("latency", [0.01, 0.6])
def test_a_missing_right_to_create_halts_and_fails_next_to_nothing(latency: float, concurrency: int) -> None:
    world = World(lambda job, number: NOT_FOUND, experiments=LISTED, latency=latency, concurrency=concurrency)
    result = run_virtual(world.ingest(jobs(500)))
    assert result.halt is not None
    assert "create runs" in result.halt.advice
    assert world.outcomes["failed"] <= 4
    assert world.outcomes.total() == world.outcomes["failed"]


@pytest.mark.parametrize("denial", [NOT_FOUND, Reply(status=403, code="NotAuthorized"), NO_SUCH_ROUTE])
def test_one_record_that_is_always_denied_never_halts_a_batch_whose_target_has_runs(denial: Reply) -> None:
    world = World(lambda job, number: denial, probe=NOT_FOUND, target_is_proven=True)
    result = run_virtual(world.ingest(jobs(1)))
    assert (result.halt, world.outcomes) == (None, {"failed": 1})
    assert len(world.attempts) == 5


@pytest.mark.parametrize("granted", [True, False])
def test_one_record_that_is_always_denied_is_decided_by_the_probe_where_the_target_has_no_runs(granted: bool) -> None:
    world = World(lambda job, number: NOT_FOUND, probe=Reply(status=200) if granted else NOT_FOUND)
    result = run_virtual(world.ingest(jobs(1)))
    assert (result.halt is None) == granted
    assert world.outcomes == ({"failed": 1} if granted else {})


def test_rights_that_were_lost_since_the_last_execution_halt_before_any_record_is_failed() -> None:
    world = World(lambda job, number: NOT_FOUND, probe=NOT_FOUND, target_is_proven=True)
    result = run_virtual(world.ingest(jobs(500)))
    assert result.halt is not None
    assert world.outcomes == {}


@pytest.mark.parametrize("max_attempts", [1, 8])
@pytest.mark.parametrize("count", [1, 5, 200])
def test_a_service_whose_answers_are_all_malformed_halts_and_decides_about_no_record(
    count: int, max_attempts: int
) -> None:
    world = World(
        lambda job, number: Lost(BROKEN), probe=BROKEN, budget=RetryBudget(max_attempts=max_attempts), concurrency=64
    )
    result = run_virtual(world.ingest(jobs(count)))
    assert result.halt is not None
    assert "its answers are malformed" in result.halt.reason
    assert (world.outcomes, result.left) == ({}, count)


def test_a_malformed_answer_is_repeated_under_the_token_and_makes_no_second_run() -> None:
    world = World(lambda job, number: Lost(BROKEN) if number == 1 and job.key.endswith("3") else None)
    result = run_virtual(world.ingest(jobs(100)))
    assert (result.halt, world.outcomes, len(world.created)) == (None, {"created": 100}, 100)


def test_a_malformed_answer_without_retry_tokens_is_looked_up() -> None:
    world = World(lambda job, number: Lost(BROKEN) if job.key == "job-3" else None, idempotent=False)
    run_virtual(world.ingest(jobs(10)))
    assert (world.outcomes, len(world.created)) == ({"created": 10}, 10)


def test_answers_that_become_malformed_in_the_middle_halt_before_records_are_given_up() -> None:
    world = World(lambda job, number: Lost(BROKEN) if int(job.key[4:]) > 20 else None, rate=100.0)
    result = run_virtual(world.ingest(jobs(2000)))
    assert result.halt is not None
    assert world.outcomes == {"created": 20}


def test_a_refusal_after_a_lost_answer_leaves_the_record_unresolved() -> None:
    """The run of the first attempt exists, with any answer to the second one."""
    inactive = Reply(status=400, code="InvalidParameter", message="Experiment 1 is not active")
    world = World(lambda job, number: Lost(RESET) if number == 1 else inactive)
    run_virtual(world.ingest([job(1)]))
    assert world.outcomes == {"unresolved": 1}
    assert len(world.created) == 1


@pytest.mark.parametrize("lost", [Lost(RESET), Lost(Reply(status=500, message="boom")), Reply(status=500)])
def test_a_denial_after_a_lost_answer_is_unresolved_and_says_what_looks_for_the_run(lost: Reply | Lost) -> None:
    """Nothing shows whether the service looks at the token or at the experiment first."""
    world = World(lambda job, number: lost if number == 1 and job.key == "job-9" else NOT_FOUND, target_is_proven=True)
    run_virtual(world.ingest(jobs(9)))
    assert world.outcomes == {"failed": 8, "unresolved": 1}
    [result] = [it for it in world.results if it.outcome == "unresolved"]
    assert (result.http_status, result.error_code) == (404, "NotAuthorizedOrNotFound")
    assert result.error_message == (
        "Authorization failed or resource not found; an earlier attempt was not answered, so the run may exist: "
        "`ingestor reconcile` looks for it"
    )
