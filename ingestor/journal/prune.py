"""Deleting the rows of finished jobs. The totals of what is deleted stay, so that a batch still adds up.

A row is deleted if its run is complete (created or partial), it ended long enough ago, the log has its outcome, and no
text of it is kept. Jobs that are pending, unresolved, failed or forgotten stay at any age. With the row goes what
prevents a second run: a record that is read again is new, and is created again.

Rows are deleted in transactions of bounded size. A process that is killed has deleted the rows of the earlier ones.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.journal.executions import last_time
from ingestor.journal.jobs import hash_of
from ingestor.model.admission import JournalTime
from ingestor.model.record import State
from ingestor.policy.expiry import resumed

FINISHED = (State.CREATED, State.PARTIAL)
"""The states of jobs whose rows may be deleted."""

_PORTION = 5000  # rows that one transaction looks at
_PAGES = 1000  # of the file, that one transaction gives back


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a job that may be deleted."""

    number: int
    batch: int
    key: str
    state: State
    source: str


@dataclass(frozen=True, slots=True)
class Portion:
    """The rows up to `last` that may be deleted; `looked_at` counts all of them. None were left if that is 0."""

    last: int
    looked_at: int
    rows: Sequence[Row]


def cutoff(connection: sqlite3.Connection, *, now: float, age: float) -> float:
    """Return the time of the journal `age` seconds before the wall clock's time `now`."""
    last = last_time(connection)
    return (JournalTime(now, now) if last is None else resumed(last, now)).time - age


def find_portion(connection: sqlite3.Connection, batch: int | None, *, after: int, before: float) -> Portion:
    """Return the next rows after the row `after`, of one batch or of all, of jobs that ended before a time."""
    last, looked_at = connection.execute(
        "SELECT coalesce(max(id), 0), count(*) FROM (SELECT id FROM job WHERE id > ? ORDER BY id LIMIT ?)",
        (after, _PORTION),
    ).fetchone()
    rows = connection.execute(
        """
        SELECT id, batch, key, state, source FROM job
        WHERE id > ?1 AND id <= ?2 AND state IN ('created', 'partial') AND updated_at < ?3
            AND (?4 IS NULL OR batch = ?4)
            AND id NOT IN (SELECT job FROM outbox) AND id NOT IN (SELECT job FROM kept_record)
        ORDER BY id
        """,
        (after, last, before, batch),
    )
    found = [Row(number, batch_, key, State(state), source) for number, batch_, key, state, source in rows.fetchall()]
    return Portion(last, looked_at, found)


def delete_rows(connection: sqlite3.Connection, rows: Sequence[Row], *, before: float) -> None:
    """Delete rows and their entries in the index of keys, and add them to the totals; in one transaction."""
    numbers = json.dumps([row.number for row in rows])
    entries = json.dumps(sorted((hash_of(row.batch, row.key), row.number) for row in rows))
    totals = Counter((row.batch, row.state) for row in rows)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM job WHERE id IN (SELECT value FROM json_each(?))", (numbers,))
    connection.execute(
        "DELETE FROM key_index WHERE (hash, job) IN "
        "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))",
        (entries,),
    )
    connection.executemany(
        """
        INSERT INTO pruned (batch, state, count, up_to) VALUES (?, ?, ?, ?) ON CONFLICT (batch, state)
        DO UPDATE SET count = count + excluded.count, up_to = max(up_to, excluded.up_to)
        """,
        [(*which, count, before) for which, count in totals.items()],
    )
    connection.execute("COMMIT")


def forget_history(connection: sqlite3.Connection, batch: int | None, *, before: float) -> None:
    """Delete what is remembered of executions that ended before a time; the last one of a batch stays."""
    mine = "(?2 IS NULL OR batch = ?2)"
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DELETE FROM history WHERE start < ?1 AND {mine}", (before, batch))  # noqa: S608 - a constant
    connection.execute(f"DELETE FROM pause WHERE ended_at < ?1 AND {mine}", (before, batch))  # noqa: S608 - as above
    connection.execute(
        f"""
        DELETE FROM execution WHERE started_at < ?1 AND {mine} AND id NOT IN (SELECT execution FROM source)
            AND id NOT IN (SELECT max(id) FROM execution WHERE started_at IS NOT NULL GROUP BY batch)
            AND id < (SELECT max(id) FROM execution)
        """,  # noqa: S608 - as above
        (before, batch),
    )
    connection.execute("COMMIT")


def give_back(connection: sqlite3.Connection) -> bool:
    """Give a part of the free space in the file back to the disk; return whether there is more of it.

    Only files that this version created can do that. In others the space stays, and later rows use it.
    """
    if connection.execute("PRAGMA auto_vacuum").fetchone() != (2,):  # incremental
        return False
    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` would give back one page
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0])


def free_bytes(connection: sqlite3.Connection) -> int:
    """Return how much space in the file is free for later rows."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
    return int(pages) * int(size)
