"""A session for a person at a terminal, or a scheduler: stop signals, progress, and the summary at the end."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ingestor.app.options import STDOUT, BatchOptions
from ingestor.app.signals import StopSignals
from ingestor.model.events import BatchFinished
from ingestor.model.text import printable
from ingestor.model.value import collect_rarely
from ingestor.report.metrics import Metrics
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import Files, Reconciled, as_json, as_text

if TYPE_CHECKING:
    from ingestor.app.session import Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What a command prints.

    Attributes:
        json: whether the result on standard output is JSON.
        progress: whether progress is shown on standard error.
    """

    json: bool = False
    progress: Mode = Mode.AUTO

    def attend(self, session: "Session", work: Awaitable[T]) -> T | None:
        """Do the work of a session with progress and stop signals; None where a second signal ended it at once."""
        collect_rarely()
        return asyncio.run(self._attend(session, work))

    def print_summary(self, end: BatchFinished | Reconciled, session: "Session") -> None:
        """Print the summary on standard output; as text on standard error where the log has standard output."""
        metrics, files = session.metrics, files_of(session.options)
        if metrics.halt is not None and not sys.stdout.isatty():  # somebody may read standard error alone
            print(f"ingestor: halted: {printable(metrics.halt.reason, 1000)}", file=sys.stderr)
        if self.json:
            print(as_json(end, metrics, files))
        else:
            print(as_text(end, metrics, files), file=sys.stderr if files.log is None else sys.stdout)

    async def _attend(self, session: "Session", work: Awaitable[T]) -> T | None:
        def stop() -> None:
            wait = f"{session.options.drain_timeout:g} s"
            complain(f"stopping: requests in flight get {wait} to end (Ctrl-C again ends at once)")
            session.stop()

        with StopSignals(on_first=stop) as signals:
            try:
                async with self._showing(session.metrics):
                    return await work
            except asyncio.CancelledError:
                if not signals.count:
                    raise
                complain("ended at once; run the same command again to continue")
                return None

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
