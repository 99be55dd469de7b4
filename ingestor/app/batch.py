"""What is open while a batch is processed: its journal, its log, its rejects; and how they are closed."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Self

from ingestor.app.machine import SteadyClock, SystemClock
from ingestor.app.options import BatchOptions
from ingestor.app.outbox_relay import OutboxRelay
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, IngestorError, JournalError, JournalLostError
from ingestor.model.events import BatchFinished, BatchHalted
from ingestor.model.lag import InputLag
from ingestor.model.ports import Changes, EventSink, Timekeeper
from ingestor.model.record import Outcome
from ingestor.pipeline.options import Known
from ingestor.policy.advice import Halt
from ingestor.policy.identity import Scope
from ingestor.report.appender import Appender, ReportError
from ingestor.report.log import Reporter, StructuredLog
from ingestor.report.metrics import Metrics
from ingestor.report.output_file import STALL
from ingestor.report.rejects import RejectsFile


@dataclass(slots=True)
class Batch:
    """What is open while a batch is processed, and what was counted before it.

    Attributes:
        error: what made the batch halt outside its work: the service that can't be opened, a file, the journal.
    """

    scope: Scope
    journal: SqliteJournal
    clock: Timekeeper
    log: StructuredLog
    rejects: RejectsFile | None
    reporter: Reporter
    relay: OutboxRelay
    counts_before: Mapping[Outcome, int]
    began_at: float = field(default_factory=time.monotonic)
    error: IngestorError | None = None
    reading_waits_for: Callable[[], list[str]] = list
    reading_lag: Callable[[], InputLag | None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        state: StateDirectory,
        scope: Scope,
        options: BatchOptions,
        rejects: RejectsFile | None,
        metrics: Metrics,
        views: Sequence[EventSink],
    ) -> AsyncIterator[Self]:
        """Open journal and log; close them and the rejects in any case. Raises IngestorError."""
        began_at, clock = time.monotonic(), SteadyClock()
        async with AsyncExitStack() as opened:
            if rejects is not None:
                opened.push_async_callback(_close, rejects)
            journal = await opened.enter_async_context(SqliteJournal.open(state, scope, clock))
            log = StructuredLog(
                str(options.log_path), SystemClock(), max_bytes=options.log_max_bytes, keep=options.log_keep
            )
            opened.push_async_callback(_close, log)
            relay = OutboxRelay(journal, log)
            reporter = Reporter(files=[log] if rejects is None else [log, rejects], views=[metrics, relay, *views])
            yield cls(scope, journal, clock, log, rejects, reporter, relay, dict(metrics.counts), began_at)

    async def known(self) -> Known:
        """Return what the journal knows before records are read. Raises JournalError."""
        return Known(
            has_runs=await self.journal.has_created_in_target(),
            recent_runs=await self.journal.recent_runs(),
            forgotten_rejects=await self.journal.forgotten_rejects(),
            repaired_rejects=await self.journal.repaired_rejects(),
        )

    def give_up_files(self) -> None:
        """Wait no longer for the readers of log and rejects: waiting for them raises ReportGivenUpError."""
        for file in self._files():
            file.give_up()

    def waits_for(self) -> list[str]:
        """Return what has been waited for, for longer than a few seconds, in sentences; from any thread."""
        waits = [*self.waiting_files(), *self.reading_waits_for()]
        return [*waits, "The journal waits for its disk"] if self.journal.busy_for() > STALL else waits

    def waiting_files(self) -> list[str]:
        """Return the same of log and rejects alone."""
        return [sentence for file in self._files() if (sentence := file.waits_for()) is not None]

    def _files(self) -> list[Appender]:
        return [self.log] if self.rejects is None else [self.log, self.rejects]

    def halt(self, error: IngestorError) -> Halt:
        """Report an error as what halts the batch."""
        self.error, halt = error, Halt(str(error), advice="")
        is_recorded = not isinstance(error, JournalLostError)
        self.reporter.emit(BatchHalted(halt.reason, halt.advice, is_recorded=is_recorded))
        return halt

    async def finish(self, finished: BatchFinished) -> BatchFinished:
        """Log the end, write it into the journal, and return it: a halt if log or rejects can't be finished.

        A journal that broke has halted the batch already. Raises JournalError.
        """
        if self.rejects is not None:
            try:
                await self.rejects.close(completed=finished.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE))
            except ReportError as error:
                finished = self._halted(finished, error)
        self.reporter.emit(finished)
        try:
            await self.relay.confirm()
        except ReportError as error:
            finished = self._halted(finished, error)
        try:
            await self._write_end(finished)
        except JournalError:
            if finished.exit_code != ExitCode.HALTED:
                raise
        return finished

    def _halted(self, finished: BatchFinished, error: ReportError) -> BatchFinished:
        if finished.exit_code == ExitCode.HALTED:
            return finished
        if error.exit_code is ExitCode.STOPPED:
            return replace(finished, exit_code=ExitCode.STOPPED, reason=finished.reason or str(error))
        return replace(finished, exit_code=ExitCode.HALTED, reason=self.halt(error).reason)

    async def _write_end(self, finished: BatchFinished) -> None:
        if self.rejects is None:
            await self.journal.commit(Changes())  # which writes the acknowledgement
        else:
            await self.journal.finish_execution(
                finished.counts,
                already_done=finished.already_done,
                left=finished.left,
                exit_code=finished.exit_code,
            )


async def _close(file: StructuredLog | RejectsFile) -> None:
    """Close a file. What fails then has failed before, and is reported."""
    with suppress(ReportError):
        await file.close()
