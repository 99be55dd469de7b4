"""A session for a person at a terminal, or for a scheduler: stop signals, progress, and the summary at the end."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ingestor.app.options import STDOUT, BatchOptions
from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.text import printable
from ingestor.model.value import collect_rarely
from ingestor.report.metrics import Metrics
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import Files, Reconciled, as_json, as_text

if TYPE_CHECKING:
    from ingestor.app.session import Session

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 2  # seconds; the journal is right at any time


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What a command prints.

    Attributes:
        json: whether the result on standard output is JSON.
        progress: whether progress is shown on standard error.
    """

    json: bool = False
    progress: Mode = Mode.AUTO

    def attend(self, session: "Session", work: Awaitable[T], code_of: Callable[[T], int]) -> T | None:
        """Do the work of a session with progress and stop signals; None if a second signal ended it at once.

        From then on, no signal changes the exit code of the process, which is that of the result (`code_of`).
        """
        collect_rarely()
        attending = self._attend(session, work, code_of)
        return asyncio.run(attending)

    def print_summary(self, end: BatchFinished | Reconciled, session: "Session") -> None:
        """Print the summary on standard output; as text on standard error if the log is on standard output."""
        metrics, files = session.metrics, files_of(session.options)
        if metrics.halt is not None and not sys.stdout.isatty():  # a program may read only standard error
            print(f"ingestor: halted: {printable(metrics.halt.reason, 1000)}", file=sys.stderr)
        if self.json:
            print(as_json(end, metrics, files))
        else:
            print(as_text(end, metrics, files), file=sys.stderr if files.log is None else sys.stdout)

    async def _attend(self, session: "Session", work: Awaitable[T], code_of: Callable[[T], int]) -> T | None:
        def stop() -> None:
            wait = f"{session.options.drain_timeout:g} s"
            complain(f"stopping: requests in flight get {wait} to end (Ctrl-C again ends at once)")
            session.stop()

        with StopSignals(on_first=stop) as signals:
            try:
                async with self._showing(session.metrics):
                    result = await work
            except asyncio.CancelledError:
                if not signals.count:
                    raise
                signals.finish(ExitCode.STOPPED)
                complain("ended at once; run the same command again to continue")
                return None
            signals.finish(code_of(result))
            return result

    @asynccontextmanager
    async def _showing(self, metrics: Metrics) -> AsyncIterator[None]:
        progress = Progress.on(sys.stderr, self.progress, metrics, time.monotonic)
        showing = asyncio.create_task(progress.run())
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.wait({showing})
            progress.close()


def files_of(options: BatchOptions) -> Files:
    """Return where the results of a batch are."""
    log = None if options.log_path == STDOUT else str(options.log_path)
    return Files(log=log, rejects=str(options.rejects_path), journal=str(options.journal_path))


def complain(message: str) -> None:
    """Print a message on standard error."""
    print(f"ingestor: {message}", file=sys.stderr)


class StopSignals:
    """Takes the stop signals of the process while entered; belongs to the task that enters it.

    The first signal calls `on_first`, the second cancels the task. If the process does not end soon after that, because
    it waits for a pipe that nobody reads, it exits. After `finish`, the exit code is decided: a signal only sees to it
    that the process ends soon. Outside the main thread no signal is taken.

    Attributes:
        count: how many signals arrived.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self.count = 0
        self._on_first = on_first
        self._code: int | None = None
        is_main = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.getsignal(number) for number in _SIGNALS} if is_main else {}

    def __enter__(self) -> Self:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in self._before:
            signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._code is None:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def finish(self, code: int) -> None:
        """Take no signal as a request to stop any more: the process will end with this exit code."""
        self._code = code

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self._code is not None:
            _exit_soon(self._code)
        elif self.count == 1:
            self._loop.call_soon_threadsafe(self._on_first)
        elif self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            _exit_soon(ExitCode.STOPPED)


def _exit_soon(code: int) -> None:
    """Exit after a grace period, whatever the process waits for then."""
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
        signal.alarm(_GRACE)
