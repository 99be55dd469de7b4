"""The files that the journal's writer needs: what it writes is lost if another program removed or overwrote one."""

import os
import time
from pathlib import Path

from ingestor.journal.database import wal_of
from ingestor.journal.lock import LOCK
from ingestor.model.errors import JournalError, JournalLostError

_DATABASE_MAGIC = b"SQLite format 3\0"
_WAL_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # with checksums in either byte order
_WAL_HEADER = 32  # bytes; SQLite changes them when it restarts the log, and before it makes the log shorter

_REMOVAL = 0.2  # seconds in which a directory whose lock is gone may be removed as a whole


class OwnedFiles:
    """The database, its write-ahead log, and the lock, while SQLite has the database open.

    The database is kept open until SQLite has closed it: closing any descriptor of a file releases the locks that this
    process has on it (fcntl(2)). SQLite locks no byte of the log.
    """

    def __init__(self, path: Path) -> None:
        """Take the files as they are. Raises OSError."""
        self._database, self._wal, self._lock = path, wal_of(path), path.with_name(LOCK)
        self._identities = {it: _identity(it.stat()) for it in (self._database, self._wal, self._lock)}
        self._size = path.stat().st_size
        self._wal_size, self._wal_header = 0, b""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the database. SQLite must have closed it before."""
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise JournalError if another process may own the directory, JournalLostError if the journal is damaged.

        Raises OSError if that is unknown.
        """
        self._check_names()
        if self._change_of(self._lock) is not None:
            time.sleep(_REMOVAL)
            self._check_names()
            raise JournalError(
                f"The lock {self._lock} was removed or replaced during this run: another run may use the state "
                "directory too. Never remove that file: it blocks nobody once its process has ended."
            )
        self._check_database()
        self._check_wal()

    def _check_names(self) -> None:
        for path in (self._database, self._wal):
            if (change := self._change_of(path)) is not None:
                raise _lost(path, change)

    def _change_of(self, path: Path) -> str | None:
        """Return what happened to a file's name; None: nothing."""
        try:
            identity = _identity(path.stat())
        except (FileNotFoundError, NotADirectoryError) as error:
            return f"was removed or renamed ({error.strerror})"
        return None if identity == self._identities[path] else "was replaced"

    def _check_database(self) -> None:
        """SQLite never makes this file shorter: only `prune` gives space back, and no writer is open then."""
        size = os.fstat(self._descriptor).st_size
        if size < self._size or os.pread(self._descriptor, len(_DATABASE_MAGIC), 0) != _DATABASE_MAGIC:
            raise _lost(self._database, "was truncated or overwritten")
        self._size = size

    def _check_wal(self) -> None:
        """An empty log may be right: a checkpoint of another program empties it."""
        with self._wal.open("rb", buffering=0) as file:
            header, size = file.read(_WAL_HEADER), os.fstat(file.fileno()).st_size
        is_shorter = header == self._wal_header and size < self._wal_size
        if is_shorter or (header and header[:4] not in _WAL_MAGICS):
            raise _lost(self._wal, "was truncated or overwritten")
        self._wal_header, self._wal_size = header, size


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _lost(path: Path, what: str) -> JournalLostError:
    return JournalLostError(
        f"The journal's file {path} {what} while it was open: what this run has done is not recorded any more. Put the "
        "state directory back, or a backup of it, if you can: without it, a later run creates the same runs again."
    )
