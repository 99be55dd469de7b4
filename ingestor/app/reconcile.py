"""`ingestor reconcile`: what is unresolved is settled by asking the service."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ingestor.app.clock import SteadyClock, SystemClock
from ingestor.app.outbox_relay import OutboxRelay
from ingestor.app.parts import endpoint_of, files_of, pipeline_options_of, scope_of, service_of, target_of
from ingestor.app.run import progress
from ingestor.app.signals import SignalHandler
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.leftovers import batches
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, IngestorError
from ingestor.model.events import BatchFinished, BatchHalted, BatchStarted
from ingestor.model.outcome import Outcome
from ingestor.model.ports import EventLog, Target, UnsettledJobs
from ingestor.pipeline.pipeline import PipelineResult
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.policy.halt import Halt
from ingestor.report import reconciliation as report
from ingestor.report.log import StructuredLog
from ingestor.report.metrics import Metrics
from ingestor.report.reporter import Reporter
from ingestor.settings.options import Settings
from ingestor.settings.values import Output

_STOPPING = "ingestor: stopping (Ctrl-C again leaves at once)"
_AFTER_AN_ERROR = "Mend that, then run the same command again."


@dataclass(frozen=True, slots=True)
class Ports:
    """What a reconciliation meets the world through."""

    jobs: UnsettledJobs
    target: Target
    account: EventLog


Wrap = Callable[[Ports], Ports]
"""Puts something between a reconciliation and its ports, to watch or to disturb."""


def as_they_are(ports: Ports) -> Ports:
    """Put nothing between."""
    return ports


def reconcile(settings: Settings, batch: str | None, *, wrap: Wrap = as_they_are) -> ExitCode:
    """Look for the run of every job whose end is not known, show progress, and print the summary.

    `batch` is a name; None is every batch of this target. Raises IngestorError where it can't begin.
    """
    return asyncio.run(_interruptible(settings, batch, wrap))


async def _interruptible(settings: Settings, batch: str | None, wrap: Wrap) -> ExitCode:
    with SignalHandler() as interruption:
        try:
            return await _reconcile(settings, batch, interruption, wrap)
        except asyncio.CancelledError:
            if not interruption.count:
                raise
            print("ingestor: left at once; run the same command again to go on", file=sys.stderr)
            return ExitCode.STOPPED


async def _reconcile(settings: Settings, batch: str | None, interruption: SignalHandler, wrap: Wrap) -> ExitCode:
    begun, metrics = time.monotonic(), Metrics(time.monotonic)
    scope = scope_of(settings)
    known = batches(settings.state, platform=scope.platform, workspace=scope.workspace)
    names = [name for name in known if batch in (None, name)]
    with StateDirectory.open(settings.state, allow_network_fs=settings.allow_network_state) as state:
        async with progress(settings, metrics):
            endings = await _Work(state, settings, metrics, interruption, wrap).do(names)
    done = report.Reconciled(
        batches=tuple(names),
        exit_code=_exit_code(endings, metrics.counts[Outcome.UNRESOLVED]),
        left=sum(ending.left for ending in endings),
        duration=time.monotonic() - begun,
    )
    _print_summary(settings, done, metrics)
    return done.exit_code


def _exit_code(endings: Sequence[PipelineResult], unresolved: int) -> ExitCode:
    if any(ending.halt is not None for ending in endings):
        return ExitCode.HALTED
    if any(ending.stopped for ending in endings):
        return ExitCode.STOPPED
    return ExitCode.INCOMPLETE if unresolved else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Work:
    """The batches of one target, one after the other; `metrics` counts over all of them."""

    state: StateDirectory
    settings: Settings
    metrics: Metrics
    interruption: SignalHandler
    wrap: Wrap

    async def do(self, names: Sequence[str]) -> list[PipelineResult]:
        """Reconcile these batches, as far as the first that does not come to its end."""
        endings: list[PipelineResult] = []
        for name in names:
            endings.append(await self._batch(self.settings.model_copy(update={"batch": name})))
            if endings[-1].stopped or endings[-1].halt is not None:
                break
        return endings

    async def _batch(self, settings: Settings) -> PipelineResult:
        endpoint, begun, before = endpoint_of(settings), time.monotonic(), dict(self.metrics.counts)
        target, clock = target_of(settings, endpoint, senders=0), SteadyClock()
        async with (
            SqliteJournal.open(self.state, scope_of(settings), clock) as journal,
            _telling(settings, self.metrics, journal) as (reporter, telling),
            target,
        ):
            reporter.emit(BatchStarted(batch=settings.batch, target=endpoint.display, sources=()))
            await telling.catch_up()
            ports = self.wrap(Ports(journal, target, reporter))
            service = service_of(settings, ports.target, ports.account)
            work = Reconciliation(pipeline_options_of(settings), ports.jobs, service, ports.account, clock)
            self._let_stop(work)
            async with telling.confirming():
                ending = await _run(work, reporter)
            counts = {str(outcome): count - before[outcome] for outcome, count in self.metrics.counts.items()}
            reporter.emit(
                BatchFinished(
                    batch=settings.batch,
                    counts=counts,
                    left=ending.left,
                    exit_code=_exit_code([ending], counts[Outcome.UNRESOLVED]),
                    duration=time.monotonic() - begun,
                )
            )
            if ending.halt is None:
                await telling.confirm()
                await journal.conclude([])  # carries what was confirmed
        return ending

    def _let_stop(self, work: Reconciliation) -> None:
        def stop_and_say() -> None:
            print(_STOPPING, file=sys.stderr)
            work.stop()

        self.interruption.on_first(stop_and_say)
        if self.interruption.count:
            work.stop()
        if self.settings.time_budget is not None:
            asyncio.get_running_loop().call_later(self.settings.time_budget, work.stop, "the --time-budget is used up")


@asynccontextmanager
async def _telling(
    settings: Settings, metrics: Metrics, journal: SqliteJournal
) -> AsyncIterator[tuple[Reporter, OutboxRelay]]:
    """Open the log, and close it whatever happens. Raises IngestorError where it can't be written."""
    async with AsyncExitStack() as opened:
        log = StructuredLog.open(str(settings.log), SystemClock())
        opened.push_async_callback(log.close)
        telling = OutboxRelay(journal, log)
        yield Reporter(files=[log], views=[metrics, telling]), telling


async def _run(work: Reconciliation, reporter: Reporter) -> PipelineResult:
    """Do the work; an error that ends it becomes a halt."""
    try:
        return await work.run()
    except IngestorError as error:
        reporter.emit(BatchHalted(str(error), _AFTER_AN_ERROR))
        return PipelineResult(halt=Halt(str(error), _AFTER_AN_ERROR), stopped=True, left=work.left)


def _print_summary(settings: Settings, done: report.Reconciled, metrics: Metrics) -> None:
    """Print the summary on standard output; as text, on standard error where the log has standard output."""
    files = files_of(settings)
    if settings.output is Output.JSON:
        print(report.as_json(done, metrics, files))
    else:
        print(report.as_text(done, metrics, files), file=sys.stderr if files.log is None else sys.stdout)
