"""How far time has come is remembered, whatever becomes of the wall clock."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.clock_checkpoint import is_worth_writing
from ingestor.journal.reader import status
from ingestor.journal.statements import last_moment
from ingestor.model.journal_time import JournalTime
from ingestor.model.ports import AdmissionStatus
from tests.journal.support import HOUR, HandClock, created, opened
from tests.support.records import SCOPE, job

BEFORE_MOMENTS = 3
"""The last version of a journal that knew nothing of them."""


async def test_a_journal_of_an_older_version_has_seen_what_its_rows_have(tmp_path: Path) -> None:
    clock = HandClock()
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        schema.migrate(connection, to=BEFORE_MOMENTS)
        connection.execute(
            "INSERT INTO batch (id, platform, workspace, name) VALUES (1, ?, ?, ?)",
            (SCOPE.platform, SCOPE.workspace, SCOPE.batch),
        )
        connection.execute(
            """
            INSERT INTO job (batch, state, stamped, source, line, key, digest, token, first_sent_at, updated_at)
            VALUES (1, 'pending', 1, 'runs.jsonl', 1, ?, ?, ?, ?, ?)
            """,
            (job(1).key, job(1).digest, job(1).token, clock.time, clock.time),
        )
    clock.time -= HOUR
    async with opened(tmp_path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    assert schema.VERSION > BEFORE_MOMENTS
    assert admission.status is AdmissionStatus.EXPIRED


async def test_a_process_that_admits_nothing_remembers_the_time_too(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
    clock.time += 20 * HOUR
    async with opened(tmp_path, clock):
        clock.work(2 * HOUR)
    clock.time -= 22 * HOUR
    async with opened(tmp_path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    assert admission.status is AdmissionStatus.EXPIRED


async def standing_after_a_kill(clock: HandClock, killed: Path) -> AdmissionStatus:
    """Say what the journal, as a process that was killed left it, makes of a job."""
    clock = HandClock(clock.time)  # a new process knows nothing of the steps before
    async with opened(killed, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    return admission.status


def kill(state: Path) -> Path:
    """Return a copy of a state directory as it is now, while its journal is open: what a kill would leave."""
    return shutil.copytree(state, state.with_name("killed"))


def witnessed(state: Path) -> JournalTime | None:
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        return last_moment(connection)


async def test_a_step_before_a_job_ended_is_remembered_though_the_process_is_killed(tmp_path: Path) -> None:
    clock, state = HandClock(), tmp_path / "state"
    async with opened(state, clock) as journal:
        await journal.admit([job(1), job(2)], stamped=True)
        clock.time -= 20 * HOUR
        await journal.settle([created(job(2))])
        killed = kill(state)
    clock.work(25 * HOUR)
    assert await standing_after_a_kill(clock, killed) is AdmissionStatus.EXPIRED


async def test_a_step_is_remembered_though_nothing_else_happens_before_the_kill(tmp_path: Path) -> None:
    clock, state = HandClock(), tmp_path / "state"
    async with opened(state, clock, watch_every=0.001) as journal:
        await journal.admit([job(1)], stamped=True)
        clock.time -= 20 * HOUR
        async with asyncio.timeout(30):
            while witnessed(state) != clock.moment():
                await journal.count_unsettled()  # lets the others have their turn
        killed = kill(state)
    clock.work(25 * HOUR)
    assert await standing_after_a_kill(clock, killed) is AdmissionStatus.EXPIRED


@pytest.mark.parametrize(
    ("time", "wall", "worth"),
    [(59.0, 59.0, False), (60.0, 60.0, True), (5.0, 4.5, False), (5.0, 3.0, True), (5.0, -HOUR, True)],
    ids=["less than a minute", "a minute", "a clock that drifts", "a small step back", "a large one"],
)
def test_a_moment_is_written_each_minute_and_when_the_clock_was_stepped(time: float, wall: float, worth: bool) -> None:
    assert is_worth_writing(JournalTime(1e9, 1e9), JournalTime(1e9 + time, 1e9 + wall)) is worth


async def test_ages_are_told_by_the_time_of_the_journal(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
        clock.work(HOUR)
        clock.time -= 10 * HOUR
    (batch,) = status(tmp_path, now=clock.time + HOUR).batches
    assert batch.oldest is not None
    assert batch.oldest.age == 2 * HOUR
