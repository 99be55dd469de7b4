"""Counting records by source and by experiment: there may be as many of these as records.

The counts are in a private SQLite database, which moves to a temporary file when it is large. The file has no name, and
is gone when the tally is closed, or the process is killed.
"""

import sqlite3
from collections import Counter

from ingestor.model.account import CountRow, CountTable
from ingestor.model.record import Outcome, State

_MOST_IN_MEMORY = 20_000
_TROUBLE = (State.FAILED, State.UNRESOLVED, State.PARTIAL, State.PENDING, Outcome.REJECTED)

_TABLE = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -16384;
    CREATE TABLE tally (
        kind TEXT, name TEXT, outcome TEXT, count INTEGER,
        PRIMARY KEY (kind, name, outcome)
    ) WITHOUT ROWID;
"""
_ADD = """
    INSERT INTO tally VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, name, outcome) DO UPDATE SET count = count + excluded.count
"""


class Tally:
    """Counts by kind ("source", "experiment"), name and outcome. Close it at the end."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.executescript(_TABLE)
        self._recent: Counter[tuple[str, str, str]] = Counter()

    def add(self, kind: str, name: str, outcome: str, count: int = 1) -> None:
        """Count records."""
        self._recent[kind, name, outcome] += count
        if len(self._recent) >= _MOST_IN_MEMORY:
            self._write()

    def table(self, kind: str, limit: int) -> CountTable:
        """Return the first names of a kind, at most `limit`, and what the others have together."""
        self._write()
        trouble = ",".join("?" * len(_TROUBLE))
        names = self._connection.execute(
            f"SELECT name FROM tally WHERE kind = ? GROUP BY name ORDER BY sum(count * (outcome IN ({trouble}))) DESC, "  # noqa: S608 - placeholders
            "sum(count) DESC, name LIMIT ?",
            (kind, *_TROUBLE, limit),
        )
        rows = [self._row(kind, name) for (name,) in names.fetchall()]
        (known,) = self._connection.execute("SELECT count(DISTINCT name) FROM tally WHERE kind = ?", (kind,)).fetchone()
        total = Counter(dict(self._counts("kind = ?", kind)))
        for row in rows:
            total.subtract(row.counts)
        rest = {outcome: count for outcome, count in total.items() if count}
        return CountTable(rows=rows, others=known - len(rows), other_counts=rest)

    def close(self) -> None:
        """Drop all counts."""
        self._connection.close()

    def _row(self, kind: str, name: str) -> CountRow:
        return CountRow(name, dict(self._counts("kind = ? AND name = ?", kind, name)))

    def _counts(self, which: str, *values: str) -> list[tuple[str, int]]:
        found = self._connection.execute(
            f"SELECT outcome, sum(count) FROM tally WHERE {which} GROUP BY outcome",  # noqa: S608 - a constant
            values,
        )
        return found.fetchall()

    def _write(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(_ADD, [(*which, count) for which, count in self._recent.items()])
        self._connection.execute("COMMIT")
        self._recent.clear()
