"""Executions and sources in the file, and what readers find of them."""

from dataclasses import replace
from pathlib import Path

from ingestor.journal.reader import has_kept_records, known_sources, sources_of_unresolved, status
from ingestor.model.errors import ExitCode
from ingestor.model.ports import Changes
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from tests.journal.support import HOUR, ManualClock, absent, created, failed, opened, unresolved
from tests.support.records import SCOPE, job, jobs

FILE, PIPE = Source("runs.jsonl", "/d/runs.jsonl"), Source("-", None)
ANOTHER_BATCH = replace(SCOPE, batch="another")


async def test_readers_find_the_checkpoints_of_a_batch_while_another_process_writes(tmp_path: Path) -> None:
    assert known_sources(tmp_path, SCOPE) == []
    async with opened(tmp_path) as journal:
        assert known_sources(tmp_path, SCOPE) == []
        await journal.start_execution(checkpoints=[Checkpoint(PIPE), Checkpoint(FILE, "[1]", 1)])
        await journal.commit(Changes(checkpoints=[Checkpoint(PIPE, '{"segment":2}', 3, SourceEnd.DAMAGED)]))
        expected = [Checkpoint(PIPE, '{"segment":2}', 3, SourceEnd.DAMAGED), Checkpoint(FILE, "[1]", 1)]
        assert known_sources(tmp_path, SCOPE) == await journal.checkpoints() == expected
    assert known_sources(tmp_path, ANOTHER_BATCH) == []


async def test_a_name_is_as_it_stands_in_the_journal_and_a_path_as_it_is(tmp_path: Path) -> None:
    odd = Source("\udcff", "/d/\udcff")
    async with opened(tmp_path) as journal:
        await journal.start_execution(checkpoints=[Checkpoint(odd)])
        await journal.commit(Changes(checkpoints=[Checkpoint(odd, "[1]")]))
    assert known_sources(tmp_path, SCOPE) == [Checkpoint(Source("\\udcff", "/d/\udcff"), "[1]")]


async def test_what_an_execution_reports_is_read_as_it_was(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        (batch,) = status(tmp_path, now=clock.time).batches
        assert batch.last_execution is None, "opening the journal alone is no execution to show"
        await journal.start_execution(rehearsal=True)
        clock.time += HOUR
        await journal.finish_execution({"created": 1}, already_done=7, left=2, exit_code=ExitCode.STOPPED)
    (batch,) = status(tmp_path, now=clock.time).batches
    found = batch.last_execution
    assert found is not None
    assert (found.started_at, found.ended_at, found.exit_code) == (clock.time - HOUR, clock.time, ExitCode.STOPPED)
    assert (found.counts, found.already_done, found.left) == ({"created": 1}, 7, 2)


async def test_sources_of_jobs_whose_outcome_is_not_known_are_named_in_the_order_of_their_jobs(tmp_path: Path) -> None:
    one, two, three, four = (
        replace(it, origin=replace(it.origin, source=name)) for it, name in zip(jobs(4), "baba", strict=True)
    )
    async with opened(tmp_path) as journal:
        await journal.admit([one, two, three, four], stamped=True)
        await journal.commit(Changes([unresolved(one), failed(three), created(four)]))
    assert sources_of_unresolved(tmp_path, SCOPE) == ["b", "a"]
    assert sources_of_unresolved(tmp_path, ANOTHER_BATCH) == []
    async with opened(tmp_path) as journal:
        await journal.conclude([absent(one)])
    assert sources_of_unresolved(tmp_path, SCOPE) == ["a"]


async def test_kept_records_are_there_while_the_next_execution_would_send_one(tmp_path: Path) -> None:
    clock = ManualClock()
    assert not has_kept_records(tmp_path, SCOPE, now=clock.time)
    async with opened(tmp_path, clock) as journal:
        await journal.admit(jobs(2), stamped=True)
        await journal.commit(Changes([unresolved(job(1)), created(job(2))]))
    assert has_kept_records(tmp_path, SCOPE, now=clock.time + HOUR)
    assert not has_kept_records(tmp_path, SCOPE, now=clock.time + 24 * HOUR)
    assert not has_kept_records(tmp_path, ANOTHER_BATCH, now=clock.time)
    async with opened(tmp_path, clock) as journal:
        await journal.conclude([absent(job(1))])
    assert has_kept_records(tmp_path, SCOPE, now=clock.time + 1000 * HOUR)
