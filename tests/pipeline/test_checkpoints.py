"""Checkpoints of a batch, in virtual time: written with the outcomes before them, and acknowledged after that."""

import asyncio
from collections.abc import Sequence

from ingestor.model.errors import IngestorError
from ingestor.model.events import InputRead, RecordRejected, RunsEnded
from ingestor.model.ports import Changes
from ingestor.model.record import Origin, Reject, State
from ingestor.model.reply import Reply
from ingestor.model.sources import Checkpoint, SourceEnd
from ingestor.pipeline.pipeline import Pipeline
from tests.pipeline.world import World
from tests.support.memory import RUNS, MemoryInput, RecordingSink, SlowJournal
from tests.support.records import job, jobs
from tests.support.virtual import loop_time, run_virtual

REFUSED = Reply(status=400, code="InvalidParameter", message="tags are odd")
BAD = Reject(Origin("runs.jsonl", 3), "not JSON", "{")


class WatchedJournal(SlowJournal):
    """Keeps each commit, and when it was."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, world.journal.memory)
        self.commits: list[tuple[float, Changes]] = []

    async def commit(self, changes: Changes) -> int:
        sequence = await super().commit(changes)
        self.commits.append((loop_time(), changes))
        return sequence

    @property
    def moved(self) -> list[Checkpoint]:
        return [checkpoint for _, changes in self.commits for checkpoint in changes.checkpoints]


def watched(world: World) -> WatchedJournal:
    world.journal = journal = WatchedJournal(world)
    return journal


def test_the_last_checkpoint_is_the_end_of_the_source() -> None:
    world = World()

    async def batch() -> list[Checkpoint]:
        await world.ingest(jobs(25))
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "25", end=SourceEnd.COMPLETE)]


def test_no_checkpoint_passes_a_record_without_a_durable_outcome() -> None:
    world = World(lambda job, number: Reply(status=503) if job.key == "job-15" and number < 6 else None)

    async def batch() -> None:
        journal = watched(world)
        await world.ingest(jobs(200))
        done: set[str] = set()
        for _, changes in journal.commits:
            done |= {result.job.key for result in changes.results}
            for checkpoint in changes.checkpoints:
                before = {job.key for job in jobs(int(checkpoint.position or 0))}
                assert before <= done, "it passed an open record"
        assert journal.moved[0].position == "10"
        assert journal.moved[-1] == Checkpoint(RUNS, "200", end=SourceEnd.COMPLETE)
        assert len(journal.moved) >= 2

    run_virtual(batch())


def test_a_checkpoint_is_acknowledged_once_it_is_durable() -> None:
    world = World()

    class Watching(MemoryInput):
        async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
            durable = await world.journal.checkpoints()
            assert all(checkpoint in durable for checkpoint in checkpoints)
            await super().acknowledge(checkpoints)

    async def batch() -> list[Checkpoint]:
        source = Watching(jobs(100))
        await world.take(source)
        return source.acknowledged

    world.jobs = {job.key: job for job in jobs(100)}
    assert run_virtual(batch())[-1] == Checkpoint(RUNS, "100", end=SourceEnd.COMPLETE)


def test_failed_and_unresolved_records_hold_no_checkpoint_back() -> None:
    world = World(lambda job, number: REFUSED if job.key == "job-2" else None)

    async def batch() -> list[Checkpoint]:
        await world.ingest(jobs(12))
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "12", end=SourceEnd.COMPLETE)]
    assert world.journal.rows["job-2"].text == job(2).raw


def test_rejected_records_are_on_disk_before_a_checkpoint_passes_them() -> None:
    synced_when_committed: list[bool] = []
    world = World()

    class Watching(WatchedJournal):
        async def commit(self, changes: Changes) -> int:
            if any(checkpoint.rejected for checkpoint in changes.checkpoints):
                last = max(n for n, event in enumerate(world.sink.events) if isinstance(event, RecordRejected))
                synced_when_committed.append(world.sink.synced > last)
            return await super().commit(changes)

    async def batch() -> list[Checkpoint]:
        world.journal = Watching(world)
        await world.ingest([*jobs(2), BAD, job(9, key="job-1"), *jobs(4)[2:]])
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "6", rejected=2, end=SourceEnd.COMPLETE)]
    assert synced_when_committed
    assert all(synced_when_committed)


def test_where_rejected_records_can_not_be_written_no_checkpoint_passes_them_and_the_batch_halts() -> None:
    class Full(RecordingSink):
        async def sync_rejects(self) -> None:
            raise IngestorError("rejects.jsonl can't be written.")

    world = World()
    world.sink = Full()

    async def batch() -> list[Checkpoint]:
        result = await world.ingest([*jobs(14), BAD])
        assert result.halt is not None
        assert "rejects.jsonl" in result.halt.reason
        return await world.journal.checkpoints()

    assert all((it.position, it.rejected) == ("10", 0) for it in run_virtual(batch()))
    assert world.outcomes == {"created": 14, "rejected": 1}


def test_rejected_records_from_before_the_start_are_counted() -> None:
    world = World()

    async def batch() -> list[Checkpoint]:
        await world.take(MemoryInput([BAD, BAD, BAD], start="1"), starts=[Checkpoint(RUNS, "1", rejected=1)])
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "3", rejected=3, end=SourceEnd.COMPLETE)]


def test_records_that_are_already_done_move_the_checkpoint_within_a_second() -> None:
    """Only the last of them is new, and its source stays open."""
    world = World()

    async def batch() -> None:
        await world.ingest(jobs(100))
        world.next_process()
        journal = watched(world)
        began = loop_time()

        async def stop(pipeline: Pipeline) -> None:
            await asyncio.sleep(5.0)
            pipeline.stop()

        await world.ingest(jobs(100), open_end=True, meanwhile=stop)
        [(at, changes)] = journal.commits
        assert (changes.results, changes.checkpoints) == ([], [Checkpoint(RUNS, "100")])
        assert at - began < 1.3

    run_virtual(batch())
    assert world.outcomes == {"already_done": 100}


def test_the_end_does_not_wait_for_that_second() -> None:
    world = World()

    async def batch() -> float:
        await world.ingest(jobs(10))
        world.next_process()
        began = loop_time()
        await world.ingest(jobs(10))
        return loop_time() - began

    assert run_virtual(batch()) < 0.5


def test_a_duplicate_of_a_record_in_flight_holds_the_checkpoint_back_until_that_ends() -> None:
    world = World(latency=5.0)

    async def batch() -> None:
        journal = watched(world)

        async def look(pipeline: Pipeline) -> None:
            await asyncio.sleep(4.0)
            assert journal.moved == []

        await world.ingest([job(1), *[job(1)] * 30], meanwhile=look)
        assert journal.moved[-1] == Checkpoint(RUNS, "31", end=SourceEnd.COMPLETE)

    run_virtual(batch())
    assert world.outcomes == {"created": 1, "duplicate": 30}


def test_a_duplicate_that_is_read_while_its_first_is_committed_holds_back_no_checkpoint() -> None:
    """Its first has ended already, and is not removed from what is in flight yet."""
    world = World()

    class Slow(WatchedJournal):
        async def commit(self, changes: Changes) -> int:
            committing.set()
            await asyncio.sleep(1.0)
            return await super().commit(changes)

    committing = asyncio.Event()

    class Late(RecordingSink):
        async def ready(self) -> None:
            if len(self.of(InputRead)) == 2:
                await committing.wait()

    async def batch() -> list[Checkpoint]:
        world.journal, world.sink = Slow(world), Late()
        await world.ingest([*jobs(10), job(1)])
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "11", end=SourceEnd.COMPLETE)]
    assert world.outcomes == {"created": 10, "duplicate": 1}


def test_a_checkpoint_that_moves_while_the_last_one_is_acknowledged_is_written_too() -> None:
    world = World(latency=1.0)

    class Slow(MemoryInput):
        async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
            await asyncio.sleep(5.0)

    async def batch() -> list[Checkpoint]:
        world.jobs = {job.key: job for job in jobs(4)}
        await world.take(Slow([*jobs(4), job(4)], size=4))
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == [Checkpoint(RUNS, "5", end=SourceEnd.COMPLETE)]
    assert world.outcomes == {"created": 4, "duplicate": 1}


def test_a_stop_leaves_the_checkpoint_before_the_first_record_without_an_outcome() -> None:
    world = World(latency=1.0, rate=20.0)

    async def twice() -> None:
        async def stop(pipeline: Pipeline) -> None:
            await asyncio.sleep(3.5)
            pipeline.stop()

        result = await world.ingest(jobs(100), meanwhile=stop)
        [checkpoint] = await world.journal.checkpoints()
        position = int(checkpoint.position or 0)
        assert 0 < position < 100
        assert checkpoint.end is None
        assert result.left > 0
        done = {key for key, row in world.journal.rows.items() if row.state is not State.PENDING}
        assert {job.key for job in jobs(position)} <= done
        world.next_process()
        await world.take(MemoryInput(jobs(100), start=checkpoint.position))
        assert world.outcomes["created"] == 100 - len(done)
        assert world.outcomes["already_done"] == len(done) - position

    run_virtual(twice())
    assert sorted(world.created) == sorted(job.key for job in jobs(100))


def test_what_a_drain_cuts_off_holds_the_checkpoint_back() -> None:
    world = World(latency=100.0, wait_for_service=True)

    async def batch() -> list[Checkpoint]:
        async def stop(pipeline: Pipeline) -> None:
            await asyncio.sleep(1.0)
            pipeline.stop()

        await world.ingest(jobs(2), drain_timeout=5.0, meanwhile=stop)
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == []


def test_kept_records_are_sent_and_move_no_checkpoint() -> None:
    world = World()

    async def batch() -> list[Checkpoint]:
        world.jobs = {job.key: job for job in jobs(20)}
        await world.take(MemoryInput(jobs(20), source=None))
        return await world.journal.checkpoints()

    assert run_virtual(batch()) == []
    assert world.outcomes == {"created": 20}


def test_outcomes_carry_the_outbox_number_of_their_commit() -> None:
    world = World()
    run_virtual(world.ingest(jobs(50)))
    sequence = 0
    for event in world.sink.of(RunsEnded):
        sequence += len(event.results)
        assert event.sequence == sequence
    assert sequence == 50
