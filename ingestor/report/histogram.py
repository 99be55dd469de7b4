"""Quantiles and rates of many values, in bounded memory."""

from collections import Counter, deque
from math import ceil, exp, floor, log, sqrt

MIN_MS = 0.001
MAX_MS = 10_000_000.0

_GROWTH = 1.03
_LOG_GROWTH = log(_GROWTH)

WINDOW = 5.0
"""The current rate is the mean of this many seconds."""

_SLICE = 0.25
"""Seconds that are counted together for that."""


class Histogram:
    """Counts values in buckets whose bounds grow by 3 %, so that a quantile is wrong by at most 1.5 %.

    Values are milliseconds. A value outside MIN_MS..MAX_MS (1 microsecond to 2.8 hours) counts as the bound.
    There are at most 780 buckets.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Count one value."""
        bounded = min(max(value, MIN_MS), MAX_MS)
        self._buckets[floor(log(bounded) / _LOG_GROWTH)] += 1

    def quantile(self, fraction: float) -> float | None:
        """Return the value that `fraction` (above 0, up to 1) of all values do not exceed; None without values."""
        rank = ceil(fraction * self._buckets.total())
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return exp(bucket * _LOG_GROWTH) * sqrt(_GROWTH)
        return None


class RecentRate:
    """Counts what happened in the last WINDOW seconds, to the slice. `now` is a monotonic time in seconds."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._slices: deque[tuple[int, int]] = deque(maxlen=int(WINDOW / _SLICE))

    def add(self, now: float, amount: int) -> None:
        """Count what happens now."""
        number = int(now / _SLICE)
        if self._slices and self._slices[-1][0] == number:
            self._slices[-1] = (number, self._slices[-1][1] + amount)
        else:
            self._slices.append((number, amount))

    def rate(self, now: float) -> float:
        """Return how many a second; before WINDOW has passed, since the start."""
        oldest = int(now / _SLICE) - int(WINDOW / _SLICE)
        recent = sum(amount for number, amount in self._slices if number > oldest)
        return recent / min(WINDOW, max(now - self._start, _SLICE))
