"""The most attempts in flight, from latencies: a comparison of two sizes shows whether attempts wait in a queue.

By Little's law, attempts in flight = attempts a second x latency. If a smaller size leaves the latency as it is, no
attempt waited: the service is slow. If the latency falls with the size, attempts waited in a queue, of the service or
of this process. Then a smaller size gives as many answers a second, and is halved again. The lowest latency that is
known may itself be one with a queue, until a smaller size left it as it is, or a larger size gave more answers.

Latencies are compared by their medians: a few slow or lost answers say nothing about all others.
"""

from dataclasses import dataclass
from math import inf, sqrt
from statistics import median

from ingestor.policy.in_flight.constants import InFlightConstants


@dataclass(frozen=True, slots=True)
class _Period:
    """What a size gave: how many attempts were in flight, and their latency in seconds, both by the median."""

    size: int
    level: float
    latency: float

    @property
    def answers(self) -> float:
        """Answers a second (Little's law)."""
        return self.level / self.latency


class LatencyLimit:
    """A size that grows where it is used up, and shrinks where attempts queue. Times are seconds.

    Attributes:
        size: the most attempts in flight, from 1 to `most`.
    """

    def __init__(self, first: int, most: int, now: float, constants: InFlightConstants) -> None:
        self.size = first
        self._most, self._constants = most, constants
        self._lowest, self._is_proven = inf, False  # latency; whether no attempt queued then
        self._before: _Period | None = None  # this period is compared with it
        self._gap = self._until_growth = 0
        # this period
        self._began = self._resized = now
        self._answers: list[tuple[int, float]] = []  # level and latency of each

    def accepted(self, now: float, sent_at: float, level: int) -> None:
        """Record an answer other than 429 to an attempt; `level` attempts were in flight with it.

        Attempts that were sent at another size do not count.
        """
        if sent_at < self._resized:
            return
        answers, constants = self._answers, self._constants
        answers.append((level, now - sent_at))
        if now - self._began >= constants.period and len(answers) >= constants.answers:
            size = self.size
            self._evaluate(_period(size, answers))
            self._began = now
            answers.clear()
            if self.size != size:
                self._resized = now

    def _evaluate(self, period: _Period) -> None:
        before, self._before = self._before, None
        if before is None:
            self._judge(period)
        elif period.size < before.size:
            self._compare_smaller(before, period)
        else:
            self._compare_larger(before, period)

    def _judge(self, period: _Period) -> None:
        """Try a smaller size if the latency is high for a reason that is not known yet, and else a larger one."""
        if not self._is_high(period):
            self._lowest = min(self._lowest, period.latency)
            self._grow(period)
        elif self._is_slow():
            self._lowest, self._is_proven = period.latency, True
            self._grow(period)
        elif self._is_steady():
            self._shrink(period)

    @property
    def _tolerated(self) -> float:
        """Return the highest latency that needs no smaller size."""
        return self._constants.factor * self._lowest + self._constants.slack

    def _is_high(self, period: _Period) -> bool:
        return period.latency > self._tolerated

    def _is_steady(self) -> bool:
        """Return whether the latency at the end of this period was about the one at its beginning."""
        half = len(self._answers) // 2
        first, last = _period(self.size, self._answers[:half]), _period(self.size, self._answers[half:])
        return last.latency <= sqrt(self._constants.factor) * first.latency

    def _is_slow(self) -> bool:
        """Return whether the level changed within this period, and the latency did not change with it."""
        answers = sorted(self._answers)
        half = len(answers) // 2
        few, many = _period(self.size, answers[:half]), _period(self.size, answers[half:])
        change = many.level / few.level
        return change >= sqrt(self._constants.factor) and many.latency <= sqrt(change) * few.latency

    def _grow(self, period: _Period) -> None:
        """Try a larger size if this one is used up, unless one did not pay a short time ago."""
        constants = self._constants
        if period.level < constants.used * period.size or period.size >= self._most:
            return
        if self._until_growth > 0:
            self._until_growth -= 1
            return
        self._before = period
        self.size = min(self._most, int(constants.factor * period.size))

    def _compare_larger(self, before: _Period, period: _Period) -> None:
        """Return to a smaller size if the larger one does not pay."""
        constants, gain = self._constants, period.answers / before.answers - 1
        is_filled = period.level > sqrt(constants.factor) * before.level
        if self._is_high(period) or (is_filled and gain <= constants.gain):
            self.size = before.size
            self._gap = self._until_growth = min(constants.trial_gap, 2 * self._gap + 1)
            if not self._is_proven and before.latency > constants.slack:
                self._shrink(before)
            return
        self._lowest = min(self._lowest, before.latency, period.latency)
        if gain > constants.gain:
            self._gap, self._is_proven = 0, True
            self._grow(period)
        else:
            self._before = before  # too few are in flight to show it

    def _shrink(self, period: _Period) -> None:
        """Try a smaller size, unless too few are in flight to see a difference."""
        factor = self._constants.factor
        smaller = max(2, round(period.level / factor))
        if smaller * sqrt(factor) > period.level:
            self._lowest = period.latency
            self._settle(period)
        else:
            self._before = period
            self.size, self._until_growth = smaller, 0

    def _compare_smaller(self, before: _Period, period: _Period) -> None:
        """Return to a larger size if the latency did not fall. If it fell, attempts had queued: try a smaller one."""
        constants = self._constants
        if period.latency * sqrt(constants.factor) > before.latency:  # nearer to the same than to what a queue leaves
            self._lowest, self._is_proven = period.latency, True
            self.size = before.size
            self._grow(before)
            return
        self._lowest = min(self._lowest, period.latency)
        if period.latency > constants.slack and (self._is_high(period) or not self._is_proven):
            self._shrink(period)
        else:
            self._settle(period)

    def _settle(self, period: _Period) -> None:
        """Let as many be in flight as the tolerated latency allows: they keep the service busy."""
        self._is_proven = True
        wanted = min(self._constants.factor * period.size, period.answers * self._tolerated)
        self.size = min(self._most, max(period.size, int(wanted)))


def _period(size: int, answers: list[tuple[int, float]]) -> _Period:
    levels, latencies = zip(*answers, strict=True)
    return _Period(size, max(1.0, median(levels)), median(latencies))
