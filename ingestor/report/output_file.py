"""The files of reports: whole lines are appended, and the log is renamed by its size or opened anew.

Used by one thread, that of an `Appender`.
"""

import contextlib
import errno
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestor.system.durable import sync_data, sync_directory

STALL = 3.0
"""Seconds after which a call of the system counts as one that waits."""

_DISK = "its disk"
_PIECE = 64 * 1024  # bytes that one call of the system writes: after each it is known that the reader still reads
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})  # fsync(2): a pipe, a socket, a terminal


class OutputFile:
    """A file that is opened by the first write, by `open_file`, which returns a descriptor that this object then owns.

    Every method raises OSError.
    """

    def __init__(self, open_file: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting: tuple[str, float] | None = None
        self._open_file = open_file
        self._clock = clock
        self._fd: int | None = None

    def write(self, lines: bytes) -> None:
        """Append whole lines; if that fails in the middle, remove the part of a line that was written."""
        fd = self._opened()
        who, rest = _who_takes(fd), memoryview(lines)
        try:
            while rest:
                with self._waiting_for(who):
                    rest = rest[_write_some(fd, rest[:_PIECE]) :]
        except OSError:
            written = len(lines) - len(rest)
            _remove_last(fd, written - (lines.rfind(b"\n", 0, written) + 1))
            raise

    def sync(self) -> None:
        """Return once all that was written is on disk; if it is not a file, do nothing."""
        if self._fd is None:
            return
        try:
            with self._waiting_for(_DISK):
                sync_data(self._fd)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise

    def reopen(self) -> None:
        """Open the file anew, under its name, if it has one: it may have been renamed."""

    def waits_for(self) -> str | None:
        """Return whom a call of the system has been waiting for, for longer than STALL; from any thread."""
        waiting = self._waiting
        return None if waiting is None or self._clock() - waiting[1] < STALL else waiting[0]

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        if self._fd is None:
            with self._waiting_for("a program that opens it to read"):
                self._fd = self._open_file()
        return self._fd

    @contextmanager
    def _waiting_for(self, whom: str) -> Iterator[None]:
        self._waiting = (whom, self._clock())
        try:
            yield
        finally:
            self._waiting = None


class LogFile(OutputFile):
    """A regular file that is renamed before it becomes larger than `max_bytes`: to `path`.1, which becomes `path`.2.

    `keep` renamed files remain. A file is larger only if it has a single line. `max_bytes` None: it is never renamed.
    What was written is on disk before its file is closed. A crash at any point loses and repeats no line.
    """

    def __init__(self, path: Path, max_bytes: int | None = None, keep: int = 0) -> None:
        super().__init__(lambda: open_to_append(path))
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def write(self, lines: bytes) -> None:
        """Append whole lines, each to the file that has room for it."""
        if self._max_bytes is None:
            super().write(lines)
            return
        while lines:
            size = os.fstat(self._opened()).st_size
            end = _length_that_fits(lines, self._max_bytes - size, is_empty=not size)
            if end:
                super().write(lines[:end])
            lines = lines[end:]
            if lines:
                self._rotate()

    def reopen(self) -> None:
        """Open the file anew, under its name."""
        if self._fd is not None:
            self.sync()
            self.close()
        self._opened()

    def _rotate(self) -> None:
        self.sync()
        path = Path(os.path.realpath(self._path))
        with contextlib.suppress(FileNotFoundError):  # another program renames these files at the same time
            for old, new in renames(path, self._keep) if self._has_its_name() else []:
                if old != path or self._has_its_name():
                    old.rename(new)
            if not self._keep and self._has_its_name():
                path.unlink()
        self.close()

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._opened()), self._path.stat())
        except FileNotFoundError:
            return False


def renames(path: Path, keep: int) -> list[tuple[Path, Path]]:
    """Return the renames, in order, that free a path and keep `keep` files. A crash between two of them loses nothing.

    They end at the first free number, if there is one; else the file with the highest number is replaced.
    """
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1))]
    last = next((number for number in range(1, keep + 1) if not os.path.lexists(names[number])), keep)
    return [(names[number - 1], names[number]) for number in range(last, 0, -1)]


def open_to_append(path: Path) -> int:
    """Open a file to append lines, 0600 if it is new. An incomplete last line is ended first. Raises OSError."""
    torn, is_new = path.is_file() and _is_torn(path), not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if torn:
        os.write(fd, b"\n")
    if is_new:
        with contextlib.suppress(OSError):  # some file systems can't; the file itself can be synced there
            sync_directory(path.parent)
    return fd


def _length_that_fits(lines: bytes, room: int, *, is_empty: bool) -> int:
    """Return the length of those first lines for which there is room; of one at least if the file is empty."""
    if len(lines) <= room:
        return len(lines)
    end = lines.rfind(b"\n", 0, max(room, 0)) + 1
    return end or (lines.index(b"\n") + 1 if is_empty else 0)


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in {b"", b"\n"}


def _who_takes(fd: int) -> str:
    return _DISK if stat.S_ISREG(os.fstat(fd).st_mode) else "its reader"


def _write_some(fd: int, data: memoryview) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:  # another process that shares our standard output may have made it non-blocking
        select.select((), (fd,), ())
        return 0


def _remove_last(fd: int, count: int) -> None:
    with contextlib.suppress(OSError):  # nothing can be removed from a pipe
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if count and end == os.fstat(fd).st_size:  # else another process has appended since
            os.ftruncate(fd, end - count)
