"""Attempts whose sender process died, in virtual time: they prove nothing about the service or the job."""

from ingestor.model.events import BatchPaused, RunRetried
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.simulator.memory_service import Lost
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import run_virtual

LOST = Reply(fault=Fault.LOST, message="the sender died")


def test_lost_attempts_are_repeated_under_their_tokens_and_make_no_second_run() -> None:
    world = World(script=lambda job, number: Lost(LOST) if number == 1 else None)
    result = run_virtual(world.ingest(jobs(50)))
    assert (result.halt, result.stopped) == (None, False)
    assert world.outcomes == {"created": 50}
    assert len(world.service.runs) == 50
    assert len(world.sink.of(RunRetried)) == 50


def test_senders_that_die_do_not_count_as_a_service_that_is_down() -> None:
    def dying(job: Job, number: int) -> Reply | None:
        return LOST if number <= 3 and job.key != "job-1" else None

    world = World(script=dying)
    result = run_virtual(world.ingest(jobs(50)))
    assert result.halt is None
    assert world.outcomes == {"created": 50}
    assert world.sink.of(BatchPaused) == []


def test_senders_that_die_before_the_first_answer_do_not_count_as_a_wrong_address() -> None:
    world = World(script=lambda job, number: LOST if number <= 6 else None)
    result = run_virtual(world.ingest(jobs(30)))
    assert result.halt is None
    assert world.outcomes == {"created": 30}


def test_without_retry_tokens_a_lost_attempt_is_looked_up_before_it_is_repeated() -> None:
    world = World(script=lambda job, number: Lost(LOST) if number == 1 else None, idempotent=False)
    run_virtual(world.ingest(jobs(20)))
    assert world.outcomes == {"created": 20}
    assert len(world.service.runs) == 20
