"""How many attempts a service that is slow should have in flight: rate times latency, and little more.

Answers that get slower while no more of them come are a queue, and our own attempts wait in it. Then as many are let
out as the service answers in twice its own latency. Where fewer in flight leave the latency as it was, it is no queue
of ours but the way the service is now, and it is given as many as its throughput needs again.
"""

from math import ceil
from statistics import median

_PERIOD = 0.5
_ANSWERS = 8
"""What is judged is a period of so many seconds at least, with so many answers to what was sent in it."""

_TOLERANCE = 2.0
_SLACK = 0.05
"""Answers may take this many times the service's own latency and this many seconds more before it counts as a queue."""

_FEWEST = 4
_GROWTH = 1.5
_FEWER = 0.7
_FASTER = 0.8
"""Answers that take less than this share of what they took are faster; more than its inverse, slower."""


class LatencyWindow:
    """A bound for attempts in flight, made from answers; times are seconds on the caller's monotonic clock.

    `size` is the bound, None where none is needed.
    """

    def __init__(self, now: float) -> None:
        self.size: int | None = None
        self._own = float("inf")
        self._before: tuple[float, float] | None = None
        self._began = self._first = now
        self._latencies: list[float] = []

    def answered(self, now: float, latency: float) -> None:
        """Take an answer that is no refusal, and how long it took."""
        if now - latency < self._began:
            return  # sent under another bound
        if not self._latencies:
            self._first = now
        self._latencies.append(latency)
        seconds = now - self._first
        if len(self._latencies) > _ANSWERS and seconds >= _PERIOD:
            self._judge((len(self._latencies) - 1) / seconds, median(self._latencies))
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._began = self._first = now
        self._latencies.clear()

    def _judge(self, throughput: float, latency: float) -> None:
        in_flight = throughput * latency
        if self._before is not None and self.size is not None and self.size <= _FEWER * self._before[0]:
            if _FASTER <= latency / self._before[1] <= 1 / _FASTER:
                self._own, self.size = latency, None
            self._before = None
        self._own = min(self._own, latency)
        bearable = _TOLERANCE * self._own + _SLACK
        if latency > bearable:
            if self._before is None or latency > self._before[1]:
                self._before = in_flight, latency
            self.size = max(_FEWEST, ceil(throughput * bearable))
        else:
            self._before = None
            if self.size is not None and in_flight >= _FEWER * self.size:
                self.size = ceil(_GROWTH * self.size)
