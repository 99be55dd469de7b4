"""Different records that are answered with the same run, as by a proxy that caches answers; in virtual time."""

import pytest

from ingestor.model.record import Job
from ingestor.model.reply import Reply
from ingestor.policy.run_ids import REPEATED_RUN
from ingestor.simulator.memory_service import Lost
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import run_virtual

CACHED = Lost(Reply(status=200, run_id="cached"))
RESET = Lost(Reply(status=500, message="lost"))


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_records_that_are_answered_with_the_same_run_are_unresolved_and_five_of_them_halt(concurrency: int) -> None:
    world = World(lambda job, number: CACHED, concurrency=concurrency)
    result = run_virtual(world.ingest(jobs(200)))
    assert result.halt is not None
    assert "same run: cached" in result.halt.reason
    assert "proxy" in result.halt.advice
    assert world.outcomes["created"] == 1
    assert 5 <= world.outcomes["unresolved"] <= 4 + concurrency
    assert world.outcomes["unresolved"] + 1 + result.left == 200


def test_such_a_record_says_why_and_names_no_run() -> None:
    world = World(lambda job, number: CACHED if job.key in {"job-1", "job-2"} else None, concurrency=1)
    result = run_virtual(world.ingest(jobs(20)))
    assert result.halt is None
    assert world.outcomes == {"created": 19, "unresolved": 1}
    [unresolved] = [it for it in world.results if it.outcome == "unresolved"]
    assert (unresolved.run_id, unresolved.http_status, unresolved.error_code) == (None, 200, REPEATED_RUN)
    assert "cached" in (unresolved.error_message or "")
    assert "proxy" in (unresolved.error_message or "")


def test_the_next_execution_sends_such_a_record_again_under_its_token_and_gets_its_own_run() -> None:
    caches = True

    def script(job: Job, number: int) -> Lost | None:
        return CACHED if caches else None

    world = World(script, concurrency=1)
    run_virtual(world.ingest(jobs(4)))
    assert world.outcomes == {"created": 1, "unresolved": 3}
    caches = False
    world.next_process()
    run_virtual(world.ingest(jobs(4)))
    assert world.outcomes == {"already_done": 1, "created": 3}
    assert len(world.service.runs) == 4, "each token has made one run"


def test_later_executions_do_not_take_the_run_of_another_record_for_their_own_either() -> None:
    world = World(lambda job, number: CACHED, concurrency=1)
    run_virtual(world.ingest(jobs(4)))
    for count in (4, 4, 5):
        world.next_process()
        run_virtual(world.ingest(jobs(count)))
        assert world.outcomes == {"already_done": 1, "unresolved": count - 1}


def test_the_same_answer_to_the_same_record_is_no_repetition() -> None:
    world = World(lambda job, number: RESET if number == 1 else None)
    result = run_virtual(world.ingest(jobs(50)))
    assert (result.halt, world.outcomes) == (None, {"created": 50})


def test_a_run_is_compared_with_those_of_records_that_ended_long_before() -> None:
    world = World(lambda job, number: CACHED if job.key in {"job-1", "job-1000"} else None)
    run_virtual(world.ingest(jobs(1000)))
    assert world.outcomes == {"created": 999, "unresolved": 1}
