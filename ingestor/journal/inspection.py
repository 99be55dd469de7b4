"""What can be seen of a journal without a lock and without writing: its version, its size, whether it is whole."""

import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.journal import schema
from ingestor.journal.database import NAME, files_of
from ingestor.journal.view import JournalView

_STEPS = 20_000  # of SQLite's machine, between two looks at the clock


@dataclass(frozen=True, slots=True)
class Inspection:
    """A journal.

    Attributes:
        size: bytes of its files.
        version: of its tables.
        damage: what is wrong with it; empty if nothing was found.
        is_complete: whether all of it was looked at in the time that was given.
    """

    size: int
    version: int
    damage: str
    is_complete: bool

    @property
    def will_be_migrated(self) -> bool:
        """Whether the next run changes its tables to the present version."""
        return self.version < schema.VERSION


def inspect(state_path: Path, *, seconds: float) -> Inspection:
    """Look at the journal of a state directory for so many seconds at most. Raises JournalError."""
    path = state_path / NAME
    *_, shared_memory = files_of(path.resolve())
    with closing(JournalView(path, by_copy=not shared_memory.exists())) as journal:
        version, damage, is_complete = journal.read(lambda connection: _look(connection, time.monotonic() + seconds))
    return Inspection(_size(path), version, damage, is_complete)


def _look(connection: sqlite3.Connection, deadline: float) -> tuple[int, str, bool]:
    version = schema.version(connection)
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return version, "", False
    finally:
        connection.set_progress_handler(None, 0)
    return version, "" if found == ["ok"] else "; ".join(found), True


def _size(path: Path) -> int:
    size = 0
    for file in files_of(path):
        with suppress(OSError):
            size += file.stat().st_size
    return size
