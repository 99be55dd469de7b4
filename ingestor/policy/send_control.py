"""When the next attempt may be sent: the rate of attempts, and the most in flight, from the answers; without I/O."""

from ingestor.policy.in_flight.limit import InFlightLimit
from ingestor.policy.rate.controller import RateController


class SendControl:
    """The rate and the most attempts in flight. Times are seconds on the caller's monotonic clock.

    Args:
        ceiling: the most attempts a second; None for no ceiling.
        most_in_flight: the most attempts in flight.
        now: the time.
        first_in_flight: the most in flight at first; None for `most_in_flight`.
        max_pause: the longest pause that an answer with Retry-After causes, in seconds.
    """

    def __init__(
        self,
        ceiling: float | None,
        most_in_flight: int,
        now: float,
        *,
        first_in_flight: int | None = None,
        max_pause: float = 60.0,
    ) -> None:
        self._ceiling, self._max_pause = ceiling, max_pause
        self._rate = RateController(ceiling, now, max_pause=max_pause)
        self._in_flight = InFlightLimit(most_in_flight, now, first=first_in_flight)

    @property
    def rate(self) -> float:
        """Attempts a second that are allowed now."""
        return self._rate.rate

    @property
    def resume_at(self) -> float:
        """The time before which nothing may be sent; it may be in the past."""
        return self._rate.resume_at

    @property
    def is_closed(self) -> bool:
        """Whether the service refuses everything, so that only single attempts are sent, at `resume_at`."""
        return self._rate.is_closed

    @property
    def size(self) -> int:
        """The most attempts that should be in flight: at least 1."""
        return self._in_flight.size

    def sent(self, now: float, in_flight: int) -> None:
        """Record an attempt that was sent; `in_flight` attempts are in flight with it."""
        self._rate.sent(now)
        self._in_flight.sent(now, in_flight)

    def accepted(self, now: float, sent_at: float) -> None:
        """Record an answer other than 429."""
        self._rate.accepted(now, sent_at)
        if self._in_flight.accepted(now, sent_at):
            self._forget_refusals(now)

    def throttled(self, now: float, sent_at: float, retry_after: float | None = None) -> None:
        """Record a 429; `retry_after` is in seconds."""
        if not self._in_flight.refused(now, sent_at):
            self._rate.throttled(now, sent_at, retry_after)

    def _forget_refusals(self, now: float) -> None:
        """Let the rate grow from what it is: the number in flight caused the refusals that it was estimated from."""
        rate = RateController(self._ceiling, now, max_pause=self._max_pause)
        rate.rate = self._rate.rate
        self._rate = rate
