"""A journal of version 9, as the program of that version left it, is read as it is and brought up to date.

data/v9.sql is the dump of such a file. Its batch `default` has six runs of done.jsonl and three of mixed.jsonl, a
failed record that is forgotten, two unresolved ones, and killed.jsonl, whose process was killed: ten records and two
failed ones in flight. A rejected record is forgotten. Its batch `other` has six runs.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.database import open_owned
from ingestor.journal.failures import failures, find_job
from ingestor.journal.reader import known_batches, known_sources, results, status
from ingestor.model.admission import AdmissionStatus
from ingestor.model.history import Memory, Point
from ingestor.model.record import State
from ingestor.policy.identity import Scope
from tests.journal.support import HOUR, ManualClock, opened
from tests.journal.test_migration import DUMP as DUMP_OF_7
from tests.journal.test_migration import tables, version
from tests.journal.test_migration_from_8 import DUMP as DUMP_OF_8
from tests.support.records import SCOPE, job

DUMP = Path(__file__).parent / "data" / "v9.sql"
KILLED_AT = 1795832811.555
DEFAULT = Scope("ocid1.aidataplatform.oc1.simulated.example", "simulated", "default")


def dumped(folder: Path, dump: Path) -> Path:
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        connection.executescript(dump.read_text())
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory of version 9."""
    return dumped(tmp_path, DUMP)


def read_everything(state: Path) -> list[object]:
    """Return what all readers find."""
    found: list[object] = [status(state, now=KILLED_AT + HOUR), list(results(state))]
    for known in known_batches(state):
        found += [known_sources(state, known.scope), failures(state, known.scope)]
        found += [find_job(state, known.scope, f"job-{number}") for number in range(30)]
    return found


def test_a_migrated_journal_has_the_tables_of_a_new_one(state: Path, tmp_path: Path) -> None:
    assert version(state) == 9
    with closing(open_owned(state / "journal.db")) as migrated, closing(open_owned(tmp_path / "new.db")) as made:
        assert tables(migrated) == tables(made)
        assert schema.version(migrated) == schema.VERSION


@pytest.mark.parametrize("dump", [DUMP_OF_7, DUMP_OF_8, DUMP], ids=["7", "8", "9"])
def test_every_reader_finds_the_same_before_and_after_the_migration_and_changes_nothing(
    tmp_path: Path, dump: Path
) -> None:
    state = dumped(tmp_path, dump)
    before = (state / "journal.db").read_bytes()
    found = read_everything(state)
    assert (state / "journal.db").read_bytes() == before
    open_owned(state / "journal.db").close()
    assert version(state) == schema.VERSION
    assert read_everything(state) == found


def test_readers_find_in_it_what_its_own_program_wrote(state: Path) -> None:
    default, other = status(state, now=KILLED_AT + HOUR).batches
    assert {state: count for state, count in default.counts.items() if count} == {
        State.PENDING: 12,
        State.CREATED: 9,
        State.UNRESOLVED: 2,
        State.FORGOTTEN: 1,
    }
    assert (default.forgotten_rejects, default.pruned, other.counts[State.CREATED]) == (1, {}, 6)
    (group,) = failures(state, DEFAULT).groups
    assert (group.count, group.state, group.http_status) == (2, State.UNRESOLVED, 500)
    found = find_job(state, DEFAULT, "job-3")
    assert found is not None
    assert (found.outcome, found.source, found.line) == (State.CREATED, "done.jsonl", 3)
    assert find_job(state, DEFAULT, "job-99") is None


async def test_it_remembers_from_now_on(state: Path) -> None:
    point = Point(step=1, start=1_700_000_000, seconds=1.0, accepted=5)
    async with opened(state, ManualClock(KILLED_AT + HOUR)) as journal:
        await journal.start_execution()
        assert await journal.memory() == Memory(points=[], pauses=[])
        await journal.remember(Memory(points=[point]))
        (found,) = await journal.admit([job(1)], stamped=True)
        assert found.status is AdmissionStatus.NEW, "the batch of another platform"
        assert (await journal.memory()).points == [point]
    assert SCOPE in [it.scope for it in known_batches(state)]
