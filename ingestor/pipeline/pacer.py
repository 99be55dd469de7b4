"""The rate limiter of all attempts: a token bucket (aiolimiter) at the controller's rate, and pauses."""

import asyncio

from aiolimiter import AsyncLimiter

from ingestor.model.events import BatchPaused, BatchResumed, RateChanged
from ingestor.model.ports import EventSink
from ingestor.policy.ceiling import TOLERANCE, paced
from ingestor.policy.rate import RateController

PAUSE_REASON = "the service asked to wait"
"""Why nothing is sent after an answer with Retry-After."""

_BUCKET_SECONDS = 0.05  # large enough to catch up after the event loop was late; small bursts
_LOGGED_SHARE = 0.05  # smaller changes of the rate are not reported
_LOGGED_SECONDS = 1.0  # between two reports of the rate, at least


class Pacer:
    """Starts one attempt after the other, in the order of the calls to `acquire`.

    The bucket holds seconds: one of them leaks each second, and an attempt costs 1/rate. So the rate may change at any
    time without a burst, and the bucket is never replaced.

    Args:
        ceiling: the most attempts a second; None for no ceiling. The pacer stays a little below one under 20, and
            `policy.ceiling` says how much: it must never be faster than what checks the requests that leave.
        sink: takes changes of rate, and pauses.

    Attributes:
        in_flight: how many attempts are in flight; `Dispatch` keeps it up to date.
        on_change: called when `window` has changed.
    """

    def __init__(self, ceiling: float | None, sink: EventSink) -> None:
        self.in_flight = 0
        self.on_change = _do_nothing
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._controller = RateController(None if ceiling is None else paced(ceiling), self._now())
        self._burst = _BUCKET_SECONDS if ceiling is None else TOLERANCE
        self._bucket = AsyncLimiter(self._burst, self._burst)
        self._resume_at = self._paused_at = self._logged_at = self._now()
        self._logged_rate = 0.0
        self._window: int | None = None
        self._resumption: asyncio.TimerHandle | None = None
        self._resumed = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def window(self) -> int | None:
        """The most attempts that should be in flight for now; None for no bound."""
        return self._controller.window

    async def acquire(self) -> None:
        """Wait until the next request may be sent."""
        async with self._turn:
            await self._take_from_bucket()
            while self._resumption is not None:
                await self._resumed.wait()
        self._controller.sent(self._now(), self.in_flight + 1)

    def observe(self, *, throttled: bool, sent_at: float, retry_after: float | None) -> None:
        """Record an answer: `throttled` is a 429; `retry_after`, seconds, pauses every attempt."""
        now = self._now()
        if throttled:
            self._controller.throttled(now, sent_at)
        else:
            self._controller.accepted(now, sent_at)
        if retry_after is not None:
            self._pause(now, retry_after)
        if self.window != self._window:
            self._window = self.window
            self.on_change()
        self._log_rate(now, "429: the service refused requests" if throttled else "requests were accepted")

    def close(self) -> None:
        """Report no end of a pause any more. Comes last."""
        if self._resumption is not None:
            self._resumption.cancel()

    async def _take_from_bucket(self) -> None:
        seconds = 1.0 / self._controller.rate
        self._bucket.max_rate = max(self._burst, seconds)
        await self._bucket.acquire(seconds)

    def _pause(self, now: float, seconds: float) -> None:
        """Pause for so long; a pause that lasts at least as long stays as it is."""
        if seconds <= 0 or now + seconds <= self._resume_at:
            return
        if self._resumption is None:
            self._paused_at = now
        self.close()
        self._resume_at = now + seconds
        self._resumed.clear()
        self._resumption = self._loop.call_at(self._resume_at, self._resume)
        self._sink.emit(BatchPaused(PAUSE_REASON, seconds))

    def _resume(self) -> None:
        self._resumption = None
        self._resumed.set()
        now = self._now()
        self._controller.resumed(now, now - self._paused_at)
        self._sink.emit(BatchResumed(PAUSE_REASON))

    def _log_rate(self, now: float, reason: str) -> None:
        """Report the rate if it differs from the reported one by more than a small step."""
        rate, logged = self._controller.rate, self._logged_rate
        if now - self._logged_at >= _LOGGED_SECONDS and abs(rate - logged) > _LOGGED_SHARE * logged:
            self._logged_at, self._logged_rate = now, rate
            self._sink.emit(RateChanged(rate, reason))


def _do_nothing() -> None:
    """Be the `on_change` of a pacer that nobody watches."""
