"""The rate limiter of all attempts: a token bucket (aiolimiter) at the controller's rate, and closures."""

import asyncio
from contextlib import suppress

from aiolimiter import AsyncLimiter

from ingestor.model.activity import Bound, Hold
from ingestor.model.events import BatchPaused, BatchResumed, RateChanged
from ingestor.model.ports import EventSink
from ingestor.policy.ceiling import TOLERANCE, paced
from ingestor.policy.retry import RetryBudget
from ingestor.policy.send_control import SendControl

PAUSE_REASON = "the service refuses all requests for now (429)"
"""Why nothing is sent while the service is closed."""

_MOST_IN_FLIGHT = 1024
_MAX_PAUSE = RetryBudget().longest_wait
_BUCKET_SECONDS = 0.05  # large enough to catch up after the event loop was late; small bursts
_SHORTEST_REPORT = 1.0  # seconds between two reports of the rate, if the second is of a large change
_REPORT = 10.0  # seconds between two other reports of the rate
_LARGE_CHANGE = 0.5  # share of the rate
_SMALL_CHANGE = 0.05  # share of the rate: a smaller change is not reported
_REPORTED_CLOSURE = 1.0  # seconds from its beginning to its next attempt: a shorter closure is not reported
_REPORTED_WAIT = 10.0  # seconds: a wait within a closure that is reported again


class Pacer:
    """Starts one attempt after the other, in the order of the calls to `acquire`.

    The bucket holds seconds: one of them leaks each second, and an attempt costs 1/rate. So the rate may change at any
    time without a burst.

    Args:
        ceiling: the most attempts a second; None for no ceiling. The pacer stays a little below one under 20, and
            `policy.ceiling` says how much: it must never be faster than what checks the requests that leave.
        sink: takes changes of rate, and closures.
        most_in_flight: the most attempts in flight, at least 1.
        first_in_flight: the bound on attempts in flight at first; None: `most_in_flight`.
        max_pause: the longest wait that a Retry-After may cause, seconds.

    Attributes:
        in_flight: how many attempts have a slot; `Dispatch` keeps it up to date.
        on_change: called when `size` has changed.
    """

    def __init__(
        self,
        ceiling: float | None,
        sink: EventSink,
        *,
        most_in_flight: int = _MOST_IN_FLIGHT,
        first_in_flight: int | None = None,
        max_pause: float = _MAX_PAUSE,
    ) -> None:
        self.in_flight = 0
        self.on_change = _do_nothing
        self._sink = sink
        self._now = asyncio.get_running_loop().time
        self._ceiling = None if ceiling is None else paced(ceiling)
        self._was_refused = False
        self._control = SendControl(
            self._ceiling,
            most_in_flight,
            self._now(),
            first_in_flight=first_in_flight,
            max_pause=max_pause,
        )
        self._size = self._control.size
        self._burst = _BUCKET_SECONDS if ceiling is None else TOLERANCE
        self._bucket = AsyncLimiter(self._burst, self._burst)
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()
        self._closed_at: float | None = None
        self._reported_until: float | None = None
        self._logged_at, self._logged_rate = self._now(), 0.0

    @property
    def size(self) -> int:
        """The most attempts that may have a slot now, at least 1."""
        return self._control.size

    @property
    def rate(self) -> float:
        """Attempts a second that are allowed now."""
        return self._control.rate

    @property
    def bound(self) -> Bound:
        """What limits the rate."""
        if self._ceiling is not None and self._control.rate >= self._ceiling:
            return Bound.RATE
        return Bound.SERVICE if self._was_refused else Bound.GROWTH

    @property
    def hold(self) -> Hold | None:
        """The closure that was reported; None if there is none."""
        if self._closed_at is None or self._reported_until is None:
            return None
        now = self._now()
        left = max(0.0, self._control.resume_at - now)
        return Hold(reason=PAUSE_REASON, seconds=now - self._closed_at, left=left)

    async def acquire(self) -> None:
        """Wait until the next request may be sent."""
        async with self._turn:
            await self._take_from_bucket()
            if self._control.resume_at > self._now():
                await self._wait_for_reopening()
            self._control.sent(self._now(), self.in_flight + 1)

    def observe(self, *, throttled: bool, sent_at: float, retry_after: float | None) -> None:
        """Record an answer: `throttled` is a 429; its `retry_after`, seconds, counts while the service is closed."""
        now = self._now()
        if throttled:
            self._was_refused = True
            self._control.throttled(now, sent_at, retry_after)
        else:
            self._control.accepted(now, sent_at)
        if throttled or self._closed_at is not None:
            self._follow_closure(now)
        if self._control.size != self._size:
            self._size = self._control.size
            self.on_change()
        if now >= self._logged_at + _SHORTEST_REPORT:
            self._log_rate(now)

    async def _take_from_bucket(self) -> None:
        seconds = 1.0 / self._control.rate
        self._bucket.max_rate = max(self._burst, seconds)
        await self._bucket.acquire(seconds)

    async def _wait_for_reopening(self) -> None:
        """Wait until `resume_at`, which may move. The bucket is full then: what it saved meanwhile would be a burst."""
        while (seconds := self._control.resume_at - self._now()) > 0:
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
        most = self._bucket.max_rate
        self._bucket = AsyncLimiter(most, most)
        await self._bucket.acquire(most)

    def _follow_closure(self, now: float) -> None:
        """Wake the task that waits for `resume_at`, which may have moved. Report a long closure, and its end."""
        self._moved.set()
        if self._control.is_closed:
            if self._closed_at is None:
                self._closed_at = now
            self._report_closure(now, self._closed_at, self._control.resume_at)
        else:
            if self._reported_until is not None:
                self._sink.emit(BatchResumed(PAUSE_REASON))
            self._closed_at = self._reported_until = None

    def _report_closure(self, now: float, closed_at: float, until: float) -> None:
        """Report a closure once it is long, and later each long wait in it: Retry-After causes one."""
        if self._reported_until is None:
            is_due = until - closed_at >= _REPORTED_CLOSURE
        else:
            is_due = until - max(now, self._reported_until) >= _REPORTED_WAIT
        if is_due:
            self._reported_until = until
            self._sink.emit(BatchPaused(PAUSE_REASON, max(0.0, until - now)))

    def _log_rate(self, now: float) -> None:
        """Report the rate if it differs from the reported one by more than a small step."""
        rate, logged = self._control.rate, self._logged_rate
        change, seconds = abs(rate - logged), now - self._logged_at
        if change > (_LARGE_CHANGE if seconds < _REPORT else _SMALL_CHANGE) * logged:
            self._logged_at, self._logged_rate = now, rate
            reason = "requests were accepted" if rate > logged else "429: the service refused requests"
            self._sink.emit(RateChanged(rate, reason))


def _do_nothing() -> None:
    """Be the `on_change` of a pacer that nobody watches."""
