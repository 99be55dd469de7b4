"""The journal's file: how it is created and opened, and the text of its errors."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ingestor.journal import schema
from ingestor.journal.lock import advice_on, refuse_other_than_files
from ingestor.model.errors import JournalError, JournalVersionError
from ingestor.system.durable import sync_directory
from ingestor.system.limits import limit_of

SQLITE_VERSION = sqlite3.sqlite_version

NAME = "journal.db"
"""The journal's file in the state directory."""

_OLDEST_SQLITE = (3, 33)  # UPDATE FROM; more than 999 parameters

_PRAGMAS = """
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = TRUE; -- on macOS, the only kind that a power cut does not undo
    PRAGMA busy_timeout = 10000;
    PRAGMA cache_size = -4096;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 67108864;
"""

_DAMAGED = (
    "It is damaged. Restore a backup of it: without the journal, records whose runs were created more than a day "
    "ago would be created again."
)
_ADVICE = {
    sqlite3.SQLITE_FULL: "Free some space on its disk and run the same command again.",
    sqlite3.SQLITE_IOERR: "Check its disk, also for free space; then run the same command again.",
    sqlite3.SQLITE_READONLY: "Make the file and its directory writable and run the same command again.",
    sqlite3.SQLITE_CANTOPEN: "Check the permissions of the file and its directory, and its disk (df -i).",
    sqlite3.SQLITE_BUSY: "Another program keeps it locked: close that program and run the same command again.",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def open_owned(path: Path) -> sqlite3.Connection:
    """Open the journal for its one writer; create or upgrade it, if that is needed.

    Raises JournalError that names the file; JournalVersionError if it is too old or too new.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise JournalError(f"SQLite {sqlite3.sqlite_version} is too old for the journal {path}: it needs 3.33.")
    with explained(path), ExitStack() as on_error:
        refuse_other_than_files(*files_of(path))
        if not path.exists():
            _create(path)
        connection = sqlite3.connect(path, isolation_level=None)
        on_error.callback(connection.close)
        _check(connection, path)
        connection.executescript(_PRAGMAS)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise JournalError(f"The journal {path} can't be kept in WAL mode on this file system.")
        schema.migrate(connection)
        connection.execute("PRAGMA temp_store = MEMORY")  # for the index; a migration may need more than memory
        on_error.pop_all()
    return connection


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the journal of an owned state directory for one transaction. An error undoes it. Raises as `open_owned`."""
    with explained(path), closing(open_owned(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def check_is_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Check a file that is only read, and show it with the tables of this version.

    Raises JournalError, JournalVersionError, OSError, sqlite3.Error.
    """
    _check(connection, path)
    schema.show_as_current(connection)


def files_of(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the journal's database, write-ahead log and shared memory."""
    return path, wal_of(path), path.with_name(f"{path.name}-shm")


def wal_of(path: Path) -> Path:
    """Return the path of the journal's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and the system inside the block into JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a file is a journal of a version that this program can use.

    Raises JournalError, OSError, sqlite3.Error.
    """
    if path.stat().st_size == 0:
        raise JournalError(f"The journal {path} is empty. {_DAMAGED}")
    if schema.application(connection) != schema.APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of ingestor. Give another directory with --state.")
    version = schema.version(connection)
    if version > schema.VERSION:
        raise JournalVersionError(
            f"The journal {path} has version {version}, but this ingestor reads versions up to "
            f"{schema.VERSION}. Use the newer ingestor that wrote it."
        )
    if version < schema.OLDEST:
        raise JournalVersionError(
            f"The journal {path} has version {version}, but this ingestor reads versions from "
            f"{schema.OLDEST}. Finish its batches with the ingestor that wrote it, or give another directory with "
            "--state: there, records that already have a run are created again."
        )


def explain(error: Exception, path: Path) -> JournalError:
    """Turn an error of SQLite or the system into a message about the journal, with advice."""
    if isinstance(error, JournalError):
        return error
    if isinstance(error, PermissionError):
        return JournalError(
            f"The journal {path} can't be used: {error.strerror}. Give this user access to the state directory and to "
            "the files in it."
        )
    if (limit := limit_of(error)) is not None:
        return JournalError(f"The journal {path} can't be used. {limit}")
    if isinstance(error, OSError):
        advice = advice_on(error) or "Give another directory with --state."
        return JournalError(f"The journal {path} can't be used: {error.strerror}. {advice}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the class of the error
    if code == sqlite3.SQLITE_CONSTRAINT:
        return JournalError(f"The journal {path} can't be used: another program has changed it meanwhile.")
    return JournalError(f"The journal {path} can't be used: {error}. {_ADVICE.get(code, '')}".rstrip())


def refuse_remains(path: Path) -> None:
    """Raise JournalError if the journal is missing, and a part of it is there."""
    for remains in (wal_of(path), path.with_name(f"{path.name}-journal")):
        if remains.exists():
            raise JournalError(f"The journal {path} is missing, but {remains.name} is there. {_DAMAGED}")


def _create(path: Path) -> None:
    """Create a new journal in one step: a file that exists is complete."""
    refuse_remains(path)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;"
        )
        schema.create(connection)
    new.rename(path)
    sync_directory(path.parent)
