"""The right to create is lost, or to search was never given, on a target that has runs; in virtual time."""

from dataclasses import replace

import pytest

from ingestor.model.events import AttemptEnded
from ingestor.model.record import Job
from ingestor.model.reply import Reply
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import run_virtual

VAGUE = Reply(status=404, code="NotAuthorizedOrNotFound", message="Authorization failed or resource not found")


def of_experiment(name: str, records: list[Job]) -> list[Job]:
    return [replace(it, experiment_id=name) for it in records]


def creates_all_but(experiment: str, **options: object) -> World:
    """Return a world in which one experiment is missing, on a target that has runs."""
    world = World(lambda job, number: VAGUE if job.experiment_id == experiment else None, target_is_proven=True)
    for name, value in options.items():
        setattr(world, name, value)
    world.__post_init__()
    return world


@pytest.mark.parametrize("concurrency", [1, 8, 256])
@pytest.mark.parametrize("latency", [0.001, 0.04, 0.6])
def test_a_right_to_create_that_was_lost_since_the_last_execution_halts_and_fails_no_record(
    latency: float, concurrency: int
) -> None:
    world = World(lambda job, number: VAGUE, experiments=["1"], target_is_proven=True)
    world.concurrency, world.latency = concurrency, latency
    world.__post_init__()
    result = run_virtual(world.ingest(of_experiment("1", jobs(1000))))
    assert result.halt is not None
    is_starved = concurrency == 1 and latency > 0.5  # four records that are sent again keep the only slot busy
    assert world.outcomes == ({"failed": 4} if is_starved else {})
    assert world.service.lists == 1


@pytest.mark.parametrize("concurrency", [1, 8, 256])
def test_a_right_to_create_that_is_lost_in_the_middle_halts_and_fails_only_a_few_records(concurrency: int) -> None:
    world = World(lambda job, number: None if int(job.key[4:]) <= 300 else VAGUE, experiments=["1"])
    world.concurrency = concurrency
    result = run_virtual(world.ingest(of_experiment("1", jobs(2000))))
    assert result.halt is not None
    assert world.outcomes["created"] == 300
    assert world.outcomes["failed"] < 20


@pytest.mark.parametrize("concurrency", [1, 8, 256])
def test_any_number_of_records_of_missing_experiments_is_failed_where_the_list_lacks_them(concurrency: int) -> None:
    world = creates_all_but("9", experiments=["1"], concurrency=concurrency)
    bad, good = of_experiment("9", jobs(500)), of_experiment("1", jobs(1000)[500:])
    result = run_virtual(world.ingest([*bad, *good]))
    assert (result.halt, world.outcomes) == (None, {"created": 500, "failed": 500})


def test_a_night_of_failed_records_alone_fails_them_again_where_no_search_is_allowed() -> None:
    world = creates_all_but("9", probe=VAGUE)
    records = [*of_experiment("1", jobs(300)), *of_experiment("9", jobs(306)[300:])]
    assert run_virtual(world.ingest(records)).halt is None
    world.next_process()
    result = run_virtual(world.ingest(records))
    assert (result.halt, world.outcomes) == (None, {"already_done": 300, "failed": 6})
    assert len(world.attempts) == 312, "each one was sent once more"


@pytest.mark.parametrize(("bad", "concurrency"), [(6, 1), (6, 8), (50, 8), (50, 256)])
def test_new_bad_records_before_and_among_good_ones_do_not_halt_where_no_search_is_allowed(
    bad: int, concurrency: int
) -> None:
    world = creates_all_but("9", probe=VAGUE, concurrency=concurrency)
    records = jobs(2 * bad + 600)
    first, second = of_experiment("9", records[:bad]), of_experiment("9", records[bad : 2 * bad])
    good = of_experiment("1", records[2 * bad :])
    result = run_virtual(world.ingest([*first, *good[:300], *second, *good[300:]]))
    assert (result.halt, world.outcomes) == (None, {"created": 600, "failed": 2 * bad})


@pytest.mark.parametrize("latency", [0.001, 0.6])
@pytest.mark.parametrize("count", [5, 30, 1000])
def test_new_records_that_are_all_denied_as_probes_are_halt_and_fail_next_to_none(count: int, latency: float) -> None:
    world = World(lambda job, number: VAGUE, probe=VAGUE, target_is_proven=True, latency=latency)
    result = run_virtual(world.ingest(jobs(count)))
    assert result.halt is not None
    assert world.outcomes["failed"] < 5


@pytest.mark.parametrize(("experiments", "is_known"), [(["1"], True), (None, False)])
def test_an_experiment_is_called_missing_only_if_the_list_lacks_it(
    experiments: list[str] | None, is_known: bool
) -> None:
    world = creates_all_but("9", experiments=experiments)
    run_virtual(world.ingest(of_experiment("9", jobs(30))))
    assert {it.misses_experiment for it in world.results} == {is_known}


def test_an_experiment_is_called_missing_if_the_answer_names_it() -> None:
    named = replace(VAGUE, message="Experiment not found or not authorized")
    world = World(lambda job, number: named if job.key == "job-1" else None)
    run_virtual(world.ingest(jobs(3)))
    assert {it.job.key for it in world.results if it.misses_experiment} == {"job-1"}


def test_only_requests_that_were_sent_again_are_retries() -> None:
    throttled = Reply(status=429, retry_after=3600.0)
    world = World(lambda job, number: throttled, give_up_after=60.0)
    run_virtual(world.ingest(jobs(1)))
    assert [it.repeated for it in world.sink.of(AttemptEnded)] == [False]
    world = World(lambda job, number: Reply(status=503) if number == 1 else None)
    run_virtual(world.ingest(jobs(1)))
    assert [it.repeated for it in world.sink.of(AttemptEnded)] == [False, True]
