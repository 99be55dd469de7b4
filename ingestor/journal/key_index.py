"""Where the row of a key is: an index that costs the same for the first row and the ten millionth.

Keys come in no order, so that in a large index each new one lies on a page of its own, which has to be read, logged
and written back for it. Therefore new entries gather in memory first, and thousands of them are merged into the table
`known` at once, in its order. `indexed` says up to which row that was done; the rows after it are read again when the
journal is opened. An entry is the hash of a key and the number of a row; whether the row is that of the key, the row
itself says.
"""

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b

from ingestor.journal.values import chunks, flat, present

MERGE_AFTER = 32_768
"""Entries that gather in memory, in less than 1 MiB."""

FIND = """
    SELECT asked.*, known.job FROM asked CROSS JOIN known ON known.hash = asked.hash
    UNION ALL
    SELECT asked.*, recent.job FROM asked CROSS JOIN temp.recent AS recent ON recent.hash = asked.hash
"""
"""Joins the rows of `asked`, which have a `hash`, with the numbers of the rows that may be meant."""

_RECENT = "CREATE TEMP TABLE recent (hash INTEGER, job INTEGER, PRIMARY KEY (hash, job)) WITHOUT ROWID"
_PAST = "SELECT id, batch, key FROM job WHERE id > ? ORDER BY id LIMIT 1000"
_MERGE = "INSERT OR IGNORE INTO known SELECT hash, job FROM temp.recent ORDER BY hash, job"  # IGNORE: needs no undo log


def hash_of(batch: int, key: str) -> int:
    """Return what a key of a batch is found by: 64 bits that nobody can make equal for many keys."""
    return int.from_bytes(blake2b(b"%d\0%b" % (batch, key.encode()), digest_size=8).digest(), signed=True)


class KeyIndex:
    """The index of one journal, on its writer's connection and inside its transactions."""

    def __init__(self, merge_after: int = MERGE_AFTER) -> None:
        self._merge_after = merge_after
        self._recent = 0
        self._last = 0

    def open(self, connection: sqlite3.Connection) -> int:
        """Take up what is not merged yet; return the number after those of all rows there were. Comes first."""
        connection.execute(_RECENT)
        (self._last,) = connection.execute("SELECT last FROM indexed").fetchone()
        while rows := connection.execute(_PAST, (self._last,)).fetchall():
            self.add(connection, [(hash_of(batch, key), number) for number, batch, key in rows])
        return self._last + 1

    def add(self, connection: sqlite3.Connection, entries: Sequence[tuple[int, int]]) -> None:
        """Note the rows (hash, number) that were just written; numbers grow."""
        for chunk in chunks(entries):
            connection.execute(f"INSERT INTO temp.recent {present(chunk)}", flat(chunk))
        if entries:
            self._recent += len(entries)
            self._last = entries[-1][1]
        if self._recent >= self._merge_after:
            self._merge(connection)

    def _merge(self, connection: sqlite3.Connection) -> None:
        connection.execute(_MERGE)
        connection.execute("DELETE FROM temp.recent")
        connection.execute("UPDATE indexed SET last = ?", (self._last,))
        self._recent = 0
