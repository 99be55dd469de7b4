"""Quantiles of latencies in little memory."""

from collections import Counter
from math import ceil, exp, floor, log, sqrt

FLOOR_MS = 0.001
CEILING_MS = 10_000_000.0

_GROWTH = 1.03
_LOG_GROWTH = log(_GROWTH)


class Histogram:
    """Counts values in buckets whose bounds grow by 3 %, so that a quantile is off by 1.5 % at most.

    Values are milliseconds; those outside FLOOR_MS..CEILING_MS (1 microsecond to 2.8 hours) count as the bound.
    Takes at most 780 buckets.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._total = 0

    def add(self, value: float) -> None:
        """Count one value."""
        bounded = min(max(value, FLOOR_MS), CEILING_MS)
        self._buckets[floor(log(bounded) / _LOG_GROWTH)] += 1
        self._total += 1

    def quantile(self, fraction: float) -> float | None:
        """Return the value that `fraction` (above 0, up to 1) of all values do not exceed; None without values."""
        rank = ceil(fraction * self._total)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return exp(bucket * _LOG_GROWTH) * sqrt(_GROWTH)
        return None
