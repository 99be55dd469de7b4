"""How far time has come is remembered, whatever becomes of the wall clock."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ingestor.journal import schema
from ingestor.journal.reader import status
from ingestor.model.ports import Standing
from tests.journal.support import HOUR, HandClock, opened
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
    assert admission.standing is Standing.EXPIRED


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
    assert admission.standing is Standing.EXPIRED


async def test_ages_are_told_by_the_time_of_the_journal(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
        clock.work(HOUR)
        clock.time -= 10 * HOUR
    (batch,) = status(tmp_path, now=clock.time + HOUR).batches
    assert batch.oldest is not None
    assert batch.oldest.age == 2 * HOUR
