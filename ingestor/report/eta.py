"""When a batch will be done, as a range: from the fastest to the slowest rate of the last minutes.

One number would jump with every change of the rate. A range says how sure it is.
"""

from collections import deque

WINDOWS = (60, 300, 900)
"""Seconds: the mean rates over these times make the range."""

SHORTEST = 10.0
"""Seconds that must be observed before there is a range."""

_MARGIN = 0.1  # share by which the range is widened: the rate of the next minutes is not one of the last


class RecentPace:
    """How many records were done at each look of the last minutes. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=max(WINDOWS) + 1)

    def look(self, now: float, done: int) -> None:
        """Take how many are done now. Call it once a second."""
        self._looks.append((now, done))

    def remaining(self, left: int) -> tuple[float, float] | None:
        """Return the least and the most seconds for what is `left`; None if nothing shows how fast it goes."""
        if not self._looks or self._looks[-1][0] - self._looks[0][0] < SHORTEST:
            return None
        rates = [self._rate(window) for window in WINDOWS]
        if min(rates) <= 0:
            return None
        return left / max(rates) * (1 - _MARGIN), left / min(rates) * (1 + _MARGIN)

    def _rate(self, window: int) -> float:
        """Return records a second over the last `window` seconds, or since the first look."""
        now, done = self._looks[-1]
        began, before = next(look for look in self._looks if look[0] >= now - window)
        return (done - before) / (now - began) if now > began else 0.0
