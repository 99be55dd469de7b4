"""Finding the rate that the service takes: a controller fed with replies, without I/O or clock of its own.

It starts slowly and doubles while all is well. A 429 cuts the rate to just under what was measured as accepted, by
half at most, and once per epoch: replies to attempts from before a cut say nothing about the rate after it. Then the
rate creeps up, faster the longer nothing is refused. It only grows while the rate is what holds the batch back.
"""

from collections import deque

FLOOR = 0.5
"""The lowest rate, attempts per second."""

_START = 20.0
_BACK_OFF = 0.95
_SLOW_START_PERIOD = 0.25
_PROBE_PERIOD = 1.0
_FIRST_STEP = 0.01
_LAST_STEP = 0.20
_USED = 0.7
_WINDOW = 1.0


class RateController:
    """The rate of attempts, in attempts per second; times are seconds on the caller's monotonic clock."""

    def __init__(self, ceiling: float | None, now: float) -> None:
        self._ceiling = ceiling if ceiling is not None else float("inf")
        self.rate = self._ceiling if ceiling is not None else _START
        self._slow_start = ceiling is None
        self._step = _FIRST_STEP
        self._started = self._epoch = self._period_start = now
        self._sent = 0
        self._accepted: deque[float] = deque()

    def sent(self) -> None:
        """Count an attempt that was let go."""
        self._sent += 1

    def accepted(self, now: float) -> bool:
        """Take an answer that is no 429; True where the rate changed."""
        self._accepted.append(now)
        self._forget(now)
        period = max(_SLOW_START_PERIOD if self._slow_start else _PROBE_PERIOD, 4.0 / self.rate)
        if now - self._period_start < period:
            return False
        used = self._sent / (now - self._period_start) >= _USED * self.rate
        self._period_start, self._sent = now, 0
        return used and self._grow()

    def throttled(self, now: float, sent_at: float) -> bool:
        """Take a 429; True where the rate changed."""
        if sent_at < self._epoch:
            return False
        self._forget(now)
        measured = len(self._accepted) / min(self._window(), max(now - self._started, _SLOW_START_PERIOD))
        self.rate = min(self._ceiling, max(FLOOR, _BACK_OFF * min(self.rate, max(measured, self.rate / 2))))
        self._slow_start = False
        self._step = _FIRST_STEP
        self._epoch = self._period_start = now
        self._sent = 0
        return True

    def _grow(self) -> bool:
        before = self.rate
        if self._slow_start:
            self.rate *= 2
        else:
            self.rate *= 1 + self._step
            self._step = min(_LAST_STEP, 2 * self._step)
        self.rate = min(self.rate, self._ceiling)
        return self.rate != before

    def _window(self) -> float:
        return max(_WINDOW, 10.0 / self.rate)

    def _forget(self, now: float) -> None:
        horizon = now - self._window()
        while self._accepted and self._accepted[0] < horizon:
            self._accepted.popleft()
