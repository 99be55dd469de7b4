"""A journal of version 8, as the program of that version left it, is read as it is and brought up to date.

data/v8.sql is the dump of such a file. Its batch `default` has eight runs of done.jsonl and mixed.jsonl, two failed
records that were being sent again, and two unresolved ones, all four with their texts; and killed.jsonl, whose process
was killed. Its batch `other` has a failed record and a run; `stopped` has eight runs of a file that was not finished.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.database import open_owned, transaction
from ingestor.journal.forgotten import ForgottenReject, forget_jobs, forget_rejects, recall_jobs
from ingestor.journal.reader import (
    has_kept_records,
    is_rehearsal,
    known_sources,
    results,
    sources_of_unresolved,
    status,
)
from ingestor.model.admission import AdmissionStatus
from ingestor.model.record import State
from ingestor.model.sources import Checkpoint, Source
from ingestor.policy.identity import reject_digest
from tests.journal.support import HOUR, ManualClock, opened
from tests.journal.test_migration import tables, version
from tests.support.records import SCOPE, job

DUMP = Path(__file__).parent / "data" / "v8.sql"
KILLED_AT = 1795808514.5
SCOPES = [SCOPE, replace(SCOPE, batch="other"), replace(SCOPE, batch="stopped"), replace(SCOPE, batch="unknown")]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory of version 8."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(DUMP.read_text())
    return tmp_path


def read_everything(state: Path) -> list[object]:
    """Return what all readers find."""
    found: list[object] = [status(state, now=KILLED_AT + HOUR), list(results(state))]
    for scope in SCOPES:
        found += [known_sources(state, scope), sources_of_unresolved(state, scope), is_rehearsal(state, scope)]
        found += [has_kept_records(state, scope, now=KILLED_AT)]
    return found


def test_a_migrated_journal_has_the_tables_of_a_new_one(state: Path, tmp_path: Path) -> None:
    assert version(state) == 8
    new = tmp_path / "new.db"
    with closing(open_owned(state / "journal.db")) as migrated, closing(open_owned(new)) as made:
        assert tables(migrated) == tables(made)
        assert schema.version(migrated) == schema.VERSION


def test_readers_find_the_same_before_and_after_the_migration_and_change_nothing(state: Path) -> None:
    before = (state / "journal.db").read_bytes()
    found = read_everything(state)
    assert (state / "journal.db").read_bytes() == before
    open_owned(state / "journal.db").close()
    assert version(state) == schema.VERSION
    assert read_everything(state) == found


def test_readers_find_in_it_what_its_own_program_wrote(state: Path) -> None:
    default, other, stopped = status(state, now=KILLED_AT + HOUR).batches
    assert {state: count for state, count in default.counts.items() if count} == {
        State.PENDING: 22,
        State.CREATED: 8,
        State.UNRESOLVED: 2,
    }
    assert (other.counts[State.CREATED], other.counts[State.FAILED]) == (1, 1)
    assert stopped.last_execution is not None
    assert (stopped.last_execution.exit_code, stopped.last_execution.left) == (75, 21)
    assert Counter(row.outcome for row in results(state, batch="default")) == Counter(default.counts)
    assert known_sources(state, SCOPE) == [Checkpoint(Source("killed.jsonl", "/history/killed.jsonl"))]
    assert [has_kept_records(state, scope, now=KILLED_AT) for scope in SCOPES] == [True, True, False, False]


async def test_its_jobs_are_admitted_as_what_they_were(state: Path) -> None:
    offered = [*map(job, (1, 12)), job(15, experiment_id="404"), job(17, name="poisoned"), job(21), job(99)]
    async with opened(state, ManualClock(KILLED_AT + HOUR)) as journal:
        found = await journal.admit(offered, stamped=True)
        assert await journal.forgotten_rejects() == frozenset()
        assert await journal.has_created_in_target() is True
    assert [it.status for it in found] == [AdmissionStatus.DONE] * 2 + [AdmissionStatus.RESEND] * 3 + [
        AdmissionStatus.NEW
    ]
    assert [it.may_exist for it in found] == [False, False, True, True, True, False]


async def test_its_records_can_be_forgotten(state: Path) -> None:
    digest = reject_digest('{"wrong": 1}')
    with transaction(state / "journal.db") as connection:
        assert forget_jobs(connection, 2, state=State.FAILED) == {State.FAILED: 1}
        assert forget_rejects(connection, 3, [ForgottenReject("stopped.jsonl", digest)])["new"] == 1
        assert forget_jobs(connection, 1, state=State.UNRESOLVED) == {State.UNRESOLVED: 2}
    async with opened(state, ManualClock(KILLED_AT + HOUR)) as journal:
        (found,) = await journal.admit([job(17, name="poisoned")], stamped=True)
    assert found.status is AdmissionStatus.FORGOTTEN
    with transaction(state / "journal.db") as connection:
        assert recall_jobs(connection, 1, keys=["job-17"]) == {State.UNRESOLVED: 1}
