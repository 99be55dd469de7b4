"""The most attempts in flight, from latencies: a comparison of two sizes shows whether attempts wait in a queue.

By Little's law, attempts in flight = attempts a second x latency. If a smaller size leaves the latency as it is, no
attempt waited: the service is slow. If the latency falls with the size, attempts waited in a queue, of the service or
of this process. Then the smaller size is kept: it gives as many answers a second.

Latencies are compared by their medians: a few slow or lost answers say nothing about all others.
"""

from math import inf, sqrt
from statistics import median

from ingestor.policy.in_flight.constants import InFlightConstants


class LatencyLimit:
    """A size that grows where it is used up, and shrinks where attempts queue. Times are seconds.

    Attributes:
        size: the most attempts in flight, from 1 to `most`.
    """

    def __init__(self, first: int, most: int, now: float, constants: InFlightConstants) -> None:
        self.size = first
        self._most, self._constants = most, constants
        self._lowest = inf  # latency
        self._before: tuple[int, float] | None = None  # size and latency that this period is compared with
        self._gap = self._until_growth = 0
        # this period
        self._began = now
        self._sent = self._full = self._peak = 0
        self._latencies: list[float] = []

    def sent(self, in_flight: int) -> None:
        """Record an attempt; `in_flight` attempts are in flight with it."""
        self._sent += 1
        if in_flight > self._peak:  # noqa: PLR1730 - `max` takes three times as long
            self._peak = in_flight
        if in_flight >= self.size:
            self._full += 1

    def accepted(self, now: float, sent_at: float) -> None:
        """Record an answer other than 429. Attempts of an earlier period do not count: the size was different."""
        if sent_at < self._began:
            return
        latencies, constants = self._latencies, self._constants
        latencies.append(now - sent_at)
        if now - self._began >= constants.period and len(latencies) >= constants.answers:
            self._evaluate(median(latencies), is_used=self._full >= constants.used * self._sent)
            self._began = now
            self._sent = self._full = self._peak = 0
            latencies.clear()

    def _evaluate(self, latency: float, *, is_used: bool) -> None:
        """Evaluate a period: its median latency, and whether the size was used up."""
        constants, before = self._constants, self._before
        self._before = None
        if before is not None and self.size < before[0]:
            self._compare_smaller(*before, latency)
        elif before is not None and is_used:
            self._compare_larger(*before, latency)
        elif self._is_high(latency):
            self._before = self.size, latency
            self.size, self._until_growth = max(1, int(self._peak / constants.factor)), 0
        else:
            self._lowest = min(self._lowest, latency)
            if is_used and self.size < self._most:
                self._grow(latency)

    def _grow(self, latency: float) -> None:
        """Try a larger size, unless one did not pay a short time ago."""
        if self._until_growth > 0:
            self._until_growth -= 1
            return
        self._before = self.size, latency
        self.size = min(self._most, int(self._constants.factor * self.size))

    def _is_high(self, latency: float) -> bool:
        return latency > self._constants.factor * self._lowest + self._constants.slack

    def _compare_smaller(self, size: int, before: float, latency: float) -> None:
        """Return to a larger size, and its latency `before`, unless the latency fell: then attempts had queued."""
        if latency * sqrt(self._constants.factor) > before:  # nearer to the same than to what a queue leaves
            self.size, self._lowest = size, latency

    def _compare_larger(self, size: int, before: float, latency: float) -> None:
        """Return to a smaller size, and its latency `before`, if the larger one does not pay."""
        constants = self._constants
        answers = self.size / latency / (size / before)
        if answers > 1 + constants.gain and not self._is_high(latency):
            self._gap = self._until_growth = 0
        else:
            self.size = size
            self._gap = self._until_growth = min(constants.trial_gap, 2 * self._gap + 1)
