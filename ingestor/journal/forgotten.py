"""What the user gave up: jobs in the state 'forgotten', and rejected records, which have no row of their own.

A forgotten job keeps its row, its token and its kept text. An undo restores `former_state`. A rejected
record is known by the digest of its text: with other content it is another record. If its `job_id` has a complete run,
the user has repaired it: it is done, and not given up.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from ingestor.journal.jobs import hash_of, insert, storable
from ingestor.model.record import Forgettable, State

FORGETTABLE = frozenset({State.PENDING, *(State(it) for it in Forgettable if it is not Forgettable.REJECTED)})
"""The states of jobs that can be forgotten: the others have a complete run, or are forgotten."""

_MINE = "batch = :batch AND state <> 'created'"  # in the words of the index of the jobs that are not created


_PORTION = 1000  # rejected records that are written at once


@dataclass(frozen=True, slots=True)
class ForgottenReject:
    """A rejected record that the user gives up.

    Attributes:
        source: the name of its source.
        digest: its identity (`policy.identity.reject_digest`).
        key: its `job_id`, if that can be read.
        is_whole_source: whether it stands for a source of another format.
    """

    source: str
    digest: bytes
    key: str | None = None
    is_whole_source: bool = False


def find_states(connection: sqlite3.Connection, batch: int, keys: Collection[str]) -> dict[str, State]:
    """Return the states of jobs, by key; a key without a job is left out."""
    rows = connection.execute(
        "SELECT key, state FROM job WHERE batch = ? AND key IN (SELECT value FROM json_each(?))",
        (batch, json.dumps(list(keys))),
    )
    return {key: State(state) for key, state in rows.fetchall()}


def forget_jobs(
    connection: sqlite3.Connection, batch: int, *, state: State | None = None, keys: Collection[str] = ()
) -> Counter[str]:
    """Forget the jobs in a state, or with these keys; return how many there were in each state."""
    which, values = _selection("state", state, keys)
    values |= {"batch": batch, "states": json.dumps(sorted(FORGETTABLE))}
    rows = f"{_MINE} AND {which} AND state IN (SELECT value FROM json_each(:states))"  # noqa: S608 - constants
    counts = _count(connection, "state", rows, values)
    connection.execute(f"UPDATE job SET former_state = state, state = 'forgotten' WHERE {rows}", values)  # noqa: S608 - constants
    return counts


def recall_jobs(
    connection: sqlite3.Connection, batch: int, *, state: State | None = None, keys: Collection[str] = ()
) -> Counter[str]:
    """Undo `forget_jobs`, for the jobs that had a state, or have these keys; return how many had each state."""
    which, values = _selection("former_state", state, keys)
    values |= {"batch": batch}
    rows = f"{_MINE} AND {which} AND state = 'forgotten'"
    counts = _count(connection, "former_state", rows, values)
    connection.execute(f"UPDATE job SET state = former_state, former_state = NULL WHERE {rows}", values)  # noqa: S608 - constants
    return counts


def find_rejects(connection: sqlite3.Connection, batch: int) -> frozenset[bytes]:
    """Return the digests of the rejected records that are forgotten."""
    rows = connection.execute("SELECT digest FROM forgotten_reject WHERE batch = ?", (batch,))
    return frozenset(digest for (digest,) in rows.fetchall())


def find_repaired(connection: sqlite3.Connection, batch: int) -> frozenset[bytes]:
    """Return the digests of those whose job has a complete run. The index of keys is open (see jobs.py)."""
    rows = connection.execute(
        """
        WITH wanted AS (SELECT digest, hash FROM forgotten_reject WHERE batch = ?1)
        SELECT found.digest FROM (
            SELECT wanted.digest, key_index.job FROM wanted CROSS JOIN key_index ON key_index.hash = wanted.hash
            UNION ALL
            SELECT wanted.digest, recent.job FROM wanted CROSS JOIN temp.recent AS recent ON recent.hash = wanted.hash
        ) AS found CROSS JOIN job ON job.id = found.job
        WHERE job.batch = ?1 AND job.state IN ('created', 'partial')
        """,
        (batch,),
    )
    return frozenset(digest for (digest,) in rows.fetchall())


def count_rejects(connection: sqlite3.Connection, batch: int) -> int:
    """Return how many rejected records are forgotten. Records with the same text count once."""
    return int(connection.execute("SELECT count(*) FROM forgotten_reject WHERE batch = ?", (batch,)).fetchone()[0])


def forget_rejects(connection: sqlite3.Connection, batch: int, rejects: Iterable[ForgottenReject]) -> Counter[str]:
    """Forget rejected records; return how many are `new`, and how many were `known` or have the text of another.

    Their sources have that many unreported rejects less (see `app.resume`), and one of another format is done.
    """
    before, given, per_source, whole = count_rejects(connection, batch), 0, Counter[str](), set[str]()
    waiting = iter(rejects)
    while portion := list(islice(waiting, _PORTION)):
        rows = [(batch, it.digest, None if it.key is None else hash_of(batch, it.key)) for it in portion]
        insert(connection, "INSERT OR IGNORE INTO forgotten_reject", rows)
        given += len(portion)
        per_source.update(it.source for it in portion)
        whole.update(it.source for it in portion if it.is_whole_source)
    sources = [(count, name in whole, batch, storable(name)) for name, count in per_source.items()]
    connection.executemany(
        "UPDATE source SET forgotten = min(rejected, ?), ended = iif(? AND ended = 'damaged', 'complete', ended) "
        "WHERE batch = ? AND name = ?",
        sources,
    )
    new = count_rejects(connection, batch) - before
    return Counter(new=new, known=given - new)


def recall_rejects(connection: sqlite3.Connection, batch: int) -> int:
    """Undo `forget_rejects` for all records of the batch; return how many there were."""
    count = count_rejects(connection, batch)
    connection.execute("DELETE FROM forgotten_reject WHERE batch = ?", (batch,))
    connection.execute("UPDATE source SET forgotten = 0 WHERE batch = ?", (batch,))
    return count


def _selection(column: str, state: State | None, keys: Collection[str]) -> tuple[str, dict[str, object]]:
    if state is not None:
        return f"{column} = :state", {"state": state}
    return "key IN (SELECT value FROM json_each(:keys))", {"keys": json.dumps(list(keys))}


def _count(connection: sqlite3.Connection, column: str, rows: str, values: dict[str, object]) -> Counter[str]:
    found = connection.execute(f"SELECT {column}, count(*) FROM job WHERE {rows} GROUP BY 1", values)  # noqa: S608 - constants
    return Counter(dict(found.fetchall()))
