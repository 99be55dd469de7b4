# ruff: noqa: ARG002, D102 - `Limiter` explains the methods of all limiters
"""Rate limiters as a service may have them: each admits or refuses one request after the other.

Without I/O and without a clock: the caller passes the time, in seconds, which must not decrease. `limiter_spec` makes
them from a text.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import floor, inf
from random import Random
from typing import Protocol

_ROUNDING = 1e-6
"""Seconds by which a request may be early: seconds since the epoch are not more precise."""

_UNKNOWN_WAIT = 1.0
"""Seconds to wait after a refusal that time alone does not end."""


class Limiter(Protocol):
    """Decides for one request at a time, in the order in which they arrive."""

    def admit(self, now: float, in_service: int) -> float | None:
        """Return the seconds that a request waits in a queue, mostly 0; None refuses it.

        `in_service` counts the requests in service, this one included.
        """

    def retry_after(self, now: float) -> float:
        """Return in how many seconds the limiter may accept again. Only right after a refusal."""


class TokenBucket:
    """Admits `rate` requests a second, and `burst` seconds' worth at once after idle time. Full at first.

    `rate` may be a function of the time. The bucket holds at least one token.
    """

    def __init__(self, rate: float | Callable[[float], float], burst: float) -> None:
        self._rate_at = rate if callable(rate) else None
        self._rate = 0.0 if callable(rate) else rate
        self._burst = burst
        self._level = 0.0
        self._filled_at = -inf

    def set_rate(self, rate: float, now: float) -> None:
        """Change the rate. Unused tokens stay, up to the new burst."""
        self._fill(now)
        self._rate_at, self._rate = None, rate

    def admit(self, now: float, in_service: int) -> float | None:
        self._fill(now)
        if self._level < 1 - _ROUNDING * self._rate:
            return None
        self._level -= 1
        return 0.0

    def retry_after(self, now: float) -> float:
        return (1 - self._level) / self._rate

    def _fill(self, now: float) -> None:
        if self._rate_at is not None:
            self._rate = self._rate_at(now)
        gained = (now - self._filled_at) * self._rate
        self._level = min(self._level + gained, max(1.0, self._rate * self._burst))
        self._filled_at = now


class FixedWindow:
    """Admits a quota of requests in each window. Windows begin at whole multiples of their length.

    Whether refused requests count makes no difference: they are refused until the window ends in any case.
    """

    def __init__(self, quota: int, window: float) -> None:
        self._quota, self._window = quota, window
        self._number, self._used = -1, 0

    def admit(self, now: float, in_service: int) -> float | None:
        number = floor(now / self._window)
        if number != self._number:
            self._number, self._used = number, 0
        if self._used >= self._quota:
            return None
        self._used += 1
        return 0.0

    def retry_after(self, now: float) -> float:
        return (self._number + 1) * self._window - now


class SlidingWindow:
    """Admits a quota of requests in any window. With `count_refused`, refused requests use the quota up too."""

    def __init__(self, quota: int, window: float, *, count_refused: bool = False) -> None:
        self._quota, self._window, self._count_refused = quota, window, count_refused
        self._times = deque[float]()

    def admit(self, now: float, in_service: int) -> float | None:
        times = self._times
        while times and times[0] <= now - self._window:
            times.popleft()
        is_admitted = len(times) < self._quota
        if is_admitted or self._count_refused:
            times.append(now)
        return 0.0 if is_admitted else None

    def retry_after(self, now: float) -> float:
        return self._times[len(self._times) - self._quota] + self._window - now


class Nodes:
    """Several nodes with a limiter each. Every request goes to one of them at random, by `weights` if there are any."""

    def __init__(self, nodes: Sequence[Limiter], random: Random, weights: Sequence[float] | None = None) -> None:
        self._nodes, self._random, self._weights = nodes, random, weights
        self._node = nodes[0]

    def admit(self, now: float, in_service: int) -> float | None:
        self._node = self._random.choices(self._nodes, self._weights)[0]
        return self._node.admit(now, in_service)

    def retry_after(self, now: float) -> float:
        return self._node.retry_after(now)


class Shedding:
    """Refuses a share of the requests at random."""

    def __init__(self, share: float, random: Random) -> None:
        self._share, self._random = share, random

    def admit(self, now: float, in_service: int) -> float | None:
        return None if self._random.random() < self._share else 0.0

    def retry_after(self, now: float) -> float:
        return _UNKNOWN_WAIT


class HotKey:
    """A share of the requests, chosen at random, is for one key that has a limiter of its own. Others are admitted."""

    def __init__(self, share: float, limiter: Limiter, random: Random) -> None:
        self._share, self._limiter, self._random = share, limiter, random

    def admit(self, now: float, in_service: int) -> float | None:
        return self._limiter.admit(now, in_service) if self._random.random() < self._share else 0.0

    def retry_after(self, now: float) -> float:
        return self._limiter.retry_after(now)


class AtOnce:
    """Admits a request while at most `most` are in service."""

    def __init__(self, most: int) -> None:
        self._most = most

    def admit(self, now: float, in_service: int) -> float | None:
        return 0.0 if in_service <= self._most else None

    def retry_after(self, now: float) -> float:
        return _UNKNOWN_WAIT


class LeakyBucket:
    """A queue from which one request after the other is served, at a rate. It delays requests, and refuses few.

    A request that would wait for more than `longest_wait` seconds is refused.
    """

    def __init__(self, rate: float, longest_wait: float) -> None:
        self._interval, self._longest_wait = 1 / rate, longest_wait
        self._free_at = -inf

    def admit(self, now: float, in_service: int) -> float | None:
        wait = max(0.0, self._free_at - now)
        if wait > self._longest_wait + _ROUNDING:
            return None
        self._free_at = now + wait + self._interval
        return wait

    def retry_after(self, now: float) -> float:
        return self._free_at - now - self._longest_wait


class InSeries:
    """Several limiters, one after the other. A request that one refuses has used up what it took from those before."""

    def __init__(self, limiters: Sequence[Limiter]) -> None:
        self._limiters = limiters
        self._refusing: Limiter | None = None

    def admit(self, now: float, in_service: int) -> float | None:
        waited = 0.0
        for limiter in self._limiters:
            wait = limiter.admit(now + waited, in_service)
            if wait is None:
                self._refusing = limiter
                return None
            waited += wait
        return waited

    def retry_after(self, now: float) -> float:
        return self._refusing.retry_after(now) if self._refusing else 0.0
