"""A journal of version 7, as the program of that version left it, is read as it is and brought up to date.

data/v7.sql is the dump of such a file. Its batch `default` has six runs of done.jsonl; of mixed.jsonl four runs, two
failed and two unresolved records; and killed.jsonl, whose process was killed: eight runs, and twelve records in flight.
Its batch `other` has a failed record and a run; `piped` has three runs of a pipe that was stopped.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.database import open_owned
from ingestor.journal.jobs import hash_of
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import (
    batches_of_target,
    has_kept_records,
    is_rehearsal,
    known_sources,
    results,
    sources_of_unresolved,
    status,
)
from ingestor.model.admission import AdmissionStatus
from ingestor.model.errors import ExitCode, JournalError
from ingestor.model.ports import Changes
from ingestor.model.record import State
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from ingestor.policy.identity import retry_token
from tests.journal.support import HOUR, ManualClock, created, failed, opened
from tests.support.records import SCOPE, job

DUMP = Path(__file__).parent / "data" / "v7.sql"
KILLED_AT = 1795796702.3769066
OTHER, PIPED = replace(SCOPE, batch="other"), replace(SCOPE, batch="piped")
SOURCES = {
    SCOPE: [
        Checkpoint(Source("mixed.jsonl", "/history/mixed.jsonl")),
        Checkpoint(Source("killed.jsonl", "/history/killed.jsonl")),
    ],
    OTHER: [Checkpoint(Source("refused.jsonl", "/history/refused.jsonl"), end=SourceEnd.COMPLETE)],
    PIPED: [Checkpoint(Source("-", None))],
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory of version 7."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(DUMP.read_text())
    return tmp_path


def change(state: Path, *statements: str) -> None:
    with closing(sqlite3.connect(state / "journal.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def version(state: Path) -> int:
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        return schema.version(connection)


def tables(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns of each table, and of each index of it, in a form that compares."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    shapes = {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}
    for name in names:
        for _, index, *kind in connection.execute(f"PRAGMA index_list({name})").fetchall():
            shapes[index] = [tuple(kind), *connection.execute(f"PRAGMA index_xinfo({index})").fetchall()]
    return shapes


def test_a_migrated_journal_has_the_tables_of_a_new_one(state: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with closing(open_owned(state / "journal.db")) as migrated, closing(open_owned(new)) as made:
        assert tables(migrated) == tables(made)
        assert schema.version(migrated) == schema.version(made) == schema.VERSION
        assert schema.application(migrated) == schema.APPLICATION_ID


def read_everything(state: Path) -> dict[str, object]:
    """Return what all readers find."""
    found: dict[str, object] = {"status": status(state, now=KILLED_AT + HOUR), "results": list(results(state))}
    found["batches"] = batches_of_target(state, platform=SCOPE.platform, workspace=SCOPE.workspace)
    for scope in (*SOURCES, replace(SCOPE, batch="unknown")):
        found[scope.batch] = (
            known_sources(state, scope),
            sources_of_unresolved(state, scope),
            is_rehearsal(state, scope),
            has_kept_records(state, scope, now=KILLED_AT),
        )
    return found


async def test_readers_find_the_same_before_and_after_the_migration_and_change_nothing(state: Path) -> None:
    before = (state / "journal.db").read_bytes()
    found = read_everything(state)
    assert (state / "journal.db").read_bytes() == before
    open_owned(state / "journal.db").close()
    assert version(state) == schema.VERSION
    assert read_everything(state) == found


def test_readers_find_in_it_what_its_own_program_wrote(state: Path) -> None:
    default, other, _ = status(state, now=KILLED_AT + HOUR).batches
    assert default.counts == {"pending": 12, "created": 18, "partial": 0, "failed": 2, "unresolved": 2, "forgotten": 0}
    assert (other.counts[State.CREATED], other.counts[State.FAILED]) == (1, 1)
    assert default.oldest is not None
    assert default.oldest.job_id == "job-17"
    assert default.last_execution is not None
    assert (default.last_execution.ended_at, default.last_execution.counts) == (None, None)
    assert other.last_execution is not None
    assert (other.last_execution.exit_code, other.last_execution.already_done) == (ExitCode.INCOMPLETE, 0)
    assert Counter(row.outcome for row in results(state, batch="default")) == Counter(default.counts)
    assert {scope: known_sources(state, scope) for scope in SOURCES} == SOURCES
    assert sources_of_unresolved(state, SCOPE) == ["mixed.jsonl", "killed.jsonl"]
    assert sources_of_unresolved(state, OTHER) == []
    assert is_rehearsal(state, SCOPE) is True


@pytest.mark.parametrize("merged", [0, 10, 99], ids=["no entry merged", "some merged", "all merged"])
async def test_its_jobs_are_admitted_as_what_they_were(state: Path, merged: int) -> None:
    with closing(sqlite3.connect(state / "journal.db", isolation_level=None)) as connection:
        rows = connection.execute("SELECT id, batch, key FROM job WHERE id <= ?", (merged,)).fetchall()
        connection.executemany("INSERT INTO known VALUES (?, ?)", [(hash_of(it[1], it[2]), it[0]) for it in rows])
        connection.execute("UPDATE indexed SET last = (SELECT coalesce(max(id), 0) FROM job WHERE id <= ?)", (merged,))
    numbers = [*range(1, 7), *range(11, 19), *range(21, 42)]
    experiments = {15: "404", 16: "404"}
    names = {17: "poisoned", 18: "poisoned"}
    offered = [job(it, experiment_id=experiments.get(it, "1"), name=names.get(it)) for it in numbers]
    async with opened(state, ManualClock(KILLED_AT + HOUR)) as journal:
        found = dict(zip(numbers, await journal.admit(offered, stamped=True), strict=True))
    done = [it for it in numbers if found[it].status is AdmissionStatus.DONE]
    assert done == [*range(1, 7), *range(11, 15), *range(21, 29)]
    assert all(found[it].run_id and not found[it].done_in_this_execution for it in done)
    assert [found[it].may_exist for it in (15, 16, 17, 18, 29, 40)] == [False, False, True, True, True, True]
    assert {found[it].status for it in (15, 16, 17, 18, *range(29, 41))} == {AdmissionStatus.RESEND}
    assert found[41].status is AdmissionStatus.NEW


async def test_its_time_continues(state: Path) -> None:
    clock = ManualClock(KILLED_AT - 10 * HOUR)
    async with opened(state, clock) as journal:
        (admission,) = await journal.admit([job(30)], stamped=True)
        assert clock.now().trusted_since > KILLED_AT
    assert admission.status is AdmissionStatus.EXPIRED


async def test_its_outbox_is_read_and_numbers_continue(state: Path) -> None:
    change(state, "DELETE FROM untold WHERE number < 4")
    async with opened(state, ManualClock(KILLED_AT)) as journal:
        noted = await journal.unacknowledged()
        assert [(number, it.job.key) for number, it in noted] == [(it, f"job-{20 + it}") for it in range(4, 9)]
        assert all(it.run_id and it.latency_ms and it.opc_client_request_id for _, it in noted)
        await journal.admit([job(29)], stamped=True)
        assert await journal.commit(Changes([created(job(29))])) == 9
        journal.acknowledge(9)
        assert await journal.commit(Changes()) == 9
        assert await journal.unacknowledged() == []


async def test_what_it_left_is_finished_and_forgotten(state: Path) -> None:
    clock = ManualClock(KILLED_AT + HOUR)
    async with opened(state, clock) as journal:
        assert await journal.checkpoints() == SOURCES[SCOPE]
        await journal.start_execution(rehearsal=True, checkpoints=SOURCES[SCOPE])
        assert await journal.count_unsettled() == 14
        left = [job(17, name="poisoned"), job(18, name="poisoned"), *map(job, range(29, 41))]
        await journal.admit(left, stamped=True)
        ends = [replace(it, end=SourceEnd.COMPLETE) for it in SOURCES[SCOPE]]
        await journal.commit(Changes([failed(left[0]), *map(created, left[1:])], checkpoints=ends))
        await journal.finish_execution({"created": 13}, already_done=18, left=0, exit_code=ExitCode.INCOMPLETE)
    assert known_sources(state, SCOPE) == []
    assert known_sources(state, PIPED) == SOURCES[PIPED], "another batch"
    assert has_kept_records(state, SCOPE, now=clock.time)
    batch = status(state, now=clock.time).batches[0]
    assert batch.scope == SCOPE
    assert batch.counts == {"pending": 0, "created": 31, "partial": 0, "failed": 3, "unresolved": 0, "forgotten": 0}
    async with opened(state, clock) as journal:
        again = await journal.admit(left[1:], stamped=True)
        assert {it.status for it in again} == {AdmissionStatus.DONE}


async def test_other_batches_of_it_work_too(state: Path) -> None:
    with StateDirectory.open(state) as directory:
        async with SqliteJournal.open(directory, PIPED, ManualClock(KILLED_AT)) as journal:
            (admission,) = await journal.admit([job(61)], stamped=True)
            assert await journal.commit(Changes()) == 0
    assert admission.status is AdmissionStatus.DONE
    assert admission.job.token == retry_token(PIPED, "job-61"), "the row's token is the one that counts"


def test_a_source_is_complete_where_the_last_execution_ended_and_none_of_its_jobs_is_unfinished(state: Path) -> None:
    change(
        state,
        "UPDATE pass SET exit_code = 0 WHERE id = 5",
        "UPDATE job SET state = 'created' WHERE state = 'pending'",
        "UPDATE job SET state = 'failed', error_code = 'NotCreated' WHERE state = 'unresolved'",
        "INSERT INTO input (batch, path, source, pass) VALUES (1, x'', '-', 2), (1, x'', 'mixed.jsonl', 2)",
    )
    expected = [
        Checkpoint(Source("mixed.jsonl", "/history/mixed.jsonl")),
        Checkpoint(Source("killed.jsonl", "/history/killed.jsonl"), end=SourceEnd.COMPLETE),
        Checkpoint(Source("-", None), end=SourceEnd.COMPLETE),
        Checkpoint(Source("mixed.jsonl", None)),
    ]
    assert known_sources(state, SCOPE) == expected
    open_owned(state / "journal.db").close()
    assert known_sources(state, SCOPE) == expected


def test_a_path_with_several_names_is_one_source_and_complete_where_it_is_under_each(state: Path) -> None:
    change(
        state,
        "UPDATE pass SET exit_code = 0 WHERE id = 5",
        "INSERT INTO input SELECT id + 4, batch, path, './' || source, 5 FROM input WHERE batch = 1",
    )
    expected = [
        Checkpoint(Source("./mixed.jsonl", "/history/mixed.jsonl")),
        Checkpoint(Source("./killed.jsonl", "/history/killed.jsonl")),
    ]
    assert known_sources(state, SCOPE) == expected
    open_owned(state / "journal.db").close()
    assert known_sources(state, SCOPE) == expected


async def test_a_file_that_is_known_by_its_name_alone_is_known_by_its_path_once_it_is_read(state: Path) -> None:
    change(state, "UPDATE input SET path = CAST(source AS BLOB) WHERE batch = 1")  # as before version 7
    async with opened(state, ManualClock(KILLED_AT)) as journal:
        await journal.start_execution(checkpoints=[SOURCES[SCOPE][0]])
        unread = Checkpoint(Source("killed.jsonl", "killed.jsonl"))
        assert await journal.checkpoints() == [unread, SOURCES[SCOPE][0]]


def test_a_migration_that_fails_leaves_the_file_as_it_was(state: Path) -> None:
    change(state, "CREATE TABLE kept_record (note)")
    before = read_rows(state)
    with pytest.raises(JournalError, match="already exists"):
        open_owned(state / "journal.db")
    assert read_rows(state) == before
    change(state, "DROP TABLE kept_record")
    open_owned(state / "journal.db").close()
    assert version(state) == schema.VERSION


def read_rows(state: Path) -> list[str]:
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        return [f"PRAGMA user_version = {schema.version(connection)}", *connection.iterdump()]
