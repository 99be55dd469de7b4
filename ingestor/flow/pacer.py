"""What lets attempts go: a token bucket (aiolimiter) at the controller's rate, and pauses."""

import asyncio

from aiolimiter import AsyncLimiter

from ingestor.model.events import BatchPaused, BatchResumed, RateChanged
from ingestor.model.ports import EventSink
from ingestor.policy.rate import RateController

_BUCKET_SECONDS = 0.02  # a bucket this deep keeps the rate exact and its bursts small


class Pacer:
    """Lets attempts go one by one, in the order they ask."""

    def __init__(self, ceiling: float | None, sink: EventSink) -> None:
        self._sink = sink
        self._now = asyncio.get_running_loop().time
        self._controller = RateController(ceiling, self._now())
        self._bucket_rate = 0.0
        self._bucket = AsyncLimiter(1)
        self._resume_at = 0.0
        self._paused = False
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until the next attempt may go."""
        async with self._turn:
            await self._wait()
        self._controller.sent()

    async def _wait(self) -> None:
        if self._bucket_rate != self._controller.rate:
            await self._replace_bucket()
        await self._bucket.acquire()
        while (left := self._resume_at - self._now()) > 0:  # noqa: ASYNC110 - a pause may grow while it lasts
            await asyncio.sleep(left)
        if self._paused:
            self._paused = False
            self._sink.emit(BatchResumed())

    def observe(self, *, throttled: bool, sent_at: float, retry_after: float | None) -> None:
        """Learn from an answer: `throttled` is a 429; `retry_after`, seconds, pauses every attempt."""
        now = self._now()
        if retry_after is not None:
            self._pause(now, retry_after)
        if throttled and self._controller.throttled(now, sent_at):
            self._sink.emit(RateChanged(self._controller.rate, "the service asks for less"))
        elif not throttled and self._controller.accepted(now):
            self._sink.emit(RateChanged(self._controller.rate, "the service takes it"))

    def _pause(self, now: float, seconds: float) -> None:
        if now + seconds <= self._resume_at:
            return
        self._resume_at = now + seconds
        if seconds > 0 and not self._paused:
            self._paused = True
            self._sink.emit(BatchPaused("the service asked to wait", seconds))

    async def _replace_bucket(self) -> None:
        """Start a bucket at the new rate, without the tokens a new one holds: a change must not be a burst."""
        rate = self._controller.rate
        size = max(1.0, rate * _BUCKET_SECONDS)
        self._bucket_rate, self._bucket = rate, AsyncLimiter(size, size / rate)
        await self._bucket.acquire(size)
