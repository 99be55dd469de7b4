"""The rate limiter of all attempts: a token bucket (aiolimiter) at the controller's rate, and pauses."""

import asyncio

from aiolimiter import AsyncLimiter

from ingestor.model.events import BatchPaused, BatchResumed, RateChanged
from ingestor.model.ports import EventSink
from ingestor.policy.rate import RateController

_BUCKET_SECONDS = 0.05  # deep enough to make up for a loop that is held up; its bursts are small
_LOGGED_SHARE = 0.05  # smaller changes of the rate are not reported
_LOGGED_SECONDS = 1.0  # between two reports of the rate, at least


class Pacer:
    """Lets one attempt after the other start, in the order of the calls to `acquire`.

    The bucket holds seconds: one of them leaks each second, and an attempt costs 1/rate. So the rate may change at any
    time without a burst, and the bucket is never replaced.

    Args:
        ceiling: the most attempts a second; None for no ceiling.
        sink: takes changes of rate, and pauses.

    Attributes:
        in_flight: how many attempts are in flight; `Dispatch` keeps it up to date.
    """

    def __init__(self, ceiling: float | None, sink: EventSink) -> None:
        self.in_flight = 0
        self._sink = sink
        self._now = asyncio.get_running_loop().time
        self._controller = RateController(ceiling, self._now())
        self._bucket = AsyncLimiter(_BUCKET_SECONDS, _BUCKET_SECONDS)
        self._resume_at = self._paused_at = self._logged_at = self._now()
        self._logged_rate = 0.0
        self._paused = False
        self._turn = asyncio.Lock()

    @property
    def window(self) -> int | None:
        """The most attempts that should be in flight for now; None for no bound."""
        return self._controller.window

    async def acquire(self) -> None:
        """Wait until the next request may be sent."""
        async with self._turn:
            await self._take_from_bucket()
            if self._paused:
                await self._wait_out()
        self._controller.sent(self._now(), self.in_flight + 1)

    def observe(self, *, throttled: bool, sent_at: float, retry_after: float | None) -> None:
        """Take an answer: `throttled` is a 429; `retry_after`, seconds, pauses every attempt."""
        now = self._now()
        if throttled:
            self._controller.throttled(now, sent_at)
        else:
            self._controller.accepted(now, sent_at)
        if retry_after is not None:
            self._pause(now, retry_after)
        self._log_rate(now, "the service asks for less" if throttled else "the service accepts it")

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

    def _log_rate(self, now: float, reason: str) -> None:
        """Report the rate where it differs from the reported one by more than a small step."""
        rate, logged = self._controller.rate, self._logged_rate
        if now - self._logged_at >= _LOGGED_SECONDS and abs(rate - logged) > _LOGGED_SHARE * logged:
            self._logged_at, self._logged_rate = now, rate
            self._sink.emit(RateChanged(rate, reason))
