"""What the user gives up stays in the journal, so that it can be taken back to the last bit."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.database import transaction
from ingestor.journal.forgotten import (
    ForgottenReject,
    find_states,
    forget_jobs,
    forget_rejects,
    recall_jobs,
    recall_rejects,
)
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import (
    has_kept_records,
    known_sources,
    results,
    sources_of_unresolved,
    status,
)
from ingestor.model.errors import JournalError
from ingestor.model.ports import Changes
from ingestor.model.record import State
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from ingestor.policy.identity import reject_digest
from tests.journal.support import ManualClock, created, failed, opened, partial, unresolved
from tests.support.records import SCOPE, job, jobs

FILE, OTHER = Source("runs.jsonl", "/d/runs.jsonl"), Source("more.jsonl", "/d/more.jsonl")
KEYS = [it.key for it in jobs(5)]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """The journal of a batch: a job in each state, in the order of `State`, and two sources with rejects."""
    checkpoints = [Checkpoint(FILE, "[1]", 2), Checkpoint(OTHER, "[2]", 1, SourceEnd.COMPLETE)]
    async with opened(tmp_path) as journal:
        await journal.start_execution(checkpoints=checkpoints)
        await journal.admit(jobs(5), stamped=True)
        ends = [created(job(2)), partial(job(3)), failed(job(4)), unresolved(job(5))]
        await journal.commit(Changes(ends, checkpoints=checkpoints))
    with StateDirectory.open(tmp_path) as state:
        async with SqliteJournal.open(state, replace(SCOPE, batch="other"), ManualClock()) as journal:
            await journal.admit(jobs(5), stamped=True)
            await journal.commit(Changes([failed(it) for it in jobs(5)]))
    return tmp_path / "journal.db"


def rejected(digest: bytes, source: str = "runs.jsonl", *, key: str | None = None) -> ForgottenReject:
    return ForgottenReject(source, digest, key)


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def states(path: Path) -> list[State]:
    return [row.outcome for row in results(path.parent, batch="default")]


@pytest.mark.parametrize("state", [State.FAILED, State.UNRESOLVED])
def test_all_jobs_of_a_state_are_forgotten_and_come_back_as_they_were(path: Path, state: State) -> None:
    before, known = dump(path), states(path)
    with transaction(path) as connection:
        assert forget_jobs(connection, 1, state=state) == {state: 1}
        assert forget_jobs(connection, 1, state=state) == {}
    assert states(path) == [State.FORGOTTEN if it is state else it for it in known]
    first, other = status(path.parent, now=0).batches
    assert (first.counts[State.FORGOTTEN], first.counts[state]) == (1, 0)
    assert other.counts[State.FORGOTTEN] == 0
    with transaction(path) as connection:
        assert recall_jobs(connection, 1, state=state) == {state: 1}
        assert recall_jobs(connection, 1, state=state) == {}
    assert dump(path) == before


def test_jobs_are_forgotten_by_their_keys_unless_their_runs_are_complete(path: Path) -> None:
    before = dump(path)
    with transaction(path) as connection:
        counts = forget_jobs(connection, 1, keys=[*KEYS, "unknown"])
        assert counts == {State.PENDING: 1, State.FAILED: 1, State.UNRESOLVED: 1}
        found = find_states(connection, 1, ["job-1", "job-2", "unknown"])
        assert found == {"job-1": State.FORGOTTEN, "job-2": State.CREATED}
        assert recall_jobs(connection, 1, keys=["job-1"]) == {State.PENDING: 1}
        assert recall_jobs(connection, 1, keys=KEYS) == {State.FAILED: 1, State.UNRESOLVED: 1}
    assert dump(path) == before


def test_nothing_of_a_forgotten_job_is_left_to_do(path: Path) -> None:
    state = path.parent
    assert has_kept_records(state, SCOPE, now=ManualClock().time)
    assert sources_of_unresolved(state, SCOPE) == ["runs.jsonl"]
    with transaction(path) as connection:
        forget_jobs(connection, 1, keys=KEYS)
    assert not has_kept_records(state, SCOPE, now=ManualClock().time)
    assert sources_of_unresolved(state, SCOPE) == []
    assert status(state, now=0).batches[0].oldest is None


def test_an_error_undoes_all_that_was_forgotten_with_it(path: Path) -> None:
    before = dump(path)

    def change() -> None:
        with transaction(path) as connection:
            assert forget_jobs(connection, 1, keys=KEYS)
            connection.execute("SELECT * FROM nowhere")

    with pytest.raises(JournalError, match="nowhere"):
        change()
    assert dump(path) == before


async def test_rejected_records_are_known_by_their_text_and_no_longer_unreported(path: Path) -> None:
    before = dump(path)
    first, second = (reject_digest(text) for text in ("one", "two"))
    with transaction(path) as connection:
        assert forget_rejects(connection, 1, [rejected(first), rejected(first), rejected(second, "-")])["new"] == 2
        assert forget_rejects(connection, 1, [rejected(second)]) == {"new": 0, "known": 1}
    assert [it.rejected for it in known_sources(path.parent, SCOPE)] == [1, 1]
    with transaction(path) as connection:
        assert forget_rejects(connection, 1, [rejected(first)] * 3 + [rejected(second, "more.jsonl")])["new"] == 0
    assert [it.rejected for it in known_sources(path.parent, SCOPE)] == [0, 0]
    assert [it.forgotten_rejects for it in status(path.parent, now=0).batches] == [2, 0]
    async with opened(path.parent) as journal:
        assert await journal.forgotten_rejects() == {first, second}
    with transaction(path) as connection:
        assert recall_rejects(connection, 1) == 2
        assert recall_rejects(connection, 1) == 0
    assert [it.rejected for it in known_sources(path.parent, SCOPE)] == [2, 1]
    assert [line for line in dump(path) if "forgotten_reject" in line or '"source"' in line] == [
        line for line in before if "forgotten_reject" in line or '"source"' in line
    ]


async def test_a_source_that_is_read_again_counts_its_rejects_anew(path: Path) -> None:
    with transaction(path) as connection:
        forget_rejects(connection, 1, [rejected(reject_digest("one"))] * 2)
    async with opened(path.parent) as journal:
        await journal.start_execution(checkpoints=[Checkpoint(FILE)])
        await journal.commit(Changes(checkpoints=[Checkpoint(FILE, "[9]", 1)]))
    assert [it.rejected for it in known_sources(path.parent, SCOPE)] == [1, 1]


async def test_a_rejected_record_counts_as_repaired_once_its_job_has_a_complete_run(path: Path) -> None:
    """The first job is pending, the second one is a run; the others have no row, and no key."""
    first, second, third, fourth = (reject_digest(text) for text in "1234")
    with transaction(path) as connection:
        known = [rejected(first, key="job-1"), rejected(second, key="job-2"), rejected(third, key="job-9")]
        forget_rejects(connection, 1, [*known, rejected(fourth)])
    async with opened(path.parent) as journal:
        assert await journal.repaired_rejects() == {second}
        await journal.commit(Changes([created(it.job) for it in await journal.admit([job(1)], stamped=True)]))
        assert await journal.repaired_rejects() == {first, second}
        assert await journal.forgotten_rejects() == {first, second, third, fourth}


def test_a_source_of_another_format_that_is_forgotten_is_no_longer_damaged(path: Path) -> None:
    with transaction(path) as connection:
        connection.execute("UPDATE source SET ended = 'damaged', rejected = 1")
        whole = ForgottenReject("more.jsonl", reject_digest("a,b", "more.jsonl"), is_whole_source=True)
        forget_rejects(connection, 1, [whole, rejected(reject_digest("{"))])
    ends = {it.source.name: (it.end, it.rejected) for it in known_sources(path.parent, SCOPE)}
    assert ends == {"runs.jsonl": (SourceEnd.DAMAGED, 0), "more.jsonl": (SourceEnd.COMPLETE, 0)}


def test_millions_of_rejected_records_are_forgotten_in_portions(path: Path) -> None:
    given: list[int] = []

    def many() -> Iterator[ForgottenReject]:
        for number in range(3000):
            given.append(number)
            yield rejected(reject_digest(str(number)))
            assert number < 2500 or has_written()

    with transaction(path) as connection:

        def has_written() -> bool:
            return bool(connection.execute("SELECT count(*) FROM forgotten_reject").fetchone()[0] >= 2000)

        assert forget_rejects(connection, 1, many()) == {"new": 3000, "known": 0}


def test_texts_with_other_content_or_half_a_surrogate_pair_are_other_records() -> None:
    texts = ['{"a": 1}', '{"a": 2}', "\ud83d", "\ude00", "😀"]
    assert len({reject_digest(text) for text in texts}) == len(texts)
