"""Records that the user gave up are not sent and not rejected again; they are done."""

from dataclasses import replace

import pytest

from ingestor.model.record import Origin, Reject
from ingestor.model.reply import Reply
from ingestor.model.sources import Checkpoint, Chunk, SourceEnd
from ingestor.policy.identity import reject_digest
from tests.pipeline.world import World
from tests.support.memory import RUNS, MemoryInput
from tests.support.records import job, jobs
from tests.support.virtual import run_virtual

REFUSED = Reply(status=400, code="InvalidParameter", message="tags are odd")
BAD, WORSE = (Reject(Origin("runs.jsonl", line), "not JSON", text) for line, text in ((3, "{"), (4, "{{")))


def refuses_the_first(world: World) -> None:
    world.script = lambda job, number: REFUSED if job.key == "job-1" else None


def test_a_forgotten_job_is_not_sent_again_and_its_source_is_done() -> None:
    world = World()
    refuses_the_first(world)

    async def batch() -> list[Checkpoint]:
        await world.ingest(jobs(3))
        world.journal.memory.forget("job-1")
        world.next_process()
        assert (await world.ingest([*jobs(3), job(1)])).left == 0
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "4", end=SourceEnd.COMPLETE)]
    assert world.outcomes == {"already_done": 2, "forgotten": 2}
    assert len(world.attempts) == 3


def test_a_forgotten_reject_is_not_reported_and_counts_as_done() -> None:
    world = World(forgotten_rejects={reject_digest(BAD.text)})

    async def batch() -> list[Checkpoint]:
        await world.ingest([job(1), BAD, WORSE, job(2)])
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "4", rejected=1, end=SourceEnd.COMPLETE)]
    assert world.outcomes == {"created": 2, "rejected": 1, "forgotten": 1}


def test_a_conflict_that_is_forgotten_is_not_reported_and_counts_as_done() -> None:
    changed = job(1, name="changed")
    world = World(forgotten_rejects={reject_digest(changed.raw.decode())})

    async def batch() -> list[Checkpoint]:
        await world.ingest([job(1)])
        world.next_process()
        await world.ingest([changed, job(2)])
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "2", end=SourceEnd.COMPLETE)]
    assert world.outcomes == {"created": 1, "forgotten": 1}


def test_a_record_that_was_given_up_and_repaired_is_already_done_but_a_conflict_is_forgotten() -> None:
    changed = job(1, name="changed")
    digests = {reject_digest(BAD.text), reject_digest(changed.raw.decode())}
    world = World(forgotten_rejects={*digests, reject_digest(WORSE.text)}, repaired_rejects=digests)

    async def batch() -> None:
        await world.ingest([job(1)])
        world.next_process()
        await world.ingest([BAD, WORSE, changed])

    run_virtual(batch())
    assert world.outcomes == {"already_done": 1, "forgotten": 2}


class OtherFormat(MemoryInput):
    """A file with a table: nothing of it is read."""

    async def chunks(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as in its base
        yield Chunk(RUNS, [replace(BAD, is_other_format=True)], "0", SourceEnd.DAMAGED)


@pytest.mark.parametrize(
    ("source", "outcomes", "end"),
    [
        (BAD.origin.source, {"forgotten": 1}, Checkpoint(RUNS, "0", end=SourceEnd.COMPLETE)),
        ("other.csv", {"rejected": 1}, Checkpoint(RUNS, "0", rejected=1, end=SourceEnd.DAMAGED)),
        (None, {"rejected": 1}, Checkpoint(RUNS, "0", rejected=1, end=SourceEnd.DAMAGED)),
    ],
)
def test_a_source_of_another_format_is_done_once_it_is_forgotten_under_its_name(
    source: str | None, outcomes: dict[str, int], end: Checkpoint
) -> None:
    world = World(forgotten_rejects={reject_digest(BAD.text, source)})

    async def batch() -> list[Checkpoint]:
        await world.take(OtherFormat([]))
        return await world.journal.checkpoints()

    assert (run_virtual(batch()), world.outcomes) == ([end], outcomes)


class Damaged(MemoryInput):
    """An input whose last line is cut: its end is damaged."""

    async def chunks(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as in its base
        yield Chunk(RUNS, [BAD, replace(BAD, is_damage=True)], "0", SourceEnd.DAMAGED)


def test_the_damage_of_a_source_is_reported_although_the_same_text_was_forgotten() -> None:
    world = World(forgotten_rejects={reject_digest(BAD.text)})
    run_virtual(world.take(Damaged([])))
    assert world.outcomes == {"rejected": 1, "forgotten": 1}
