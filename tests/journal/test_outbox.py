"""The outbox in the file: outcomes that may not be in the log stay until they are acknowledged."""

import asyncio
from dataclasses import replace
from pathlib import Path

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.ports import Changes
from tests.journal.support import ManualClock, commits, created, opened
from tests.support.records import SCOPE, job, jobs


async def numbers(journal: SqliteJournal) -> list[int]:
    return [number for number, _ in await journal.unacknowledged()]


async def left(path: Path) -> list[int]:
    """Return the numbers that the next process finds."""
    async with opened(path) as journal:
        return await numbers(journal)


async def test_acknowledged_outcomes_are_deleted_with_the_next_changes_and_without_a_commit_of_their_own(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(9), stamped=True)
        await journal.commit(Changes([created(job) for job in jobs(3)]))
        before = commits(tmp_path)
        journal.acknowledge(2)
        assert commits(tmp_path) == before
        await journal.commit(Changes([created(job(4))]))
        assert commits(tmp_path) - before == 1
        assert await numbers(journal) == [3, 4]
        journal.acknowledge(3)
        await journal.commit(Changes([created(job(5)), created(job(6))]))
        assert await numbers(journal) == [4, 5, 6]


async def test_what_is_acknowledged_last_is_deleted_when_the_journal_closes(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.commit(Changes([created(job) for job in jobs(3)]))
        journal.acknowledge(2)
    assert await left(tmp_path) == [3]


async def test_outcomes_of_an_earlier_execution_stay_until_they_are_acknowledged(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.commit(Changes([created(job) for job in jobs(3)]))
    async with opened(tmp_path) as journal:
        await journal.admit([job(4), job(5)], stamped=True)
        await journal.commit(Changes([created(job(4))]))
        assert await numbers(journal) == [1, 2, 3, 4]
        journal.acknowledge(3)
        await journal.commit(Changes([created(job(5))]))
    assert await left(tmp_path) == [4, 5]


async def test_a_late_acknowledgement_of_a_smaller_number_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        journal.acknowledge(await journal.commit(Changes([created(job) for job in jobs(3)])))
        journal.acknowledge(1)
    assert await left(tmp_path) == []


async def test_outcomes_that_share_a_commit_are_all_noted(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(1200), stamped=True)
        last = await asyncio.gather(*(journal.commit(Changes([created(job)])) for job in jobs(1200)))
    assert last == list(range(1, 1201))
    assert await left(tmp_path) == last


async def test_each_batch_has_numbers_of_its_own(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        for name in ("one", "two"):
            async with SqliteJournal.open(state, replace(SCOPE, batch=name), ManualClock()) as journal:
                await journal.admit([job(1)], stamped=True)
                assert await journal.commit(Changes([created(job(1))])) == 1
                assert await numbers(journal) == [1]
                if name == "two":
                    journal.acknowledge(1)
        async with SqliteJournal.open(state, replace(SCOPE, batch="one"), ManualClock()) as journal:
            assert await numbers(journal) == [1]
