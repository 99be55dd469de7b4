"""The progress in the log, once a minute: it is there also where nobody looks at a terminal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from ingestor.model.events import BatchProgress
from ingestor.model.ports import EventSink
from ingestor.model.record import Outcome
from ingestor.report.metrics import Metrics
from ingestor.system.tasks import in_background

INTERVAL = 60.0
"""Seconds between two events."""


def logging_progress(
    metrics: Metrics,
    sink: EventSink,
    before: Mapping[Outcome, int],
    situation: Callable[[], str],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AbstractAsyncContextManager[None]:
    """Emit BatchProgress every INTERVAL seconds while the block runs.

    `before` has the counts when the batch began. `situation` says what the batch does, in one sentence.
    """
    return in_background(_emit_regularly(metrics, sink, before, situation, clock, sleep))


async def _emit_regularly(
    metrics: Metrics,
    sink: EventSink,
    before: Mapping[Outcome, int],
    situation: Callable[[], str],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    done, at = metrics.done, clock()
    while True:
        await sleep(INTERVAL)
        done_before, then = done, at
        done, at = metrics.done, clock()
        progress = _progress(metrics, before, rate=(done - done_before) / max(at - then, 1.0))
        sink.emit(replace(progress, situation=situation()))


def _progress(metrics: Metrics, before: Mapping[Outcome, int], *, rate: float) -> BatchProgress:
    snapshot = metrics.snapshot()
    return BatchProgress(
        counts={str(outcome): count - before.get(outcome, 0) for outcome, count in metrics.counts.items()},
        already_done=metrics.already_done,
        records=metrics.records,
        left=max(0, metrics.records - metrics.done),
        total=snapshot.total,
        rate=rate,
        pause=None if snapshot.pause is None else snapshot.pause.reason,
    )
