"""Outcomes that may not be in the log: kept until they are told, whichever process tells them."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ingestor.journal import schema
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.outcome import Result
from ingestor.model.ports import AdmissionStatus
from tests.journal.support import HandClock, commits, created, failed, opened, unresolved
from tests.support.records import SCOPE, job, jobs


async def untold(path: Path) -> list[Result]:
    """Return what the next process would have to tell."""
    async with opened(path) as journal:
        return await journal.untold()


def keys(results: list[Result]) -> list[str]:
    return [result.job.key for result in results]


async def test_what_was_settled_and_not_told_is_told_by_the_next_process_as_it_was(tmp_path: Path) -> None:
    ends = [
        replace(created(job(1)), latency_ms=12.5, opc_request_id="A/B/C", opc_client_request_id="A"),
        failed(job(2)),
        unresolved(job(3)),
    ]
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(4), stamped=True)
        await journal.settle(ends)
    assert await untold(tmp_path) == [replace(end, job=replace(end.job, body=b"", raw=b"")) for end in ends]


async def test_what_is_told_is_forgotten_with_the_next_outcomes_and_without_a_commit_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(9), stamped=True)
        await journal.settle([created(job) for job in jobs(3)])
        before = commits(tmp_path)
        journal.told(2)
        await journal.settle([created(job(4))])
        assert commits(tmp_path) - before == 1
        assert keys(await journal.untold()) == ["job-3", "job-4"]
        journal.told(3)
        await journal.settle([created(job(5)), created(job(6))])
        assert keys(await journal.untold()) == ["job-4", "job-5", "job-6"]


async def test_the_end_of_a_pass_forgets_what_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.admit(jobs(3), stamped=True)
        await journal.settle([created(job) for job in jobs(3)])
        journal.told(3)
        await journal.finish_execution({"created": 3}, left=0, exit_code=0)
    assert await untold(tmp_path) == []


async def test_what_an_earlier_process_left_is_forgotten_once_it_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.settle([created(job) for job in jobs(3)])
    async with opened(tmp_path) as journal:
        await journal.admit([job(4), job(5)], stamped=True)
        await journal.settle([created(job(4))])
        assert keys(await journal.untold()) == ["job-1", "job-2", "job-3", "job-4"], "nobody said that they were told"
        journal.told(0)
        await journal.settle([created(job(5))])
    assert keys(await untold(tmp_path)) == ["job-4", "job-5"]


async def test_outcomes_that_share_a_commit_are_all_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(1200), stamped=True)
        await asyncio.gather(*(journal.settle([created(job)]) for job in jobs(1200)))
    assert keys(await untold(tmp_path)) == keys([created(job) for job in jobs(1200)])


async def test_a_job_that_is_on_its_way_again_has_no_outcome_to_tell(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.settle([failed(job(1))])
        await journal.admit([job(1)], stamped=True)
    assert await untold(tmp_path) == []


async def test_each_batch_tells_its_own(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        for name in ("one", "two"):
            async with SqliteJournal.open(state, replace(SCOPE, batch=name), HandClock()) as journal:
                await journal.admit([job(1)], stamped=True)
                journal.told(0)
                await journal.settle([created(job(1))])
                assert keys(await journal.untold()) == ["job-1"]
        async with SqliteJournal.open(state, replace(SCOPE, batch="one"), HandClock()) as journal:
            assert keys(await journal.untold()) == ["job-1"]


async def test_a_journal_of_version_1_is_brought_up_to_date_and_keeps_what_it_knows(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(
            f"PRAGMA application_id = {schema.APPLICATION_ID}; {schema.MIGRATIONS[0]} PRAGMA user_version = 1;"
        )
        connection.execute("INSERT INTO batch VALUES (1, ?, ?, ?)", (SCOPE.platform, SCOPE.workspace, SCOPE.batch))
        connection.execute(
            """
            INSERT INTO job
                (batch, key, digest, token, state, run_id, stamped, first_sent_at, source, line, updated_at)
            VALUES (1, 'job-1', ?, ?, 'created', 'run-1', 1, 0, 'runs.jsonl', 1, 0)
            """,
            (job(1).digest, job(1).token),
        )
        connection.commit()
    async with opened(tmp_path) as journal:
        known, new = await journal.admit(jobs(2), stamped=True)
        assert (known.status, known.run_id, new.status) == (AdmissionStatus.DONE, "run-1", AdmissionStatus.NEW)
        assert await journal.untold() == [], "what an older version settled, it told"
        await journal.settle([created(job(2))])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        assert schema.version(connection) == schema.VERSION
    assert keys(await untold(tmp_path)) == ["job-2"]
