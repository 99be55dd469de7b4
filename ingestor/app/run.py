"""`ingestor run`: a batch for a person at a terminal, or a scheduler."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence

from ingestor.app.ingest import Stop, Wrap, as_they_are, ingest
from ingestor.app.parts import files_of, reserved_paths_of, scope_of
from ingestor.app.signals import SignalHandler
from ingestor.model.collector import collect_rarely
from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.outcome import Outcome
from ingestor.report.metrics import Metrics
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import as_json, as_text
from ingestor.report.text import printable
from ingestor.settings.options import Settings
from ingestor.settings.values import Output
from ingestor.sources.locate import STDIN
from ingestor.sources.reader import Reader, open_sources
from ingestor.sources.spool import Spool

_STOPPING = "ingestor: stopping: requests on their way get {:g} s to end (Ctrl-C again leaves at once)"


def run(settings: Settings, sources: Sequence[str], *, wrap: Wrap = as_they_are) -> ExitCode:
    """Bring in the records of `sources`, show progress, and print the summary.

    Standard input that an earlier run read and did not finish comes first.
    Raises IngestorError where the batch can't begin.
    """
    scope = scope_of(settings)
    spool = Spool(settings.state, scope) if settings.spool else None
    _say_that_it_waits(sources)
    source = open_sources(sources, scope, spool, reserved_paths_of(settings))
    return bring_in(settings, source, sources, spool, wrap)


def _say_that_it_waits(sources: Sequence[str]) -> None:
    if (not sources or STDIN in sources) and sys.stdin is not None and sys.stdin.isatty():
        print("ingestor: reading records from the terminal; end them with Ctrl-D", file=sys.stderr)


def bring_in(
    settings: Settings, source: Reader, names: Sequence[str], spool: Spool | None, wrap: Wrap = as_they_are
) -> ExitCode:
    """Bring in the records of `source`, and forget the spool once each of them has a run. Raises IngestorError."""
    collect_rarely()
    return asyncio.run(_bring_in(settings, source, names, spool, wrap))


async def _bring_in(
    settings: Settings, source: Reader, names: Sequence[str], spool: Spool | None, wrap: Wrap
) -> ExitCode:
    with SignalHandler() as interruption:
        try:
            finished = await _batch(settings, source, names, interruption, wrap)
        except asyncio.CancelledError:
            if not interruption.count:
                raise
            print("ingestor: left at once; run the same command again to go on", file=sys.stderr)
            return ExitCode.STOPPED
        if spool is not None and _is_accounted_for(finished):
            spool.clear()
        return ExitCode(finished.exit_code)


def _is_accounted_for(finished: BatchFinished) -> bool:
    """Whether no record needs to be read again: what failed or is unresolved may be tried by the next run."""
    again = (Outcome.FAILED, Outcome.UNRESOLVED)
    ended = finished.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE)
    return ended and not any(finished.counts[outcome] for outcome in again)


async def _batch(
    settings: Settings, source: Reader, names: Sequence[str], interruption: SignalHandler, wrap: Wrap
) -> BatchFinished:
    metrics = Metrics(time.monotonic)

    def started(stop: Stop) -> None:
        def stop_and_say() -> None:
            print(_STOPPING.format(settings.drain_timeout), file=sys.stderr)
            stop("asked to")

        interruption.on_first(stop_and_say)
        if settings.time_budget is not None:
            asyncio.get_running_loop().call_later(settings.time_budget, stop, "the --time-budget is used up")

    async with progress(settings, metrics):
        finished = await ingest(
            source,
            settings,
            names=tuple(names),
            sources=source.sources,
            metrics=metrics,
            on_start=started,
            wrap=wrap,
        )
    _print_summary(settings, finished, metrics)
    return finished


@contextlib.asynccontextmanager
async def progress(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    """Show progress on standard error inside the block, as the settings say."""
    shown = Progress.on(sys.stderr, Mode(settings.progress), metrics, time.monotonic)
    showing = asyncio.create_task(shown.run())
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait({showing})
        shown.close()


def _print_summary(settings: Settings, finished: BatchFinished, metrics: Metrics) -> None:
    """Print the summary on standard output; as text, on standard error where the log has standard output."""
    files = files_of(settings)
    if metrics.halt is not None and not sys.stdout.isatty():  # whoever reads only standard error must know too
        print(f"ingestor: halted: {printable(metrics.halt.reason, 1000)}", file=sys.stderr)
    if settings.output is Output.JSON:
        print(as_json(finished, metrics, files))
    else:
        print(as_text(finished, metrics, files), file=sys.stderr if files.log is None else sys.stdout)
