"""What passes were to read: until one has read it to its end and all of it is settled, `resume` reads it again."""

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.journal.values import storable
from ingestor.model.errors import ExitCode
from ingestor.model.source import Source

SINCE = 7
"""The first version of the journal that has them in a table; the one before has names in the last pass."""


@dataclass(frozen=True, slots=True)
class KnownInput:
    """A source that a pass was to read, and whether none that was to read it since came to its end."""

    source: Source
    is_unread: bool


def begin(connection: sqlite3.Connection, batch: int, pass_id: int, sources: Sequence[Source]) -> None:
    """Write what a pass is to read, also where earlier ones gave it another name; forget what is done.

    Done is what was read to its end, where no job of a source of that name is left to be read again.
    """
    connection.execute(
        f"DELETE FROM input WHERE batch = ?1 AND pass IN ({_COMPLETE}) AND source NOT IN ({_UNFINISHED})",  # noqa: S608 - constants
        (batch,),
    )
    connection.executemany(
        "UPDATE input SET pass = ? WHERE batch = ? AND path IN (?, ?)",
        [(pass_id, batch, os.fsencode(it.path), os.fsencode(it.name)) for it in sources if it.path is not None],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO input (batch, path, source, pass) VALUES (?, ?, ?, ?)",
        [(batch, os.fsencode(source.path or ""), storable(source.name), pass_id) for source in sources],
    )


def find(connection: sqlite3.Connection, batch: int) -> list[KnownInput]:
    """Return what passes over a batch were to read, in the order of reading: all that is not done, and the last pass's.

    Names are as they stand in the journal: a byte that is no UTF-8 is its escape.
    """
    rows = connection.execute(
        f"SELECT source, path, pass NOT IN ({_COMPLETE}) FROM input WHERE batch = ? ORDER BY id",  # noqa: S608 - as above
        (batch,),
    )
    return [KnownInput(Source(name, os.fsdecode(path) or None), bool(unread)) for name, path, unread in rows]


def find_names(connection: sqlite3.Connection, batch: int) -> list[KnownInput]:
    """Return what the last pass was to read, from a journal of version 6, which knows names and no paths."""
    row = connection.execute(
        "SELECT files, exit_code FROM pass WHERE batch = ? ORDER BY id DESC LIMIT 1", (batch,)
    ).fetchone()
    if row is None or row[0] is None:
        return []
    is_unread = row[1] not in {ExitCode.OK, ExitCode.INCOMPLETE}
    return [KnownInput(Source(str(storable(name)), name), is_unread) for name in json.loads(row[0])]


def find_unfinished(connection: sqlite3.Connection, batch: int) -> list[str]:
    """Return the sources of jobs that are in doubt, or were shown to have no run (NotCreated); first met first."""
    return _sources(connection, batch, _UNFINISHED)


def find_in_doubt(connection: sqlite3.Connection, batch: int) -> list[str]:
    """Return the sources of jobs that have no known end; first met first."""
    return _sources(connection, batch, _IN_DOUBT)


def _sources(connection: sqlite3.Connection, batch: int, jobs: str) -> list[str]:
    return [source for (source,) in connection.execute(f"{jobs} GROUP BY source ORDER BY min(id)", (batch,))]


_IN_DOUBT = "SELECT source FROM job WHERE batch = ?1 AND state <> 'created' AND state IN ('pending', 'unresolved')"
_UNFINISHED = (  # the states are listed for the index: without, all that is created would be looked at
    "SELECT source FROM job WHERE batch = ?1 AND state <> 'created' AND state IN ('pending', 'unresolved', 'failed')"
    " AND (state <> 'failed' OR error_code = 'NotCreated')"
)
_COMPLETE = f"SELECT id FROM pass WHERE exit_code IN ({ExitCode.OK:d}, {ExitCode.INCOMPLETE:d})"  # noqa: S608
