"""One batch from its input to its account."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ingestor.app.clock import SteadyClock, SystemClock
from ingestor.app.outbox_relay import OutboxRelay
from ingestor.app.parts import OpenTarget, endpoint_of, pipeline_options_of, scope_of, service_of, target_of
from ingestor.app.rehearsal import refuse_a_mixed_batch
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, IngestorError, JournalError
from ingestor.model.events import BatchFinished, BatchHalted, BatchStarted
from ingestor.model.outcome import Outcome
from ingestor.model.ports import EventLog, Input, Journal, Target, Timekeeper
from ingestor.model.source import Source
from ingestor.pipeline.floor import AFTER_AN_ERROR
from ingestor.pipeline.pipeline import Pipeline, PipelineResult
from ingestor.policy.halt import Halt
from ingestor.report.log import StructuredLog
from ingestor.report.metrics import Metrics
from ingestor.report.rejects import RejectsFile
from ingestor.report.reporter import Reporter
from ingestor.settings.options import Settings

Stop = Callable[[str], None]
"""Ends a batch in order, for a reason: nothing more is read, what is in flight may end, all is written down."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the pipeline meets the world through."""

    journal: Journal
    target: Target
    account: EventLog


Wrap = Callable[[Ports], Ports]
"""Puts something between the pipeline and its ports, to watch or to disturb."""


def as_they_are(ports: Ports) -> Ports:
    """Put nothing between."""
    return ports


@dataclass(frozen=True, slots=True)
class _Account:
    """Where a batch is told of."""

    reporter: Reporter
    rejects: RejectsFile
    telling: OutboxRelay


async def ingest(
    source: Input,
    settings: Settings,
    *,
    names: tuple[str, ...] = (),
    sources: Sequence[Source] = (),
    metrics: Metrics | None = None,
    on_start: Callable[[Stop], None] | None = None,
    wrap: Wrap = as_they_are,
) -> BatchFinished:
    """Bring the records of `source` in, and tell how it ended; journal, log and rejects are kept as `settings` say.

    Args:
        source: the records (`sources.reader`).
        settings: with a target that is whole (`settings.rules.require_target`).
        names: what the log calls the sources.
        sources: what it reads, for `resume`.
        metrics: counts what happens, for those who watch.
        on_start: is given what ends the batch in order.
        wrap: puts something between the pipeline and its ports.

    Raises IngestorError where the batch can't begin (a setting, credentials, the state directory, its journal), and
    where its account can't be finished. What goes wrong between halts the batch, and is told in its account.
    """
    endpoint = endpoint_of(settings)
    target = target_of(settings, endpoint, senders=settings.senders)
    scope = scope_of(settings)
    clock = SteadyClock()
    begun = time.monotonic()
    metrics = metrics or Metrics(time.monotonic)
    with StateDirectory.open(settings.state, allow_network_fs=settings.allow_network_state) as state:
        refuse_a_mixed_batch(settings, scope, endpoint)
        async with SqliteJournal.open(state, scope, clock) as journal, _account(settings, metrics, journal) as account:
            account.reporter.emit(BatchStarted(batch=scope.batch, target=endpoint.display, sources=names))
            await journal.start_execution(rehearsal=endpoint.is_on_this_machine, sources=sources)
            await account.telling.catch_up()
            async with account.telling.confirming():
                ports = wrap(Ports(journal, target, account.reporter))
                ending = await _work(source, settings, target, ports, clock, on_start)
            finished = _finished(scope.batch, ending, metrics, time.monotonic() - begun)
            await _close(account, finished, journal)
            return finished


@asynccontextmanager
async def _account(settings: Settings, metrics: Metrics, journal: SqliteJournal) -> AsyncIterator[_Account]:
    """Open log and rejects, and close both whatever happens. Raises IngestorError where one can't be written."""
    async with AsyncExitStack() as opened:
        rejects = RejectsFile(settings.rejects)
        opened.push_async_callback(rejects.close, completed=False)
        log = StructuredLog.open(str(settings.log), SystemClock())
        opened.push_async_callback(log.close)
        telling = OutboxRelay(journal, log)
        yield _Account(Reporter(files=[log, rejects], views=[metrics, telling]), rejects, telling)


async def _work(
    source: Input,
    settings: Settings,
    target: OpenTarget,
    ports: Ports,
    clock: Timekeeper,
    on_start: Callable[[Stop], None] | None,
) -> PipelineResult:
    """Work the batch; an error that ends it, from the credentials on, becomes a halt."""
    left = 0
    try:
        async with target:
            service = service_of(settings, ports.target, ports.account)
            options = pipeline_options_of(settings)
            pipeline = Pipeline(options, source, ports.journal, service, ports.account, clock)
            if on_start is not None:
                on_start(pipeline.stop)
            try:
                return await pipeline.run()
            finally:
                left = pipeline.left
    except IngestorError as error:
        halt = Halt(str(error), AFTER_AN_ERROR)
        ports.account.emit(BatchHalted(halt.reason, halt.advice))
        return PipelineResult(halt=halt, stopped=True, left=left)


def _finished(batch: str, ending: PipelineResult, metrics: Metrics, duration: float) -> BatchFinished:
    return BatchFinished(
        batch=batch,
        counts={str(outcome): count for outcome, count in metrics.counts.items()},
        left=ending.left,
        exit_code=_exit_code(ending, metrics),
        duration=duration,
        reason=ending.reason,
        exhausted=ending.exhausted,
    )


def _exit_code(ending: PipelineResult, metrics: Metrics) -> ExitCode:
    if ending.halt is not None:
        return ExitCode.HALTED
    if ending.stopped:
        return ExitCode.STOPPED
    missing = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNRESOLVED)
    return ExitCode.INCOMPLETE if any(metrics.counts[outcome] for outcome in missing) else ExitCode.OK


async def _close(account: _Account, finished: BatchFinished, journal: SqliteJournal) -> None:
    account.reporter.emit(finished)
    await account.rejects.close(completed=finished.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE))
    await account.telling.confirm()
    try:
        await journal.finish_execution(finished.counts, left=finished.left, exit_code=finished.exit_code)
    except JournalError:
        if finished.exit_code != ExitCode.HALTED:
            raise
