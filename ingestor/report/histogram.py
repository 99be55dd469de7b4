"""Quantiles and rates of many values, in bounded memory."""

from collections import Counter, deque
from collections.abc import Sequence
from math import ceil, exp, floor, log, sqrt

from ingestor.model.durations import Durations

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

    Attributes:
        buckets: how many values each bucket has.
    """

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Count one value."""
        bounded = min(max(value, MIN_MS), MAX_MS)
        self.buckets[floor(log(bounded) / _LOG_GROWTH)] += 1

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.buckets.total()

    def since(self, earlier: "Histogram") -> "Histogram":
        """Return the values that were counted since this histogram was equal to `earlier`."""
        later = Histogram()
        later.buckets = self.buckets - earlier.buckets
        return later

    def add_all(self, other: "Histogram") -> None:
        """Count the values of another histogram."""
        self.buckets.update(other.buckets)

    def copy(self) -> "Histogram":
        """Return a histogram that is equal now."""
        return self.since(Histogram())

    def quantile(self, fraction: float) -> float | None:
        """Return the value that `fraction` (above 0, up to 1) of all values do not exceed; None without values."""
        rank = ceil(fraction * self.buckets.total())
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return exp(bucket * _LOG_GROWTH) * sqrt(_GROWTH)
        return None


def as_durations(histogram: Histogram, bounds: Sequence[float]) -> Durations:
    """Return the values under other bounds, in seconds: each counts as the middle of its bucket."""
    durations = Durations(bounds)
    for bucket, count in dict(histogram.buckets).items():
        durations.add(exp(bucket * _LOG_GROWTH) * sqrt(_GROWTH) / 1000, count)
    return durations


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
