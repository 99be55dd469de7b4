import asyncio
from collections.abc import Sequence

from ingestor.model.events import BatchPaused, BatchProgress, Event, RecordsAlreadyDone
from ingestor.model.record import Outcome
from ingestor.report.metrics import Metrics
from ingestor.report.progress_log import INTERVAL, logging_progress
from tests.report.examples import Watch, created, failed, read
from tests.support.memory import RecordingSink


async def minutes(*rounds: Sequence[Event]) -> list[BatchProgress]:
    """Let the events of one round happen in each minute, and return what was emitted."""
    watch, sink = Watch(), RecordingSink()
    metrics, left = Metrics(watch), list(rounds)
    metrics.emit(created())  # in an earlier batch of the same session
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if not left:
            over.set()
            await asyncio.Event().wait()
        watch.time += seconds
        for event in left.pop(0):
            metrics.emit(event)

    before = dict(metrics.counts)
    async with logging_progress(metrics, sink, before, lambda: "sending", clock=watch, sleep=sleep):
        await over.wait()
    return sink.of(BatchProgress)


async def test_each_minute_has_the_counts_so_far_and_the_rate_of_that_minute() -> None:
    first, second = await minutes(
        [read(1_000, 500, 1_000), RecordsAlreadyDone(300), *[created()] * 300], [failed(), *[created()] * 59]
    )
    assert first.counts[Outcome.CREATED] == 300
    assert (first.already_done, first.records, first.left, first.total) == (300, 1_000, 399, 2_000)
    assert first.rate == 600 / INTERVAL
    assert (second.counts[Outcome.CREATED], second.counts[Outcome.FAILED]) == (359, 1)
    assert second.rate == 60 / INTERVAL


async def test_a_minute_in_which_nothing_moves_has_the_reason() -> None:
    [progress] = await minutes([BatchPaused("the daily quota is used up", 600.0)])
    assert (progress.rate, progress.pause) == (0.0, "the daily quota is used up")
    assert progress.situation == "sending"


async def test_a_batch_of_less_than_a_minute_has_none() -> None:
    assert await minutes() == []
