"""A view of a journal for its readers, who may have no right to write, while another process may write it.

SQLite needs a file of shared memory next to a journal with a write-ahead log, also to read it. A reader on a read-only
mount, in a snapshot or without the right to write can't create it. So a view takes the first way that works:

1. No write-ahead log exists: nobody writes, and the file is complete. It is opened as immutable, and every answer is
   checked afterwards: if the file has changed meanwhile, or a log has appeared, the answer is dropped.
2. A log exists: SQLite opens both, with the shared memory of the writer.
3. There is no shared memory to use: file and log are copied to a private temporary directory. If the log was restarted
   meanwhile, the copy may mix two states and is made again. The copy's files are removed as soon as they are open.

A journal is never opened as immutable while its log has content: what is only in the log would be missing.
"""

import errno
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TypeVar

from ingestor.journal.database import NAME, check_is_journal, explained, files_of, wal_of
from ingestor.journal.lock import refuse_other_than_files
from ingestor.model.errors import JournalError

Found = TypeVar("Found")

CopyFile = Callable[[Path, Path], object]
"""Copies the content of a file."""

_TRIES = 10
_UNREACHABLE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WAL_HEADER = 32  # bytes; they change when the log is restarted


@dataclass(frozen=True, slots=True)
class _Opened:
    """A connection, and whether what it answered is still true."""

    connection: sqlite3.Connection
    is_valid: Callable[[], bool]


class JournalView:
    """A journal that is read, by short queries. Close it at the end.

    It needs no lock. It changes nothing in the state directory, except that SQLite may use the files of a writer, and
    create its shared memory. It creates nothing if it reads `by_copy`, the third way.
    """

    def __init__(self, path: Path, *, by_copy: bool = False) -> None:
        self.path = path
        self._file = path.resolve()  # the log is next to the file, not next to a link to it
        self._wal = wal_of(self._file)
        self._opened: _Opened | None = None
        self._needs_copy = by_copy

    def read(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        """Return what `work` returns; it may be called more than once, and holds no transaction open.

        Raises JournalError that names the file; JournalVersionError if it is too old or too new.
        """
        with explained(self.path):
            for _ in range(_TRIES):
                try:
                    if self._opened is None:
                        self._opened = self._open()
                        check_is_journal(self._opened.connection, self.path)
                    found = work(self._opened.connection)
                except sqlite3.Error as error:
                    if not self._has_another_way(error):
                        raise
                except ChangedError:
                    pass
                else:
                    if self._opened.is_valid():
                        return found
                self.close()
        raise JournalError(
            f"The journal {self.path} changes faster than it can be copied. Wait for the run to end; or give this user "
            f"read access to {self.path.name}-shm, then no copy is needed."
        )

    def close(self) -> None:
        """Close the file. Safe to call twice; a later `read` opens it again."""
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None

    def _has_another_way(self, error: sqlite3.Error) -> bool:
        """Whether it makes sense to try again after an error."""
        if self._opened is not None and not self._opened.is_valid():
            return True
        is_unreachable = getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNREACHABLE
        if not is_unreachable or self._needs_copy:
            return False
        self._needs_copy = True
        return True

    def _open(self) -> _Opened:
        """Open the journal by the first way that may work."""
        refuse_other_than_files(*files_of(self._file))
        before = self._state()
        if before.wal_size is None or (self._needs_copy and before.wal_size == 0):
            return _Opened(self._connect("immutable=1"), lambda: self._state() == before)
        if not self._needs_copy:
            return _Opened(self._connect("mode=ro"), lambda: True)
        return _Opened(copied(self._file, self._wal), lambda: True)

    def _connect(self, how: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._file.as_uri()}?{how}", uri=True, isolation_level=None)

    def _state(self) -> "_State":
        status = self._file.stat()
        try:
            wal_size = self._wal.stat().st_size
        except FileNotFoundError:
            wal_size = None
        return _State(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, wal_size)


@dataclass(frozen=True, slots=True)
class _State:
    """What changes with the journal's file. `wal_size` is None if there is no log."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    wal_size: int | None


class ChangedError(Exception):
    """The journal changed while it was copied."""


def copied(path: Path, wal: Path, copy_file: CopyFile = shutil.copyfile) -> sqlite3.Connection:
    """Return a connection to a copy, whose files are gone from the disk's directory once it is closed, or killed.

    Raises JournalError, sqlite3.Error, ChangedError.
    """
    try:
        with TemporaryDirectory(prefix="ingestor-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / NAME
            _copy(path, wal, copy, copy_file)
            connection = sqlite3.connect(copy, isolation_level=None)
            connection.executescript("PRAGMA journal_mode = DELETE")  # moves what is in the log into the file
            return connection
    except OSError as error:
        if error.errno in _FULL or error.filename not in (str(path), str(wal)):
            raise _no_room(path, wal, error.strerror) from error
        if isinstance(error, FileNotFoundError):
            raise ChangedError from error
        raise


def _copy(path: Path, wal: Path, copy: Path, copy_file: CopyFile) -> None:
    """Copy file and log. Raises ChangedError if the log was restarted meanwhile.

    Pages that a checkpoint changes in the file while it is copied are in the log too, and count from there.
    """
    if path.stat().st_size + wal.stat().st_size > shutil.disk_usage(copy.parent).free:
        raise _no_room(path, wal)
    before = _header(wal)
    copy_file(path, copy)
    copy_file(wal, copied_wal := wal_of(copy))
    if not before == _header(copied_wal) == _header(wal):
        raise ChangedError


def _header(wal: Path) -> bytes:
    with wal.open("rb") as file:
        return file.read(_WAL_HEADER)


def _no_room(path: Path, wal: Path, reason: str | None = None) -> JournalError:
    size = path.stat().st_size + wal.stat().st_size
    try:
        place = gettempdir()
    except FileNotFoundError:  # in none of the usual places a file can be created
        place = "a temporary directory"
    return JournalError(
        f"The journal {path} can be read here only as a copy, which needs {size:,} bytes in {place}"
        f"{'' if reason is None else f' ({reason})'}: name a directory with enough space in TMPDIR, or read the "
        "journal as a user who may write to its directory."
    )
