"""A session for a person at a terminal, or for a scheduler: stop signals, progress, and the summary at the end."""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ingestor.app.messages import complain, print_result
from ingestor.app.observing.observer import Observer
from ingestor.app.options import STDOUT, BatchOptions
from ingestor.app.signals import StopSignals
from ingestor.app.standard_streams import last_messages
from ingestor.journal.database import NAME
from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.text import printable
from ingestor.model.value import collect_rarely
from ingestor.report.ending import Files, Reconciled
from ingestor.report.output_file import STALL
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import as_json, as_text
from ingestor.system.limits import LimitError, start_thread
from ingestor.system.stops import release_stops

if TYPE_CHECKING:
    from ingestor.app.session import Session

T = TypeVar("T")

OVERTIME = 4.0
"""Seconds that a batch may take after a stop and its drain timeout to write what it did."""

_POLL = 0.5  # seconds between two looks at what is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What a command prints.

    Attributes:
        json: whether the result on standard output is JSON.
        progress: whether progress is shown on standard error.
        quiet: whether nothing is printed if all is well: no progress, and a summary only if the exit code is not 0.
        observers: what else watches the session.
    """

    json: bool = False
    progress: Mode = Mode.AUTO
    quiet: bool = False
    observers: Sequence[Observer] = ()

    def attend(self, session: "Session", work: Awaitable[T]) -> T | None:
        """Do the work of a session with progress and stop signals; None if a second signal ended it at once.

        What is waited for long is named. From then on, no signal changes the exit code of the process, which is that
        of the session.
        """
        collect_rarely()
        attending = self._attend(session, work)
        with naming(session.waits_for):
            return asyncio.run(attending)

    def print_summary(self, end: BatchFinished | Reconciled, session: "Session") -> None:
        """Print the summary on standard output; as text on standard error if the log is on standard output.

        A summary that standard output does not take is printed on standard error.
        """
        if self.quiet and not self.json and session.exit_code is ExitCode.OK:
            return
        metrics, files = session.metrics, files_of(session.options)
        if metrics.halt is not None and not sys.stdout.isatty():  # a program may read only standard error
            complain(f"halted: {printable(metrics.halt.reason, 1000)}")
        if not self.json and files.log is None:
            with last_messages():
                print(as_text(end, metrics, files), file=sys.stderr)
            return
        began = time.monotonic()
        summary = as_json(end, metrics, files) if self.json else as_text(end, metrics, files)
        with naming(lambda: ["standard output waits for its reader"] if time.monotonic() - began > STALL else []):
            print_result(summary)

    async def _attend(self, session: "Session", work: Awaitable[T]) -> T | None:
        with _signals_to(session, quiet=self.quiet) as signals:
            release_stops()
            try:
                mode = Mode.OFF if self.quiet else self.progress
                async with Progress.on(sys.stderr, mode, session.metrics, time.monotonic).shown():
                    result = await work
            except asyncio.CancelledError:
                if not signals.count:
                    raise
                signals.finish(ExitCode.STOPPED)
                complain("ended at once; run the same command again to continue")
                return None
            signals.finish(session.exit_code)
            return result


def files_of(options: BatchOptions) -> Files:
    """Return where the results of a batch are."""
    log = None if options.log_path == STDOUT else str(options.log_path)
    return Files(log=log, rejects=str(options.rejects_path), journal=str(options.state / NAME))


@contextmanager
def naming(waits: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Print, in a thread, each sentence that `waits` returns while the block runs, once for as long as it does."""
    over = threading.Event()

    def look() -> None:
        said: set[str] = set()
        while not over.wait(_POLL):
            now = waits()
            for sentence in now:
                if sentence not in said:
                    complain(sentence)
            said = set(now)

    with suppress(LimitError):  # without this thread, nothing is named
        start_thread(look, "what is waited for")
    try:
        yield
    finally:
        over.set()


def _signals_to(session: "Session", *, quiet: bool) -> StopSignals:
    """Return the signals that stop a session, and cancel this task. Unless `quiet`, the first one prints a message."""

    def stop(signal: str) -> None:
        session.life.end_early(f"stopped by {signal}")
        wait = f"{session.options.drain_timeout:g} s"
        if session.options.follow:
            what = f"reading what exists to its end, and sending it for at most {wait}"
        else:
            what = f"requests in flight get {wait} to end"
        if not quiet:
            complain(f"stopping: {what} (Ctrl-C again ends at once)")

    def end() -> None:
        if task is not None:
            task.cancel()

    task = asyncio.current_task()
    return StopSignals(
        asyncio.get_running_loop().call_soon_threadsafe,
        on_stop=stop,
        on_second=end,
        on_reopen=session.reopen_log,
        on_status=lambda: complain(f"status: {session.life.status_line()}"),
        seconds=session.options.drain_timeout + OVERTIME,
    )
