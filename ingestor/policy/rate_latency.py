"""How many attempts a service that is slow should have in flight: rate times latency, and little more.

Answers that get slower while no more of them come are a queue, and our own attempts wait in it. Then as many are let
out as the service answers in twice its own latency. Where fewer in flight leave the latency as it was, it is no queue
of ours but the way the service is now, and it is given as many as its throughput needs again. A latency that rose
little by little looks like a queue all the way down. So where it is no longer fewer that are let out, it is a few more
now and then: if more answers come of it, there is no queue.
"""

from math import ceil, sqrt
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
_LOOK, _SURE = 1.1, 2.0
_SOON, _SELDOM = 2, 64
"""Periods until a few more are let out: the first time, and at most. It is twice as many after each time."""

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
        self._looking_from: tuple[int, float] | None = None
        self._patience, self._waited = _SOON, 0
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
        if self._looking_from is not None:
            self._look(*self._looking_from, throughput, latency)
            return
        if self._before is not None and self.size is not None and self.size <= _FEWER * self._before[0]:
            if _FASTER <= latency / self._before[1] <= 1 / _FASTER:
                self._own, self.size = latency, None
            self._before = None
        self._own = min(self._own, latency)
        bearable = _TOLERANCE * self._own + _SLACK
        if latency > bearable:
            if self._before is None or latency > self._before[1]:
                self._before = in_flight, latency
            self._bound(max(_FEWEST, ceil(throughput * bearable)), throughput)
        else:
            self._before = None
            if self.size is not None and in_flight >= _FEWER * self.size:
                self.size = ceil(_GROWTH * self.size)

    def _bound(self, size: int, throughput: float) -> None:
        """Let so many out; a few more for once, where that has been no fewer than before for long."""
        self._waited = self._waited + 1 if self.size is not None and size >= self.size else 0
        self.size = size
        if self._waited >= self._patience:
            self._waited, self._patience = 0, min(_SELDOM, 2 * self._patience)
            self._looking_from, self.size = (size, throughput), ceil(_LOOK * size)

    def _look(self, size: int, before: float, throughput: float, latency: float) -> None:
        """Judge what more in flight than `size` bring, which brought `before` a second. Twice as many make sure."""
        now = size if self.size is None else self.size
        if throughput < sqrt(now / size) * before:
            self.size, self._looking_from = size, None
        elif now < _SURE * size:
            self.size = ceil(_LOOK * now)
        else:
            self._own, self.size, self._patience = latency, None, _SOON
            self._before = self._looking_from = None
