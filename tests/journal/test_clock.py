"""The journal time is recorded, even if the wall clock is changed."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal.executions import last_time
from ingestor.journal.journal import is_worth_writing
from ingestor.journal.reader import status
from ingestor.model.admission import AdmissionStatus, JournalTime
from ingestor.model.ports import Changes
from tests.journal.support import HOUR, ManualClock, created, opened
from tests.support.records import job


async def test_a_process_that_admits_nothing_records_the_time_too(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
    clock.time += 20 * HOUR
    async with opened(tmp_path, clock):
        clock.work(2 * HOUR)
    clock.time -= 22 * HOUR
    async with opened(tmp_path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    assert admission.status is AdmissionStatus.EXPIRED


async def status_after_a_kill(clock: ManualClock, killed: Path) -> AdmissionStatus:
    """Return the status of a job in the journal that a killed process left."""
    clock = ManualClock(clock.time)  # a new process knows nothing of the steps before
    async with opened(killed, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    return admission.status


def kill(state: Path) -> Path:
    """Return a copy of a state directory as it is now, while its journal is open: what a kill would leave."""
    return shutil.copytree(state, state.with_name("killed"))


def recorded(state: Path) -> JournalTime | None:
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        return last_time(connection)


async def test_a_step_before_a_job_ended_is_recorded_though_the_process_is_killed(tmp_path: Path) -> None:
    clock, state = ManualClock(), tmp_path / "state"
    async with opened(state, clock) as journal:
        await journal.admit([job(1), job(2)], stamped=True)
        clock.time -= 20 * HOUR
        await journal.commit(Changes([created(job(2))]))
        killed = kill(state)
    clock.work(25 * HOUR)
    assert await status_after_a_kill(clock, killed) is AdmissionStatus.EXPIRED


async def test_a_step_is_recorded_though_nothing_else_happens_before_the_kill(tmp_path: Path) -> None:
    clock, state = ManualClock(), tmp_path / "state"
    async with opened(state, clock, watch_every=0.001) as journal:
        await journal.admit([job(1)], stamped=True)
        clock.time -= 20 * HOUR
        async with asyncio.timeout(30):
            while recorded(state) != clock.now():
                await journal.count_unsettled()  # lets other tasks run
        killed = kill(state)
    clock.work(25 * HOUR)
    assert await status_after_a_kill(clock, killed) is AdmissionStatus.EXPIRED


@pytest.mark.parametrize(
    ("time", "wall", "worth"),
    [(59.0, 59.0, False), (60.0, 60.0, True), (5.0, 4.5, False), (5.0, 3.0, True), (5.0, -HOUR, True)],
    ids=["less than a minute", "a minute", "a clock that drifts", "a small step back", "a large one"],
)
def test_the_time_is_recorded_each_minute_and_when_the_clock_was_stepped(time: float, wall: float, worth: bool) -> None:
    assert is_worth_writing(JournalTime(1e9, 1e9), JournalTime(1e9 + time, 1e9 + wall)) is worth


async def test_ages_are_measured_in_the_time_of_the_journal(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
        clock.work(HOUR)
        clock.time -= 10 * HOUR
    (batch,) = status(tmp_path, now=clock.time + HOUR).batches
    assert batch.oldest is not None
    assert batch.oldest.age == 2 * HOUR
