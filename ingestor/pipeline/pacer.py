"""What lets attempts go: a token bucket (aiolimiter) at the controller's rate, and pauses."""

import asyncio
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from ingestor.model.events import BatchPaused, BatchResumed, RateChanged
from ingestor.model.ports import EventSink
from ingestor.policy.rate import RateController

_BUCKET_SECONDS = 0.05  # deep enough to make up for a loop that is held up, and its bursts are small
_TOLD_SHARE = 0.05
_TOLD_SECONDS = 1.0


class Pacer:
    """Lets attempts go one by one, in the order they ask.

    The bucket holds seconds: one of them drips away each second, and an attempt costs one over the rate. So the rate
    may change at any time, without a burst, and the bucket is never replaced.
    """

    def __init__(self, ceiling: float | None, sink: EventSink) -> None:
        self._sink = sink
        self._now = asyncio.get_running_loop().time
        self._controller = RateController(ceiling, self._now())
        self._bucket = AsyncLimiter(_BUCKET_SECONDS, _BUCKET_SECONDS)
        self._in_flight: Callable[[], int] = int
        self._resume_at = self._paused_at = self._told_at = self._now()
        self._told_rate = 0.0
        self._paused = False
        self._turn = asyncio.Lock()

    @property
    def window(self) -> int | None:
        """The most attempts that should be in flight for now; None for no bound."""
        return self._controller.window

    def watch(self, in_flight: Callable[[], int]) -> None:
        """Learn from this how many attempts are in flight."""
        self._in_flight = in_flight

    async def acquire(self) -> None:
        """Wait until the next attempt may go."""
        async with self._turn:
            await self._take_from_bucket()
            if self._paused:
                await self._wait_out()
        self._controller.sent(self._now(), self._in_flight() + 1)

    def observe(self, *, throttled: bool, sent_at: float, retry_after: float | None) -> None:
        """Learn from an answer: `throttled` is a 429; `retry_after`, seconds, pauses every attempt."""
        now = self._now()
        if throttled:
            self._controller.throttled(now, sent_at)
        else:
            self._controller.accepted(now, sent_at)
        if retry_after is not None:
            self._pause(now, retry_after)
        self._tell(now, "the service asks for less" if throttled else "the service takes it")

    async def _take_from_bucket(self) -> None:
        seconds = 1.0 / self._controller.rate
        self._bucket.max_rate = max(_BUCKET_SECONDS, seconds)
        await self._bucket.acquire(seconds)

    async def _wait_out(self) -> None:
        while (left := self._resume_at - self._now()) > 0:  # noqa: ASYNC110 - a pause may grow while it lasts
            await asyncio.sleep(left)
        self._paused = False
        now = self._now()
        self._controller.resumed(now, now - self._paused_at)
        self._sink.emit(BatchResumed())

    def _pause(self, now: float, seconds: float) -> None:
        if seconds <= 0 or now + seconds <= self._resume_at:
            return
        self._resume_at = now + seconds
        if not self._paused:
            self._paused, self._paused_at = True, now
            self._sink.emit(BatchPaused("the service asked to wait", seconds))

    def _tell(self, now: float, reason: str) -> None:
        """Tell of the rate where it is another than was told; not of every small step."""
        rate = self._controller.rate
        if now - self._told_at >= _TOLD_SECONDS and abs(rate - self._told_rate) > _TOLD_SHARE * self._told_rate:
            self._told_at, self._told_rate = now, rate
            self._sink.emit(RateChanged(rate, reason))
