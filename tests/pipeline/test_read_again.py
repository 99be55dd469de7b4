"""What may have been read before is counted, and not reported one by one; a reject is reported once for each place."""

from collections.abc import AsyncIterator
from dataclasses import replace

from ingestor.model.events import RecordRejected
from ingestor.model.record import Origin, Reject
from ingestor.model.sources import Checkpoint, Chunk
from ingestor.policy.reported import MOST, Reported, ReportedRejects, place_digest
from tests.pipeline.world import World
from tests.support.memory import RUNS, MemoryInput
from tests.support.records import job, jobs
from tests.support.virtual import run_virtual

BAD = Reject(Origin("app.log", 3), "no JSON", "bad")


class Again(MemoryInput):
    """An input whose chunks may have been read before."""

    async def chunks(self) -> AsyncIterator[Chunk]:
        async for chunk in super().chunks():
            yield replace(chunk, is_again=True)


def test_records_that_are_read_again_after_their_runs_are_already_done_and_no_duplicates() -> None:
    world = World()

    async def batch() -> None:
        world.jobs = {it.key: it for it in jobs(5)}
        await world.ingest(jobs(5))
        await world.take(Again(jobs(5)))

    run_virtual(batch())
    assert world.outcomes == {"already_done": 5}


def test_records_that_are_read_again_before_their_runs_exist_are_already_done_and_no_duplicates() -> None:
    world = World(latency=1.0)

    async def batch() -> list[Checkpoint]:
        world.jobs = {it.key: it for it in jobs(4)}
        await world.take(Again([*jobs(4), *jobs(4)], size=4))
        return await world.journal.checkpoints()

    (checkpoint,) = run_virtual(batch())
    assert checkpoint.position == "8"
    assert world.outcomes == {"created": 4, "already_done": 4}


def test_a_new_record_is_created_also_where_others_are_read_again() -> None:
    world = World()
    world.jobs = {it.key: it for it in jobs(5)}
    run_virtual(world.take(Again([job(1), job(2), job(1), job(3)])))
    assert world.outcomes == {"created": 3, "already_done": 1}


def test_a_rejected_record_is_reported_once_for_each_place() -> None:
    world = World(reported_rejects=ReportedRejects())
    elsewhere = replace(BAD, origin=Origin("other.log", 3))

    async def batch() -> list[Checkpoint]:
        await world.ingest([BAD, BAD, elsewhere, replace(BAD, text="worse")])
        return await world.journal.checkpoints()

    (checkpoint,) = run_virtual(batch())
    assert world.outcomes == {"rejected": 3, "already_done": 1}
    assert checkpoint.rejected == 3


def test_a_reject_that_a_killed_execution_has_written_is_counted_and_not_written_again() -> None:
    world = World(reported_rejects=ReportedRejects([place_digest("app.log", 3, "bad")]))
    run_virtual(world.ingest([BAD]))
    assert world.sink.of(RecordRejected) == [RecordRejected(BAD, is_known=True)]


def test_the_last_rejects_are_remembered() -> None:
    reported = ReportedRejects()
    for line in range(MOST + 1):
        assert reported.add(replace(BAD, origin=Origin("app.log", line))) is Reported.NO
    assert reported.add(replace(BAD, origin=Origin("app.log", 0))) is Reported.NO
    assert reported.add(replace(BAD, origin=Origin("app.log", MOST))) is Reported.IN_THIS_EXECUTION


def test_a_source_that_is_read_again_keeps_its_checkpoints() -> None:
    world = World()

    async def batch() -> list[Checkpoint]:
        world.jobs = {it.key: it for it in jobs(3)}
        await world.take(Again(jobs(3)))
        return await world.journal.checkpoints()

    (checkpoint,) = run_virtual(batch())
    assert (checkpoint.source, checkpoint.position) == (RUNS, "3")
