"""The circuit breaker: it stops all sending while the service is down. `policy.health` has the table of its states."""

from enum import StrEnum
from math import inf

from ingestor.model.reply import Fault, Reply
from ingestor.policy.watchdog import Watchdog

SUSPICION = 3
"""Failures in a row before a probe is sent."""

BREADTH = 10
"""Different jobs that fail in a row before the service counts as down, even if it answers probes."""

FIRST_INTERVAL = 1.0
"""Seconds from the beginning of an outage to the first probe. Each further interval is twice as long.

A Retry-After that is longer, up to `LONGEST_INTERVAL`, counts instead."""

LONGEST_INTERVAL = 60.0
"""The longest interval between probes that fail, seconds."""

LONGEST_ANSWERED_INTERVAL = 8.0
"""The longest interval if probes are answered and jobs fail, seconds: only a job can show that the service is up."""


class Outage(StrEnum):
    """The states of a breaker that is not closed."""

    SUSPECT = "suspect"
    DOWN = "down"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """Times are seconds on the caller's monotonic clock.

    Attributes:
        state: None while the service counts as up.
        up_since: when the service was last found to be back after it was down; minus infinity where it never was down.
        probe_at: when the next probe of an outage is due; None if there is no outage, or it lasts too long.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self.state: Outage | None = None
        self.up_since = -inf
        self.probe_at: float | None = None
        self._watchdog = watchdog
        self._failures = 0
        self._failing: set[str] = set()
        self._answered_until = self._looked_up_until = -inf  # when the last ones were sent that were answered
        self._down_since = inf
        self._past_downtime = 0.0
        self._interval = FIRST_INTERVAL

    @property
    def is_exhausted(self) -> bool:
        """Whether the service was down for too long."""
        return self.state is Outage.DOWN and self.probe_at is None

    def uptime(self, now: float) -> float:
        """Return `now` minus all the time that the service was down."""
        return now - self._past_downtime - self._downtime(now)

    def _downtime(self, now: float) -> float:
        """Return the seconds of the present outage. Long half open, no job was due: that time is no downtime."""
        end = min(now, self.up_since + LONGEST_INTERVAL) if self.state is Outage.HALF_OPEN else now
        return max(0.0, end - self._down_since)

    def succeeded(self, now: float) -> None:
        """Record a reply that shows that the service works: it is not down."""
        if self.state is None and not self._failures and not self._failing:
            return
        self._past_downtime += self._downtime(now)
        self._leave_down(now)
        self._down_since = inf
        self.state = None
        self._failures = 0
        self._failing.clear()
        self._interval = FIRST_INTERVAL

    def answered(self, now: float, sent_at: float, *, throttled: bool) -> None:
        """Record an answer that is no failure. A 429 ends an outage, and says nothing about failures before it."""
        self._answered_until = max(self._answered_until, sent_at)
        if not throttled or self.state in (Outage.DOWN, Outage.HALF_OPEN):
            self.succeeded(now)

    def looked_up(self, sent_at: float) -> None:
        """Record that a look-up was answered: it shows nothing about attempts, which may fail all the same."""
        self._looked_up_until = max(self._looked_up_until, sent_at)

    def failed(self, key: str, reply: Reply, now: float, sent_at: float = inf, *, is_look_up: bool = False) -> None:
        """Record an attempt for the job `key`, or a look-up, that shows that the service is down.

        A timeout shows nothing if one was answered that was sent at the same time or later.
        """
        until = max(self._answered_until, self._looked_up_until) if is_look_up else self._answered_until
        if reply.fault is Fault.TIMEOUT and sent_at <= until:
            return
        self._failures += 1
        if len(self._failing) < BREADTH:
            self._failing.add(key)
        if self.state is Outage.DOWN:
            return
        if len(self._failing) >= BREADTH or self.state is Outage.HALF_OPEN:
            self._go_down(reply, now)
        elif self._failures >= SUSPICION:
            self.state = Outage.SUSPECT

    def probe_failed(self, reply: Reply, now: float) -> None:
        """Record a probe that shows that the service is down."""
        if self.state is Outage.DOWN:
            self._interval = min(LONGEST_INTERVAL, 2 * self._interval)
        if self.state in (Outage.SUSPECT, Outage.DOWN):
            self._go_down(reply, now)

    def probe_answered(self, now: float) -> None:
        """Let jobs be sent. Until one succeeds, every further interval is longer."""
        if self.state is Outage.SUSPECT:
            self._failures, self.state = 0, None
        elif self.state is Outage.DOWN:
            self._failures = 0
            self._interval = min(LONGEST_ANSWERED_INTERVAL, 2 * self._interval)
            self._leave_down(now)
            self.state = Outage.HALF_OPEN

    def _go_down(self, reply: Reply, now: float) -> None:
        if self.state is Outage.HALF_OPEN:
            self._past_downtime += self._downtime(now)
            self._down_since = now
        self.state = Outage.DOWN
        self._down_since = min(self._down_since, now)
        self._watchdog.failed(reply, now)
        left = self._watchdog.left(now)
        interval = max(self._interval, min(reply.retry_after or 0.0, LONGEST_INTERVAL))
        self.probe_at = now + min(interval, left) if left > 0 else None

    def _leave_down(self, now: float) -> None:
        if self.state is Outage.DOWN:
            self.up_since, self.probe_at = now, None
