"""One batch from its state directory to its end: the same for `run`, `resume`, `reconcile` and the library."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from ingestor.app.batch import Batch
from ingestor.app.description import description_of
from ingestor.app.exit_codes import exit_code_of
from ingestor.app.lifecycle import Lifecycle
from ingestor.app.observing.observer import Observer
from ingestor.app.observing.recording import Recording
from ingestor.app.options import BatchOptions
from ingestor.app.outputs import refuse_outputs_among, refuse_shared_outputs
from ingestor.app.owned_state import owned_state
from ingestor.app.ports import OpenReading, Ports, Reading, Work, Wrap, unwrapped
from ingestor.app.scope import scope_of
from ingestor.app.sending import Sending
from ingestor.app.service import OpenService, opened_unless, refuse_a_mixed_batch
from ingestor.app.target import Target
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, IngestorError
from ingestor.model.events import BatchFinished, BatchStarted
from ingestor.model.ports import EventSink, Input, Timekeeper
from ingestor.model.record import Outcome
from ingestor.model.sources import NOTHING_SKIPPED, SkippedFiles
from ingestor.pipeline.options import Known, PipelineResult
from ingestor.pipeline.pipeline import Pipeline
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.report.metrics import Metrics
from ingestor.report.progress_log import logging_progress
from ingestor.report.rejects import RejectsFile
from ingestor.system.limits import limit_of
from ingestor.system.tasks import in_background

_NOTHING_READ = "no record could be read: the input has another format"

_POLL = 0.25  # seconds between two looks at what is waited for


class Session:
    """The work of one command or of one call of the library, with everything that it opens. Belongs to one task.

    Attributes:
        target: where the runs are created.
        options: how the batch is processed.
        metrics: the counts so far.
        life: how far it is, and what observers see of it. Ask it to end early.
        error: the error that ended the work, if one did. Reports show it as a halt.
    """

    def __init__(
        self,
        target: Target,
        options: BatchOptions,
        *,
        views: Sequence[EventSink] = (),
        observers: Sequence[Observer] = (),
        wrap: Wrap = unwrapped,
    ) -> None:
        """`target` and `options` say where and how to send. `views` receive every event. Raises LimitError.

        `observers` watch the session from before the state directory is open until after its end is known.
        """
        self.target = target
        self.options = options
        self.metrics = Metrics(time.monotonic)
        self._sending = Sending(target, options)
        self._views = views
        self._observers = observers
        self._wrap = wrap
        self.life = Lifecycle(target, options, self.metrics)
        self.error: IngestorError | None = None

    def stop(self, reason: str) -> None:
        """Stop: read no more, let requests in flight end, write everything. The first reason counts."""
        self.life.stop(reason)

    def finish(self, reason: str) -> None:
        """Wait for no more input: read what exists now to its end and send it, as long as the drain timeout allows.

        Then stop. An input that ends by itself is read to its end. The first reason of finish and stop counts.
        """
        self.life.finish(reason)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command; STOPPED before the end is known."""
        return ExitCode.STOPPED if self.life.exit_code is None else self.life.exit_code

    def reopen_log(self) -> None:
        """Open the log anew, under its name, if it is a regular file: another program may have renamed it."""
        if self.life.batch is not None:
            self.life.batch.log.reopen()

    def waits_for(self) -> list[str]:
        """Return what the work has been waiting for, for longer than a few seconds, in sentences; from any thread."""
        return self.life.waits_for()

    async def ingest(
        self, open_reading: OpenReading, names: Sequence[str], *, continues: bool = False
    ) -> BatchFinished:
        """Create a run for every record, and return how the batch ended. The log calls the sources `names`.

        Where it `continues` earlier executions, it adds to their rejects instead of setting these aside.
        Raises IngestorError if the batch can't begin (a setting, the state directory, its journal), and where its
        journal can't be finished, and what a program's iterable raised. Any other error halts the batch.
        """
        async with self.life.observed(self._observers):
            finished = await self._ingest(open_reading, names, continues=continues)
            self.life.end_well([finished])
            return finished

    async def _ingest(self, open_reading: OpenReading, names: Sequence[str], *, continues: bool) -> BatchFinished:
        await asyncio.to_thread(refuse_shared_outputs, self.options)
        service = self._sending.open_service(self.options.senders)
        async with self._time_budget(), self.life.opening(owned_state(self.options)) as state:
            await asyncio.to_thread(refuse_a_mixed_batch, self.target, self.options)
            appends = continues or self.options.follow
            rejects = RejectsFile(self.options.rejects_path, append=appends)
            async with self._open_batch(state, self.options.batch, rejects) as batch:
                reading = await open_reading(batch.journal, batch.scope)
                batch.reading_waits_for, batch.reading_lag = reading.waits_for, reading.lag
                await asyncio.to_thread(refuse_outputs_among, self.options, [it.source for it in reading.starts])
                is_rehearsal = self.target.endpoint.is_on_this_machine
                await batch.journal.start_execution(rehearsal=is_rehearsal, checkpoints=reading.starts)
                self._emit_start(batch, names, reading.skipped)
                known = replace(await batch.known(), reported_rejects=reading.reported)
                make = partial(self._pipeline, known, batch.clock, reading)
                recording = Recording(
                    batch.journal, self.life.recorder, self.life.activity, sentence=self.life.sentence
                )
                described = description_of(self.target, self.options, names, continues=continues)
                async with recording.of(described, continues=appends):
                    result = await self._do(batch, service, make, reading.source)
                    finished = await batch.finish(self._summarise(batch, result))
                if result.error is not None:
                    raise result.error
                return finished

    async def reconcile(self, batches: Sequence[str]) -> list[BatchFinished]:
        """Look for the run of every job of these batches whose outcome is not known; end at the first that ends early.

        Raises IngestorError as `ingest` does.
        """
        async with self.life.observed(self._observers):
            ends = await self._reconcile(batches)
            self.life.end_well(ends, decisive={Outcome.UNRESOLVED})
            return ends

    async def _reconcile(self, batches: Sequence[str]) -> list[BatchFinished]:
        await asyncio.to_thread(refuse_shared_outputs, self.options)
        ends: list[BatchFinished] = []
        async with self._time_budget(), self.life.opening(owned_state(self.options)) as state:
            for name in batches:
                async with self._open_batch(state, name, None) as batch:
                    self._emit_start(batch)
                    service = self._sending.open_service(senders=0)
                    known = Known(has_runs=await batch.journal.has_created_in_target())
                    result = await self._do(batch, service, partial(self._reconciliation, known, batch.clock), None)
                    ends.append(await batch.finish(self._summarise(batch, result, decisive={Outcome.UNRESOLVED})))
                if ends[-1].exit_code in (ExitCode.HALTED, ExitCode.STOPPED):
                    break
        return ends

    @asynccontextmanager
    async def _time_budget(self) -> AsyncIterator[None]:
        """Stop the work inside the block if its time budget is used up."""
        budget, timer = self.options.time_budget, None
        if budget is not None:
            timer = asyncio.get_running_loop().call_later(budget, self.life.use_up_budget)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    @asynccontextmanager
    async def _open_batch(self, state: StateDirectory, name: str, rejects: RejectsFile | None) -> AsyncIterator[Batch]:
        """Open journal and log; close them and the rejects in any case. Raises IngestorError."""
        scope = await asyncio.to_thread(scope_of, self.target, replace(self.options, batch=name))
        views = [self.life.recorder, *self._views]
        async with Batch.open(state, scope, self.options, rejects, self.metrics, views) as batch:
            if self.target.is_server and self.target.platform != scope.platform:
                await batch.journal.keep_address(self.target.platform)
            self.life.batch = batch
            try:
                async with in_background(self._end_waits(batch)):
                    yield batch
            finally:
                self.life.batch, self.error = None, batch.error

    async def _end_waits(self, batch: Batch) -> None:
        """After a stop, wait for no reader of log and rejects any more, once the work had its time to end."""
        await self.life.stopping.wait()
        loop = asyncio.get_running_loop()
        end_of_drain = loop.time() + self.life.drain_seconds
        while True:
            await asyncio.sleep(_POLL)
            if batch.waiting_files() and (not self.life.left or loop.time() > end_of_drain):
                return batch.give_up_files()

    def _emit_start(self, batch: Batch, names: Sequence[str] = (), skipped: SkippedFiles = NOTHING_SKIPPED) -> None:
        target = self.target.endpoint.display
        batch.reporter.emit(BatchStarted(batch=batch.scope.batch, target=target, sources=tuple(names), skipped=skipped))

    async def _do(
        self, batch: Batch, service: OpenService, make: Callable[[Ports], Work], source: Input | None
    ) -> PipelineResult:
        """Do the work. An error that ends it, from the credentials on, becomes a halt."""
        try:
            await batch.relay.catch_up()
            async with (
                batch.relay.confirming(),
                opened_unless(self.life.stopping, service) as is_open,
                logging_progress(self.metrics, batch.reporter, batch.counts_before, self.life.sentence),
            ):
                if not is_open:
                    return self._stopped_early()
                work = make(self._wrap(Ports(batch.journal, service, batch.reporter, source)))
                self.life.begin(work)
                return await work.run()
        except Exception as error:
            known = error if isinstance(error, IngestorError) else limit_of(error)
            if known is None:
                raise
            if known.exit_code is ExitCode.STOPPED:
                return self._stopped_early()
            halt = batch.halt(known)
            return PipelineResult(halt=halt, stopped=True, left=self.life.left, reason=halt.reason)
        finally:
            self.life.end_work()

    def _stopped_early(self) -> PipelineResult:
        return PipelineResult(halt=None, stopped=True, left=self.life.left, reason=self.life.reason)

    def _pipeline(self, known: Known, clock: Timekeeper, reading: Reading, ports: Ports) -> Work:
        return Pipeline(
            self._sending.pipeline_options(),
            ports.source or reading.source,
            ports.journal,
            ports.service,
            self._sending.pacer(ports.log),
            ports.log,
            clock,
            starts=reading.starts,
            known=known,
        )

    def _reconciliation(self, known: Known, clock: Timekeeper, ports: Ports) -> Work:
        options, pacer = self._sending.pipeline_options(), self._sending.pacer(ports.log)
        return Reconciliation(options, ports.journal, ports.service, pacer, ports.log, clock, known=known)

    def _summarise(
        self, batch: Batch, result: PipelineResult, *, decisive: Collection[Outcome] = tuple(Outcome)
    ) -> BatchFinished:
        """Sum up a batch. Its exit code comes from the counts of the `decisive` outcomes."""
        before = batch.counts_before
        counts = {outcome: count - before[outcome] for outcome, count in self.metrics.counts.items()}
        code = exit_code_of(
            halted=result.halt is not None,
            stopped=result.stopped,
            read_nothing=self.metrics.has_read_nothing,
            counts={outcome: counts[outcome] for outcome in decisive},
        )
        exhausted, lag = result.exhausted or self.metrics.has_read_all, self.life.lag()
        if exhausted:
            self.metrics.sources.end_followed()
        return BatchFinished(
            batch=batch.scope.batch,
            counts={str(outcome): count for outcome, count in counts.items()},
            already_done=self.metrics.already_done,
            left=result.left,
            exit_code=code,
            duration=time.monotonic() - batch.began_at,
            reason=_NOTHING_READ if code is ExitCode.USAGE else result.reason,
            exhausted=exhausted,
            unread_bytes=0 if exhausted else None if lag is None else lag.unread_bytes,
            rejected_lines=self.metrics.acceptance.rejected,
            sources=self.metrics.sources.listed(),
            other_sources=self.metrics.sources.others,
        )
