"""Attempts whose sender process died, in virtual time: they say nothing of the service and little of the job."""

from ingestor.model.events import BatchPaused, RunRetried
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from tests.pipeline.world import World
from tests.support.memory import Lost
from tests.support.records import jobs
from tests.support.virtual import run_virtual

LOST = Reply(fault=Fault.LOST, message="the sender died")


def test_lost_attempts_are_repeated_under_their_tokens_and_make_no_second_run() -> None:
    world = World(script=lambda job, number: Lost(LOST) if number == 1 else None)
    ending = run_virtual(world.ingest(jobs(50)))
    assert (ending.halt, ending.stopped) == (None, False)
    assert world.outcomes == {"created": 50}
    assert len(world.target.made) == 50
    assert len(world.sink.of(RunRetried)) == 50


def test_senders_that_die_are_not_taken_for_a_service_that_is_down() -> None:
    def dying(job: Job, number: int) -> Reply | None:
        return LOST if number <= 3 and job.key != "job-1" else None

    world = World(script=dying)
    ending = run_virtual(world.ingest(jobs(50)))
    assert ending.halt is None
    assert world.outcomes == {"created": 50}
    assert world.sink.of(BatchPaused) == []


def test_senders_that_die_before_the_first_answer_are_not_taken_for_a_wrong_address() -> None:
    world = World(script=lambda job, number: LOST if number <= 6 else None)
    ending = run_virtual(world.ingest(jobs(30)))
    assert ending.halt is None
    assert world.outcomes == {"created": 30}


def test_without_retry_tokens_a_lost_attempt_is_looked_for_before_it_is_repeated() -> None:
    world = World(script=lambda job, number: Lost(LOST) if number == 1 else None, idempotent=False)
    run_virtual(world.ingest(jobs(20)))
    assert world.outcomes == {"created": 20}
    assert len(world.target.made) == 20
