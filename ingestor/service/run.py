"""`ingestor run`: a batch for a person at a terminal, or a scheduler."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.report.metrics import Metrics
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import as_json, as_text
from ingestor.service.ingest import Stop, ingest
from ingestor.service.interruption import Interruption
from ingestor.service.parts import files_of, scope_of
from ingestor.settings.options import Settings
from ingestor.settings.values import Output
from ingestor.sources.reader import open_sources

_STOPPING = "ingestor: stopping: requests on their way get {:g} s to end (Ctrl-C again leaves at once)"


def run(settings: Settings, sources: Sequence[str]) -> ExitCode:
    """Bring in the records of `sources`, show progress, and print the summary.

    Raises IngestorError where the batch can't begin.
    """
    return asyncio.run(_run(settings, sources))


async def _run(settings: Settings, sources: Sequence[str]) -> ExitCode:
    with Interruption() as interruption:
        try:
            return await _batch(settings, sources, interruption)
        except asyncio.CancelledError:
            if not interruption.count:
                raise
            print("ingestor: left at once; run the same command again to go on", file=sys.stderr)
            return ExitCode.STOPPED


async def _batch(settings: Settings, sources: Sequence[str], interruption: Interruption) -> ExitCode:
    source = open_sources(sources, scope_of(settings))
    metrics = Metrics(time.monotonic)

    def started(stop: Stop) -> None:
        def stop_and_say() -> None:
            print(_STOPPING.format(settings.drain_timeout), file=sys.stderr)
            stop()

        interruption.on_first(stop_and_say)
        if settings.time_budget is not None:
            asyncio.get_running_loop().call_later(settings.time_budget, stop)

    async with _progress(settings, metrics):
        finished = await ingest(source, settings, names=tuple(sources), metrics=metrics, on_start=started)
    _print_summary(settings, finished, metrics)
    return ExitCode(finished.exit_code)


@contextlib.asynccontextmanager
async def _progress(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    progress = Progress.on(sys.stderr, Mode(settings.progress), metrics, time.monotonic)
    showing = asyncio.create_task(progress.run())
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait({showing})
        progress.close()


def _print_summary(settings: Settings, finished: BatchFinished, metrics: Metrics) -> None:
    """Print the summary on standard output; as text, on standard error where the log has standard output."""
    files = files_of(settings)
    if settings.output is Output.JSON:
        print(as_json(finished, metrics, files))
    else:
        print(as_text(finished, metrics, files), file=sys.stderr if files.log is None else sys.stdout)
