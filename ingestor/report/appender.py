"""Lines for a file, written by a thread, so that the event loop never waits for the disk or for a reader.

Lines stay in memory for a short time, and the thread writes many at once. The producer calls `ready` regularly: it
waits while too much is unwritten, and raises where the disk is full or nothing reads the pipe.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from ingestor.model.errors import ExitCode, IngestorError
from ingestor.report.output_file import OutputFile
from ingestor.system.limits import start_thread

LINGER = 0.2
"""Seconds that a line may wait, so that many are written at once."""
CHUNK = 64 * 1024
"""Bytes that are written at once without waiting for more."""
BOUND = 8 * 1024 * 1024
"""Unwritten bytes above which `ready` waits."""
_GIVEN_UP = OSError(errno.ETIMEDOUT, "nothing took its lines")


class ReportError(IngestorError):
    """The log, the rejects or a report can't be written. A batch that continued would be incomplete."""


class ReportGivenUpError(ReportError):
    """After a stop, nothing took the lines of log or rejects, and the batch waits no longer."""

    exit_code = ExitCode.STOPPED


@dataclass(frozen=True, slots=True)
class _Step:
    """What the thread does next, in this order."""

    reopens: bool
    lines: list[bytes]
    syncs: bool
    is_last: bool


class Appender:
    """Appends lines to a file, in the order in which they are added.

    `file` is used by the writing thread only. `what` and `option` name it in errors: what it is, and the option that
    chooses another. Raises LimitError if the thread can't be started.

    After a failed write nothing more is written, and `ready`, `flush`, `sync` and `close` raise ReportError.
    """

    def __init__(self, file: OutputFile, *, what: str, option: str, linger: float = LINGER) -> None:
        self._file = file
        self._what = what
        self._option = option
        self._linger = linger
        self._changed = threading.Condition()  # guards all that follows
        self._lines: list[bytes] = []
        self._added = 0
        self._written = 0
        self._synced = 0
        self._flush_to = 0
        self._sync_to = 0
        self._reopening = False
        self._closing = False
        self._ended = False
        self._failure: OSError | None = None
        self._waiters: list[tuple[Callable[[], bool], Future[None]]] = []
        self._thread = start_thread(self._run, f"writer of {what}")

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
        mark = self._added - BOUND
        await self._wait_until(lambda: self._written >= mark)

    async def flush(self) -> None:
        """Wait until all added lines are written to the operating system. Raises ReportError."""
        with self._changed:
            mark = self._flush_to = self._added
            self._changed.notify()
        await self._wait_until(lambda: self._written >= mark)

    async def sync(self) -> None:
        """Wait until all added lines are on disk; if it is not a file, until they are written. Raises ReportError."""
        with self._changed:
            mark = self._sync_to = self._added
            self._changed.notify()
        await self._wait_until(lambda: self._synced >= mark)

    async def close(self) -> None:
        """Write the rest and close the file; safe to call twice. Raises ReportError."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await self._wait_until(lambda: False)

    def reopen(self) -> None:
        """Open the file anew soon, between two lines. Never waits."""
        with self._changed:
            self._reopening = True
            self._changed.notify()

    def waits_for(self) -> str | None:
        """Return what the thread has been waiting for, if that is long, as a sentence."""
        whom = None if self._ended else self._file.waits_for()
        return None if whom is None else f"{self._what} waits for {whom}"

    def give_up(self) -> None:
        """Wait no longer for what the thread waits for: from now on, waiting raises ReportGivenUpError."""
        with self._changed:
            if not self._ended:
                self._end(_GIVEN_UP)

    async def _wait_until(self, is_reached: Callable[[], bool]) -> None:
        """Wait until something is reached, or writing has ended. Raises ReportError if it has failed."""
        with self._changed:
            arrived: Future[None] | None = None
            if not (self._ended or is_reached()):
                arrived = Future()
                self._waiters.append((is_reached, arrived))
        if arrived is not None:
            await asyncio.wrap_future(arrived)
        if self._failure is not None:
            kind = ReportGivenUpError if self._failure is _GIVEN_UP else ReportError
            raise kind(
                f"{self._what} can't be written: {self._failure.strerror}. "
                f"Make it writable, or choose another with {self._option}."
            )

    def _run(self) -> None:
        failure: OSError | None = None
        try:
            self._work_until_closed()
        except Exception as error:  # noqa: BLE001 - the end of the thread must never look like success
            failure = error if isinstance(error, OSError) else OSError(0, repr(error))
        finally:
            with self._changed:
                self._end(failure)

    def _work_until_closed(self) -> None:
        try:
            step = self._take()
            while self._do(step) and not step.is_last:
                step = self._take()
        finally:
            self._file.close()

    def _take(self) -> _Step:
        """Wait for something to do and, if that is lines, a short time for more of them."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._is_urgent())
            self._changed.wait_for(self._is_urgent, timeout=self._linger)
            step = _Step(self._reopening, self._lines, self._sync_to > self._synced, self._closing)
            self._reopening, self._lines = False, []
            return step

    def _is_urgent(self) -> bool:
        wanted = self._flush_to > self._written or self._sync_to > self._synced
        return self._closing or self._reopening or wanted or self._added - self._written >= CHUNK

    def _do(self, step: _Step) -> bool:
        """Do it; return whether there may be more to do."""
        if step.reopens:
            self._file.reopen()
        written = b"".join(step.lines)
        if written:
            self._file.write(written)
        if step.syncs:
            self._file.sync()
        with self._changed:
            self._written += len(written)
            self._synced = self._written if step.syncs else self._synced
            self._release()
            return not self._ended

    def _end(self, failure: OSError | None) -> None:
        self._failure = self._failure or failure
        self._ended = True
        self._lines.clear()
        self._release()

    def _release(self) -> None:
        arrived = [future for is_reached, future in self._waiters if self._ended or is_reached()]
        self._waiters = [waiter for waiter in self._waiters if waiter[1] not in arrived]
        for future in arrived:
            if future.set_running_or_notify_cancel():
                future.set_result(None)
