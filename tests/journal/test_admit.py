"""What admissions leave in the file, beyond what the contract of every journal says."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import results
from ingestor.model.admission import AdmissionStatus
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Outcome, Result, State
from tests.journal.support import HOUR, ManualClock, created, failed, opened, partial, unresolved
from tests.support.records import SCOPE, job, jobs


def outcomes(path: Path) -> dict[str, State]:
    return {row.job_id: row.outcome for row in results(path)}


async def admit_again(path: Path, hours: float, *ends: Result) -> AdmissionStatus:
    """Admit job 1 in one process, end it so, and admit it again in another one `hours` later."""
    clock = ManualClock()
    async with opened(path, clock) as journal:
        await journal.admit([job(1)], stamped=True)
        for result in ends:
            await journal.commit(Changes([result]))
    clock.time += hours * HOUR
    async with opened(path, clock) as journal:
        (admission,) = await journal.admit([job(1)], stamped=True)
    return admission.status


@pytest.mark.parametrize("ends", [(), (unresolved(job(1)),)], ids=["pending", "unresolved"])
@pytest.mark.parametrize("hours", [23.6, -1])
async def test_a_job_that_is_too_old_to_be_resent_is_unresolved(
    tmp_path: Path, hours: float, ends: tuple[Result]
) -> None:
    assert await admit_again(tmp_path, hours, *ends) is AdmissionStatus.EXPIRED
    assert outcomes(tmp_path) == {"job-1": State.UNRESOLVED}


async def test_a_failed_job_that_is_resent_is_pending(tmp_path: Path) -> None:
    assert await admit_again(tmp_path, 1, failed(job(1))) is AdmissionStatus.RESEND
    assert outcomes(tmp_path) == {"job-1": State.PENDING}


async def test_the_same_key_in_another_batch_is_another_job(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        for name in ("one", "two"):
            async with SqliteJournal.open(state, replace(SCOPE, batch=name), ManualClock()) as journal:
                (admission,) = await journal.admit([job(1)], stamped=True)
                assert admission.status is AdmissionStatus.NEW
                await journal.commit(Changes([created(job(1))]))


async def test_the_admissions_of_many_jobs_come_in_their_order(tmp_path: Path) -> None:
    many = jobs(1700)
    async with opened(tmp_path) as journal:
        await journal.admit(many[::2], stamped=True)
        await journal.commit(Changes([created(job) for job in many[::4]]))
        admissions = await journal.admit(many[1::2] + many[::4], stamped=True)
    assert [admission.job.key for admission in admissions] == [job.key for job in many[1::2] + many[::4]]
    assert [admission.status for admission in admissions] == [AdmissionStatus.NEW] * 850 + [AdmissionStatus.DONE] * 425


@pytest.mark.parametrize("key", ["nul \0 and more", "nul \0 and less", "'; DROP TABLE job; --", "ключ"])
async def test_any_text_is_a_key(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1, key=key), job(2, key="nul ")], stamped=True)
        await journal.commit(Changes([created(job(1, key=key))]))
        (admission,) = await journal.admit([job(1, key=key)], stamped=True)
    assert admission.run_id == f"run of {key}"


async def test_text_that_is_not_unicode_is_stored_as_its_escape(tmp_path: Path) -> None:
    odd = replace(job(1), origin=replace(job(1).origin, source="caf\udce9.jsonl"))
    async with opened(tmp_path) as journal:
        await journal.admit([odd], stamped=True)
        await journal.commit(Changes([replace(failed(odd), error_message="no \ud800")]))
    assert [(row.source, row.error_message) for row in results(tmp_path)] == [(r"caf\udce9.jsonl", r"no \ud800")]


async def test_attempts_of_all_processes_add_up(tmp_path: Path) -> None:
    await admit_again(tmp_path, 1, failed(job(1)))
    async with opened(tmp_path) as journal:
        await journal.commit(Changes([created(job(1), attempts=4)]))
    assert [(row.attempts, row.error_code, row.outcome) for row in results(tmp_path)] == [(5, None, State.CREATED)]


async def test_a_released_job_leaves_no_row_and_one_that_had_failed_has_failed_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit(jobs(3), stamped=True)
        await journal.commit(Changes([failed(job(3))]))
        await journal.admit([job(3)], stamped=True)
        await journal.release([job(1), job(3)])
        assert outcomes(tmp_path) == {"job-2": State.PENDING, "job-3": State.FAILED}


@pytest.mark.parametrize("text", [b"", b"\xff\0 no text", b"x" * 100_000])
async def test_a_text_is_kept_byte_for_byte_where_there_is_one(tmp_path: Path, text: bytes) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        await journal.commit(Changes([failed(replace(job(1), raw=text))]))
    async with opened(tmp_path) as journal:
        found = await journal.kept_records(Outcome.FAILED, after=0, limit=9)
    assert [it.text for it in found] == [text] * bool(text)


async def test_a_page_of_texts_may_be_larger_than_what_sqlite_returns_at_once(tmp_path: Path) -> None:
    large = [replace(one, raw=bytes([65 + number]) * 7_000_000) for number, one in enumerate(jobs(6))]
    async with opened(tmp_path) as journal:
        await journal.admit(large, stamped=True)
        await journal.commit(Changes([failed(one) for one in large]))
    async with opened(tmp_path) as journal:
        found = await journal.kept_records(Outcome.FAILED, after=0, limit=500)
    assert [it.text for it in found] == [one.raw for one in large]


@pytest.mark.parametrize("ends", [created, partial])
async def test_no_text_stays_in_the_file_once_the_run_exists(tmp_path: Path, ends: Callable[[Job], Result]) -> None:
    for result in (failed(job(1)), unresolved(job(1)), ends(job(1))):
        async with opened(tmp_path) as journal:
            await journal.admit([job(1)], stamped=True)
            await journal.commit(Changes([result]))
            with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
                (count,) = connection.execute("SELECT count(*) FROM kept_record").fetchone()
        assert count == (result.outcome in (Outcome.FAILED, Outcome.UNRESOLVED))
