"""How long something took, counted under fixed bounds: in constant memory, and cheap to add to."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: for a transaction on a disk."""

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: for a request over a network."""


class Durations:
    """Counts durations, in seconds. One thread adds; any thread may read, and sees each addition wholly or partly."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration that occurred so many times."""
        self._counts[bisect_left(self.bounds, seconds)] += times
        self.total += seconds * times

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return each bound with the number of durations that do not exceed it."""
        return list(zip(self.bounds, accumulate(self._counts), strict=False))
