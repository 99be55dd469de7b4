"""What a monitor asks the journal from time to time."""

from pathlib import Path

import pytest

from ingestor.journal.facts import BatchFacts, facts_of
from ingestor.model.ports import Changes
from tests.journal.support import ManualClock, created, failed, opened, unresolved
from tests.support.records import SCOPE, job


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


def test_without_a_journal_nothing_is_known(tmp_path: Path) -> None:
    assert facts_of(tmp_path, SCOPE) == BatchFacts()


async def test_the_oldest_unresolved_job_is_found_and_a_pending_one_is_none(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as journal:
        for number in range(4):
            clock.work(10)
            await journal.admit([job(number)], stamped=True)
        assert facts_of(tmp_path, SCOPE).oldest_unresolved is None
        ends = [failed(job(0)), unresolved(job(1)), unresolved(job(2)), created(job(3))]
        await journal.commit(Changes(ends))
        assert facts_of(tmp_path, SCOPE).oldest_unresolved == 1020.0


async def test_the_last_success_is_the_end_of_an_execution_with_exit_code_0(tmp_path: Path, clock: ManualClock) -> None:
    for code in (3, 0, 75):
        async with opened(tmp_path, clock) as journal:
            await journal.start_execution()
            clock.work(100)
            await journal.finish_execution({}, already_done=0, left=0, exit_code=code)
    async with opened(tmp_path, clock) as journal:
        await journal.start_execution()
        facts = facts_of(tmp_path, SCOPE)
        assert (facts.last_success, facts.last_exit_code) == (1200.0, 75)


async def test_every_transaction_is_counted_with_its_time(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as journal:
        before = journal.durations.count
        await journal.admit([job(1)], stamped=True)
        await journal.commit(Changes([created(job(1))]))
        assert journal.durations.count == before + 2
        assert journal.durations.total > 0
