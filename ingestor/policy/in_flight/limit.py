"""The most attempts that should be in flight: a policy over attempts and answers, without I/O or clock."""

from bisect import bisect_right

from ingestor.policy.in_flight.concurrency_limit import ConcurrencyLimit
from ingestor.policy.in_flight.constants import CONSTANTS, InFlightConstants
from ingestor.policy.in_flight.latency_limit import LatencyLimit


class InFlightLimit:
    """The smaller of two sizes. Times are seconds on the caller's monotonic clock; they do not decrease.

    A *level* is the number in flight when an attempt was sent. The last ones are remembered until their answers come.

    Args:
        most: the size is never above it.
        now: the time.
        first: the size at first; None for `most`.
        constants: the table.
    """

    def __init__(
        self, most: int, now: float, *, first: int | None = None, constants: InFlightConstants = CONSTANTS
    ) -> None:
        self._by_latency = LatencyLimit(min(most, first or most), most, now, constants)
        self._by_refusals = ConcurrencyLimit(constants)
        self._remembered = constants.remembered
        self._times: list[float] = []
        self._levels: list[int] = []

    @property
    def size(self) -> int:
        """The most attempts that should be in flight: at least 1."""
        size, other = self._by_latency.size, self._by_refusals.size
        return size if size <= other else int(other)

    def sent(self, now: float, in_flight: int) -> None:
        """Record an attempt; `in_flight` attempts are in flight with it."""
        self._times.append(now)
        self._levels.append(in_flight)
        if len(self._times) > self._remembered:
            del self._times[: self._remembered // 2], self._levels[: self._remembered // 2]
        self._by_refusals.sent(in_flight)

    def accepted(self, now: float, sent_at: float) -> bool:
        """Record an answer other than 429. Return whether the number in flight turns out to have caused refusals.

        Then what was learned from those refusals about the rate is wrong.
        """
        level = self._level(sent_at)
        self._by_latency.accepted(now, sent_at, level)
        return self._by_refusals.accepted(now, sent_at, level)

    def refused(self, now: float, sent_at: float) -> bool:
        """Record a 429. Return whether the number in flight caused it, so that the rate is not to blame."""
        return self._by_refusals.refused(now, sent_at, self._level(sent_at))

    def _level(self, sent_at: float) -> int:
        """Return how many attempts were in flight with the one that was sent then."""
        index = bisect_right(self._times, sent_at) - 1
        return self._levels[index] if index >= 0 else 0
