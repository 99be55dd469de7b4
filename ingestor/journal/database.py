"""The journal's file: how it is created and opened, and what its errors mean to a person."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ingestor.journal import schema
from ingestor.journal.filesystem import sync_directory
from ingestor.model.errors import JournalError

NAME = "journal.db"
"""The journal's file in the state directory."""

_OLDEST_SQLITE = (3, 33)  # UPDATE FROM; more than 999 parameters

_PRAGMAS = """
    PRAGMA synchronous = FULL;
    PRAGMA busy_timeout = 10000;
    PRAGMA cache_size = -4096;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 67108864;
"""

_DAMAGED = (
    "It is damaged. Put a copy of it in its place: without it, what was created more than a day ago "
    "would be created again."
)
_ADVICE = {
    sqlite3.SQLITE_FULL: "Free some space on its disk and run the same command again.",
    sqlite3.SQLITE_IOERR: "Look at its disk, and whether it is full; then run the same command again.",
    sqlite3.SQLITE_READONLY: "Make the file and its directory writable and run the same command again.",
    sqlite3.SQLITE_CANTOPEN: "Look at the permissions of the file and its directory.",
    sqlite3.SQLITE_BUSY: "Another program keeps it locked: close that and run the same command again.",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def open_owned(path: Path) -> sqlite3.Connection:
    """Open the journal for its one writer, creating or migrating it. Raises JournalError that names the file."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise JournalError(f"SQLite {sqlite3.sqlite_version} is too old for the journal {path}: it needs 3.33.")
    with explained(path), ExitStack() as on_error:
        if not path.exists():
            _create(path)
        connection = sqlite3.connect(path, isolation_level=None)
        on_error.callback(connection.close)
        _check(connection, path)
        connection.executescript(_PRAGMAS)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise JournalError(f"The journal {path} can't be kept in WAL mode on this file system.")
        schema.migrate(connection)
        connection.execute("PRAGMA temp_store = MEMORY")  # what the index gathers; a migration may need more than that
        on_error.pop_all()
    return connection


def open_read_only(path: Path, oldest: int = schema.VERSION) -> sqlite3.Connection:
    """Open the journal, of version `oldest` at least, to read it beside its writer.

    Raises JournalError that names the file.
    """
    with explained(path), ExitStack() as on_error:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        on_error.callback(connection.close)
        _check(connection, path)
        if schema.version(connection) < oldest:
            raise JournalError(f"The journal {path} is of an older version: the next `ingestor run` updates it.")
        on_error.pop_all()
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and the system inside the block into JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is a journal of a version we know. Raises JournalError, OSError, sqlite3.Error."""
    if path.stat().st_size == 0:
        raise JournalError(f"The journal {path} is empty. {_DAMAGED}")
    if schema.application(connection) != schema.APPLICATION_ID:
        raise JournalError(f"{path} is no journal of ingestor. Give another directory with --state.")
    if schema.version(connection) > schema.VERSION:
        raise JournalError(
            f"The journal {path} has version {schema.version(connection)}, and this ingestor knows no later one "
            f"than {schema.VERSION}. Use the newer ingestor that wrote it."
        )


def explain(error: Exception, path: Path) -> JournalError:
    """Turn what SQLite or the system says of the journal into a sentence and what to do about it."""
    if isinstance(error, JournalError):
        return error
    if isinstance(error, OSError):
        return JournalError(f"The journal {path} can't be used: {error.strerror}. Give another directory with --state.")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the class of the error
    return JournalError(f"The journal {path} can't be used: {error}. {_ADVICE.get(code, '')}".rstrip())


def _create(path: Path) -> None:
    """Make a new journal in one step, so that a file that is there is whole."""
    for remains in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")):
        if remains.exists():
            raise JournalError(f"The journal {path} is missing, but {remains.name} is there. {_DAMAGED}")
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;")
        schema.migrate(connection)
    new.rename(path)
    sync_directory(path.parent)
