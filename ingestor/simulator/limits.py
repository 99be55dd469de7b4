"""The limits of the service. A client learns of them only by exceeding them."""

import math
from collections.abc import Callable
from email.utils import formatdate

from ingestor.simulator.options import RetryAfter
from ingestor.simulator.wire import ApiError

_ROUNDING = 1e-6
"""How much of a token may be missing: seconds since the epoch leave no more precision than that."""


class TokenBucket:
    """Admits `rate` requests a second, and `burst` seconds' worth at once after idle time. Starts full."""

    def __init__(self, rate: float | None, burst: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._level = math.inf
        self._filled_at = now()
        self._fill()

    def set_rate(self, rate: float | None) -> None:
        """Change the rate. Unused tokens stay, up to the new burst."""
        self._fill()
        self._rate = rate
        self._fill()

    def take(self) -> float:
        """Take one token and return 0, or return the seconds until there will be one."""
        if self._rate is None:
            return 0.0
        self._fill()
        if self._level < 1 - _ROUNDING:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0.0

    def _fill(self) -> None:
        now = self._now()
        if self._rate is None:
            self._level = math.inf
        else:
            gained = (now - self._filled_at) * self._rate
            self._level = min(self._level + gained, max(1.0, self._rate * self._burst))
        self._filled_at = now


class Throttle:
    """Refuses what exceeds the rate or the concurrency with 429 TooManyRequests."""

    def __init__(
        self, bucket: TokenBucket, concurrency: int | None, form: RetryAfter, now: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._concurrency = concurrency
        self._form = form
        self._now = now

    def check(self, in_flight: int) -> None:
        """Admit a request, itself counted in `in_flight`, or raise ApiError (429)."""
        if self._concurrency is not None and in_flight > self._concurrency:
            raise self._refusal(1.0)
        wait = self._bucket.take()
        if wait:
            raise self._refusal(wait)

    def _refusal(self, wait: float) -> ApiError:
        headers = {}
        if self._form is RetryAfter.SECONDS:
            headers["Retry-After"] = str(math.ceil(wait))
        elif self._form is RetryAfter.DATE:
            headers["Retry-After"] = formatdate(math.ceil(self._now() + wait), usegmt=True)
        return ApiError(429, "TooManyRequests", "Too many requests in a short period.", headers)
