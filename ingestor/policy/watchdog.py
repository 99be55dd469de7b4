"""How long there has been no success, and when that is too long.

The watchdog runs from the first reply that refuses a request for no fault of its record, such as a 429, or from the
moment at which the service is down. A success stops it: a request of a job that is carried out (a look-up too), that is
refused for a fault of its record, or that fails while it is carried out (500). So does the end of the last job in
flight: time without anything to send does not count.
"""

from math import inf

from ingestor.model.reply import Reply

ANNOUNCED_AFTER = 10.0
"""Seconds without a success after which a service that refuses every request is reported.

Half of the time to give up, if that is less."""

SHORTEST_WAIT = 3.0
"""The shortest time without a success that ends a batch, seconds: an ordinary rate limit may refuse for so long."""

FEWEST_REFUSALS = 3
"""Refusals, one after the other, that end a batch: those of attempts that were in flight together count once.

One is enough if it asks to wait for longer than the time to give up."""


class Watchdog:
    """Times are seconds on the caller's monotonic clock.

    Attributes:
        since: since when there has been no success; infinity while it does not run.
        last: the last reply that refused a request, or showed that the service is down.
    """

    def __init__(self, give_up_after: float) -> None:
        self.since = inf
        self.last = Reply()
        self._give_up_after = give_up_after
        self._wait = max(SHORTEST_WAIT, give_up_after)
        self._refusals = 0
        self._refused_at = -inf
        self._asks_for_too_long = False

    @property
    def announced_at(self) -> float:
        """When it is worth a report that every request is refused; infinity if there is no sign of it."""
        return self.since + min(ANNOUNCED_AFTER, self._wait / 2) if self._is_certain else inf

    @property
    def ends_at(self) -> float:
        """When a service that refuses every request has been waited for long enough; infinity as above."""
        return self.since + self._wait if self._is_certain else inf

    def left(self, now: float) -> float:
        """Return how many more seconds a service that is down is waited for."""
        return self._give_up_after - max(0.0, now - self.since)

    def refused(self, reply: Reply, sent_at: float, now: float) -> None:
        """Record a reply that refuses a request for no fault of its record."""
        self.failed(reply, now)
        self._asks_for_too_long = self._asks_for_too_long or (reply.retry_after or 0.0) >= self._wait
        if sent_at >= self._refused_at:
            self._refusals += 1
            self._refused_at = now

    def failed(self, reply: Reply, now: float) -> None:
        """Record a reply that shows that the service is down."""
        self.since = min(self.since, now)
        self.last = reply

    def stop(self) -> None:
        """Record a success, or that there is nothing to send."""
        if self.since < inf:
            self.since, self._refusals, self._asks_for_too_long = inf, 0, False

    @property
    def _is_certain(self) -> bool:
        return self._refusals >= FEWEST_REFUSALS or self._asks_for_too_long
