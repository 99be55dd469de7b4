"""Which batches the journal knows, at which addresses, and whether their targets have runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.database import transaction
from ingestor.journal.forgotten import forget_jobs
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import known_batches, status
from ingestor.model.ports import Changes
from ingestor.model.record import Job, Result
from ingestor.policy.identity import Scope
from ingestor.policy.run_ids import REPEATED_RUN, WINDOW, repeated_run_message
from tests.journal.support import ManualClock, created, failed, opened, partial, unresolved
from tests.support.records import SCOPE, job

SERVER = Scope("http://old.example:5000", "", "default")


async def execute(path: Path, scope: Scope, ends: Sequence[Result], *, rehearsal: bool = False) -> bool:
    """Let one execution admit job 1 and end it so; return whether it found its target proven."""
    with StateDirectory.open(path) as state:
        async with SqliteJournal.open(state, scope, ManualClock()) as journal:
            await journal.start_execution(rehearsal=rehearsal)
            is_proven = await journal.has_created_in_target()
            await journal.admit([job(1)], stamped=True)
            await journal.commit(Changes(ends))
            return is_proven


@pytest.mark.parametrize("ends", [created(job(1)), partial(job(1))])
async def test_a_target_is_proven_by_a_run_of_any_of_its_batches(tmp_path: Path, ends: Result) -> None:
    assert not await execute(tmp_path, SCOPE, [])
    assert not await execute(tmp_path, SCOPE, [ends])
    assert await execute(tmp_path, SCOPE, [])
    assert await execute(tmp_path, replace(SCOPE, batch="other"), [])


@pytest.mark.parametrize("ends", [[], [failed(job(1))], [unresolved(job(1))]])
async def test_a_target_is_not_proven_by_records_without_a_run(tmp_path: Path, ends: list[Result]) -> None:
    await execute(tmp_path, SCOPE, ends)
    assert not await execute(tmp_path, SCOPE, ends)


async def test_a_target_is_not_proven_by_another_workspace_nor_by_a_rehearsal(tmp_path: Path) -> None:
    await execute(tmp_path, replace(SCOPE, workspace="other"), [created(job(1))])
    await execute(tmp_path, replace(SCOPE, batch="rehearsal"), [created(job(1))], rehearsal=True)
    assert not await execute(tmp_path, SCOPE, [])
    assert await execute(tmp_path, replace(SCOPE, batch="second rehearsal"), [], rehearsal=True)


def repeated(subject: Job, run_id: str) -> Result:
    result = replace(unresolved(subject), error_code=REPEATED_RUN, error_message=repeated_run_message(run_id))
    return replace(result, http_status=200)


async def test_the_last_runs_of_the_batch_are_known_oldest_first_each_with_its_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        subjects = [job(number) for number in range(1, WINDOW + 10)]
        await journal.admit(subjects, stamped=True)
        ends = [failed(it) if it.key == f"job-{WINDOW}" else created(it) for it in subjects]
        await journal.commit(Changes(ends))
        runs = await journal.recent_runs()
        wanted = [it for it in subjects[-WINDOW:] if it.key != f"job-{WINDOW}"]
        assert runs == [(f"run of {it.key}", it.token) for it in wanted]


async def test_the_runs_that_answers_to_other_records_named_are_known_without_a_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        subjects = [job(number) for number in range(1, 6)]
        await journal.admit(subjects, stamped=True)
        first, *others, last = subjects
        ends = [created(first), *(repeated(it, f"run of {first.key}") for it in others), repeated(last, "long ago")]
        await journal.commit(Changes(ends))
        assert await journal.recent_runs() == [(f"run of {first.key}", first.token), ("long ago", "")]


@pytest.mark.parametrize(
    ("ends", "may_have_runs"),
    [([], True), ([created(job(1))], True), ([unresolved(job(1))], True), ([failed(job(1))], False)],
)
async def test_a_batch_may_have_runs_unless_all_its_records_failed(
    tmp_path: Path, ends: list[Result], may_have_runs: bool
) -> None:
    await execute(tmp_path, SERVER, ends)
    assert [it.may_have_runs for it in known_batches(tmp_path)] == [may_have_runs]
    with transaction(tmp_path / "journal.db") as connection:
        forget_jobs(connection, 1, keys=["job-1"])
    assert [it.may_have_runs for it in known_batches(tmp_path)] == [may_have_runs]


async def test_a_batch_without_records_has_no_runs(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    assert [it.may_have_runs for it in known_batches(tmp_path)] == [False]


async def test_a_batch_keeps_the_addresses_of_its_server(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        async with SqliteJournal.open(state, SERVER, ManualClock()) as journal:
            for address in ("http://new.example", "https://old.example:5000", "http://new.example"):
                await journal.keep_address(address)
    (known,) = known_batches(tmp_path)
    assert known.addresses == ("http://new.example", "https://old.example:5000")
    assert all(map(known.is_at, (SERVER.platform, *known.addresses)))
    assert not known.is_at("http://new.example:1")
    (batch,) = status(tmp_path, now=0).batches
    assert batch.addresses == known.addresses
