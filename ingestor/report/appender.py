"""A file to which complete lines are appended, by a thread, so that the event loop never waits for the disk.

Lines stay in memory for a short time, and the thread writes many at once. The producer calls `ready` regularly: it
waits while too much is unwritten, and raises where the disk is full or nothing reads the pipe.
"""

import asyncio
import contextlib
import errno
import os
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from pathlib import Path

from ingestor.model.errors import IngestorError

LINGER = 0.2
"""Seconds that a line may wait, so that many are written at once."""
CHUNK = 64 * 1024
"""Bytes that are written at once without waiting for more."""
BOUND = 8 * 1024 * 1024
"""Unwritten bytes above which `ready` waits."""

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})  # fsync(2): a pipe, a socket, a terminal


class ReportError(IngestorError):
    """The log or the rejects can't be written. They would be incomplete if the batch continued."""


class Appender:
    """Appends lines to a file, in the order in which they are added.

    `open_file` is called in the writing thread, once there is a line, and returns a descriptor that this object then
    owns. `what` and `option` name the file in errors: what it is, and the option that chooses another.

    After a failed write nothing more is written, and `ready`, `flush` and `close` raise ReportError.
    """

    def __init__(self, open_file: Callable[[], int], *, what: str, option: str, linger: float = LINGER) -> None:
        self._open_file = open_file
        self._what = what
        self._option = option
        self._linger = linger
        self._changed = threading.Condition()  # guards all that follows
        self._lines: list[bytes] = []
        self._added = 0
        self._written = 0
        self._flush_to = 0
        self._closing = False
        self._ended = False
        self._failure: OSError | None = None
        self._fd: int | None = None
        self._waiters: list[tuple[float, Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name=f"writer of {what}", daemon=True)
        self._thread.start()

    def add(self, lines: bytes) -> None:
        """Add lines, each of which ends in a newline. Never waits. Drops them once a write has failed."""
        with self._changed:
            if self._ended:
                return
            self._lines.append(lines)
            self._added += len(lines)
            if len(self._lines) == 1 or self._added - self._written >= CHUNK:
                self._changed.notify()

    async def ready(self) -> None:
        """Wait while more than BOUND bytes are unwritten. Raises ReportError."""
        await self._reach(self._added - BOUND)

    async def flush(self) -> None:
        """Wait until all added lines are written to the operating system. Raises ReportError."""
        with self._changed:
            self._flush_to = self._added
            self._changed.notify()
        await self._reach(self._added)

    async def sync(self) -> None:
        """Wait until all added lines are on disk; if it is not a file, until they are written. Raises ReportError."""
        await self.flush()
        await asyncio.to_thread(self._sync)
        self._check()

    async def close(self) -> None:
        """Write the rest and close the file; safe to call twice. Raises ReportError."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await self._reach(inf)

    async def _reach(self, mark: float) -> None:
        """Wait until `mark` bytes are written, or writing has failed."""
        with self._changed:
            arrived: Future[None] | None = None
            if self._written < mark and not self._ended:
                arrived = Future()
                self._waiters.append((mark, arrived))
        if arrived is not None:
            await asyncio.wrap_future(arrived)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise ReportError(
                f"{self._what} can't be written: {self._failure.strerror}. "
                f"Make it writable, or choose another with {self._option}."
            )

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:  # noqa: BLE001 - the end of the thread must never look like success
            self._failure = error if isinstance(error, OSError) else OSError(0, repr(error))
        finally:
            with self._changed:
                self._ended = True
                self._lines.clear()
                self._release(inf)

    def _write_until_closed(self) -> None:
        try:
            while lines := self._take():
                if self._fd is None:
                    self._fd = self._open_file()
                data = b"".join(lines)
                _write_whole_lines(self._fd, data)
                with self._changed:
                    self._written += len(data)
                    self._release(self._written)
        finally:
            with self._changed:
                fd, self._fd = self._fd, None
            if fd is not None:
                os.close(fd)

    def _sync(self) -> None:
        with self._changed:
            fd = None if self._fd is None else os.dup(self._fd)
        if fd is None:
            return
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                self._failure = error
        finally:
            os.close(fd)

    def _take(self) -> list[bytes]:
        """Wait for lines, and a short time for more of them; an empty result means the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            self._changed.wait_for(self._is_urgent, timeout=self._linger)
            lines, self._lines = self._lines, []
            return lines

    def _is_urgent(self) -> bool:
        return self._closing or self._flush_to > self._written or self._added - self._written >= CHUNK

    def _release(self, reached: float) -> None:
        arrived = [waiter for mark, waiter in self._waiters if mark <= reached]
        self._waiters = [(mark, waiter) for mark, waiter in self._waiters if mark > reached]
        for waiter in arrived:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)


def open_to_append(path: Path) -> int:
    """Open a file for an Appender, 0600 if it is new. An incomplete last line is ended first. Raises OSError."""
    torn = path.is_file() and _is_torn(path)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if torn:
        os.write(fd, b"\n")
    return fd


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in {b"", b"\n"}


def _write_whole_lines(fd: int, data: bytes) -> None:
    """Write all of `data`; if that fails, remove the part of a line that was written."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[_write_some(fd, rest) :]
    except OSError:
        written = len(data) - len(rest)
        _remove_last(fd, written - (data.rfind(b"\n", 0, written) + 1))
        raise


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
