"""One batch from its state directory to its end: the same for `run`, `resume`, `reconcile` and the library."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, replace
from functools import partial

from ingestor.app.machine import SteadyClock, SystemClock
from ingestor.app.options import BatchOptions
from ingestor.app.outbox_relay import OutboxRelay
from ingestor.app.ports import OpenReading, Ports, Reading, Work, Wrap, unwrapped
from ingestor.app.service import OpenService, open_service, refuse_a_mixed_batch
from ingestor.app.target import Target
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, IngestorError, JournalError
from ingestor.model.events import BatchFinished, BatchHalted, BatchStarted
from ingestor.model.ports import Changes, EventLog, EventSink, Input, Timekeeper
from ingestor.model.record import Outcome
from ingestor.pipeline.options import PipelineOptions, PipelineResult
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Pipeline
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.policy.health import Halt
from ingestor.policy.lookup import crash_quiescence
from ingestor.policy.retry import RetryBudget
from ingestor.report.appender import ReportError
from ingestor.report.log import Reporter, StructuredLog
from ingestor.report.metrics import Metrics
from ingestor.report.rejects import RejectsFile

_OVER_BUDGET = "the time budget is used up"
"""Why a batch ends when its time budget is used up."""

_UNFINISHED = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNRESOLVED, Outcome.PARTIAL)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is open while a batch is processed, and what was counted before it."""

    name: str
    journal: SqliteJournal
    clock: Timekeeper
    reporter: Reporter
    relay: OutboxRelay
    rejects: RejectsFile | None
    began_at: float
    counts_before: Mapping[Outcome, int]


_SEVERITY = (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.STOPPED, ExitCode.HALTED)


def worst(ends: Sequence[BatchFinished]) -> ExitCode:
    """Return the exit code of several batches together."""
    return ExitCode(max((end.exit_code for end in ends), key=_SEVERITY.index, default=ExitCode.OK))


class Session:
    """The work of one command or of one call of the library, with everything that it opens. Belongs to one task.

    Attributes:
        target: where the runs are created.
        options: how the batch is processed.
        metrics: the counts so far.
        error: the error that ended the work, if one did. Reports show it as a halt.
    """

    def __init__(
        self, target: Target, options: BatchOptions, *, views: Sequence[EventSink] = (), wrap: Wrap = unwrapped
    ) -> None:
        """`target` and `options` say where and how to send. `views` receive every event."""
        self.target = target
        self.options = options
        self.metrics = Metrics(time.monotonic)
        self._views = views
        self._wrap = wrap
        self._work: Work | None = None
        self._stop_reason: str | None = None
        self.error: IngestorError | None = None

    def stop(self, reason: str = "asked to") -> None:
        """Stop: read no more, let requests in flight end, write everything. The first reason counts."""
        self._stop_reason = self._stop_reason or reason
        if self._work is not None:
            self._work.stop(self._stop_reason)

    async def ingest(
        self, open_reading: OpenReading, names: Sequence[str], *, continues: bool = False
    ) -> BatchFinished:
        """Create a run for every record, and return how the batch ended. The log calls the sources `names`.

        Where it `continues` earlier executions, it adds to their rejects instead of setting these aside.
        Raises IngestorError if the batch can't begin (a setting, the state directory, its journal), and where its
        log or journal can't be finished, and what a program's iterable raised. Any other error halts the batch.
        """
        service = open_service(self.target, self.options, self.options.senders)
        with self._time_budget(), self._open_state() as state:
            refuse_a_mixed_batch(self.target, self.options)
            rejects = RejectsFile(self.options.rejects_path, append=continues)
            async with self._open_batch(state, self.options.batch, rejects) as batch:
                reading = await open_reading(batch.journal)
                is_rehearsal = self.target.endpoint.is_on_this_machine
                await batch.journal.start_execution(rehearsal=is_rehearsal, checkpoints=reading.starts)
                self._emit_start(batch, names)
                await batch.relay.catch_up()
                result = await self._do(batch, service, partial(self._pipeline, batch.clock, reading), reading.source)
                finished = await self._close(batch, self._summarise(batch, result, _UNFINISHED))
                if result.error is not None:
                    raise result.error
                return finished

    async def reconcile(self, batches: Sequence[str]) -> list[BatchFinished]:
        """Look for the run of every job of these batches whose outcome is not known; end at the first that ends early.

        Raises IngestorError as `ingest` does.
        """
        ends: list[BatchFinished] = []
        with self._time_budget(), self._open_state() as state:
            for name in batches:
                async with self._open_batch(state, name, None) as batch:
                    self._emit_start(batch, ())
                    await batch.relay.catch_up()
                    service = open_service(self.target, self.options, senders=0)
                    result = await self._do(batch, service, partial(self._reconciliation, batch.clock), None)
                    ends.append(await self._close(batch, self._summarise(batch, result, (Outcome.UNRESOLVED,))))
                if ends[-1].exit_code in (ExitCode.HALTED, ExitCode.STOPPED):
                    break
        return ends

    def _open_state(self) -> AbstractContextManager[StateDirectory]:
        return StateDirectory.open(self.options.state, allow_network_fs=self.options.allow_network_state)

    @contextmanager
    def _time_budget(self) -> Iterator[None]:
        """Stop the work inside the block if its time budget is used up."""
        budget, timer = self.options.time_budget, None
        if budget is not None:
            timer = asyncio.get_running_loop().call_later(budget, self.stop, _OVER_BUDGET)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    @asynccontextmanager
    async def _open_batch(self, state: StateDirectory, name: str, rejects: RejectsFile | None) -> AsyncIterator[_Batch]:
        """Open journal and log; close them and the rejects in any case. Raises IngestorError."""
        began_at, clock = time.monotonic(), SteadyClock()
        async with AsyncExitStack() as opened:
            if rejects is not None:
                opened.push_async_callback(rejects.close, completed=False)
            journal = await opened.enter_async_context(SqliteJournal.open(state, self.target.scope(name), clock))
            log = StructuredLog(str(self.options.log_path), SystemClock())
            opened.push_async_callback(log.close)
            relay = OutboxRelay(journal, log)
            files: list[EventLog] = [log] if rejects is None else [log, rejects]
            reporter = Reporter(files=files, views=[self.metrics, relay, *self._views])
            yield _Batch(name, journal, clock, reporter, relay, rejects, began_at, dict(self.metrics.counts))

    def _emit_start(self, batch: _Batch, names: Sequence[str]) -> None:
        target = self.target.endpoint.display
        batch.reporter.emit(BatchStarted(batch=batch.name, target=target, sources=tuple(names)))

    async def _do(
        self, batch: _Batch, service: OpenService, make: Callable[[Ports], Work], source: Input | None
    ) -> PipelineResult:
        """Do the work. An error that ends it, from the credentials on, becomes a halt."""
        try:
            async with batch.relay.confirming(), service:
                self._work = make(self._wrap(Ports(batch.journal, service, batch.reporter, source)))
                if self._stop_reason is not None:
                    self._work.stop(self._stop_reason)
                return await self._work.run()
        except IngestorError as error:
            halt = self._halt(batch, error)
            left = 0 if self._work is None else self._work.left
            return PipelineResult(halt=halt, stopped=True, left=left, reason=halt.reason)
        finally:
            self._work = None

    def _halt(self, batch: _Batch, error: IngestorError) -> Halt:
        self.error, halt = error, Halt(str(error), advice="")
        batch.reporter.emit(BatchHalted(halt.reason, halt.advice))
        return halt

    def _pipeline(self, clock: Timekeeper, reading: Reading, ports: Ports) -> Work:
        return Pipeline(
            self._pipeline_options(),
            ports.source or reading.source,
            ports.journal,
            ports.service,
            Pacer(self.options.rate, ports.log),
            ports.log,
            clock,
            starts=reading.starts,
        )

    def _reconciliation(self, clock: Timekeeper, ports: Ports) -> Work:
        pacer = Pacer(self.options.rate, ports.log)
        return Reconciliation(self._pipeline_options(), ports.journal, ports.service, pacer, ports.log, clock)

    def _pipeline_options(self) -> PipelineOptions:
        options = self.options
        honours_tokens = options.retry_tokens
        return PipelineOptions(
            concurrency=options.concurrency,
            stamped=options.stamp,
            drain_timeout=options.drain_timeout,
            give_up_after=options.give_up_after,
            wait_for_service=options.wait_for_service,
            budget=RetryBudget(
                max_attempts=options.max_attempts,
                max_seconds=options.max_retry_time,
                longest_wait=options.max_pause,
            ),
            idempotent=self.target.honours_tokens if honours_tokens is None else honours_tokens,
            crash_quiescence=crash_quiescence(options.timeout),
        )

    def _summarise(self, batch: _Batch, result: PipelineResult, unfinished: Collection[Outcome]) -> BatchFinished:
        before = batch.counts_before
        counts = {outcome: count - before[outcome] for outcome, count in self.metrics.counts.items()}
        if result.halt is not None:
            code = ExitCode.HALTED
        elif result.stopped:
            code = ExitCode.STOPPED
        else:
            code = ExitCode.INCOMPLETE if any(counts[outcome] for outcome in unfinished) else ExitCode.OK
        return BatchFinished(
            batch=batch.name,
            counts={str(outcome): count for outcome, count in counts.items()},
            already_done=self.metrics.already_done,
            left=result.left,
            exit_code=code,
            duration=time.monotonic() - batch.began_at,
            reason=result.reason,
            exhausted=result.exhausted,
        )

    async def _close(self, batch: _Batch, finished: BatchFinished) -> BatchFinished:
        """Log the end, write it into the journal, and return it: a halt if the rejects can't be finished.

        A journal that broke has halted the batch already.
        """
        if batch.rejects is not None:
            try:
                await batch.rejects.close(completed=finished.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE))
            except ReportError as error:
                if finished.exit_code != ExitCode.HALTED:
                    halt = self._halt(batch, error)
                    finished = replace(finished, exit_code=ExitCode.HALTED, reason=halt.reason)
        batch.reporter.emit(finished)
        try:
            await batch.relay.confirm()
            if batch.rejects is None:
                await batch.journal.commit(Changes())  # which writes the acknowledgement
            else:
                await batch.journal.finish_execution(
                    finished.counts,
                    already_done=finished.already_done,
                    left=finished.left,
                    exit_code=finished.exit_code,
                )
        except JournalError:
            if finished.exit_code != ExitCode.HALTED:
                raise
        return finished
