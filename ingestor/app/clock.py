"""The clocks of this machine."""

import time
from collections.abc import Callable
from dataclasses import replace

from ingestor.model.admission import JournalTime
from ingestor.policy.expiry import moved_on, resumed

_STEP = 1.0
"""Seconds that wall and monotonic clock may differ before that counts as a step of the wall clock."""


class SystemClock:
    """The port Clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class SteadyClock:
    """The port Timekeeper, over a wall clock (seconds since the epoch) and a monotonic one."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._known: JournalTime | None = None
        self._known_at = 0.0

    def now(self) -> JournalTime:
        """Return what is known about the time."""
        wall, now = self._wall(), self._monotonic()
        if self._known is None:
            return self._keep(JournalTime(wall, wall), now)
        elapsed = now - self._known_at
        if abs(wall - self._known.wall - elapsed) > _STEP:
            return self._keep(moved_on(self._known, wall, elapsed), now)
        return replace(self._known, time=self._known.time + elapsed, wall=wall)

    def resume(self, last: JournalTime) -> None:
        """Go on from the last time that the journal has recorded."""
        self._keep(resumed(last, self._wall()), self._monotonic())

    def _keep(self, known: JournalTime, now: float) -> JournalTime:
        self._known, self._known_at = known, now
        return known
