"""OutboxRelay a service that is down from a job that fails: a circuit breaker without I/O or clock of its own.

After a few failures in a row the service is *suspect*, and is asked a harmless question. If that fails too the circuit
opens: nothing is sent until the question is answered again, asked at growing intervals. Where the question is answered
but so many different jobs fail in a row that it can't be their own fault, the circuit opens all the same. Once the
question is answered it is *half open*: one job tries, and its success closes the circuit, its failure opens it again.
"""

SUSPICION = 3
"""Failures in a row before the service is asked a harmless question."""

BREADTH = 10
"""Different jobs that fail in a row before it is the service's fault, whatever it answers to the question."""

_FIRST_INTERVAL = 1.0
_LONGEST_INTERVAL = 60.0
_LONGEST_ANSWERED_INTERVAL = 8.0  # a service that answers questions is near, and only jobs can tell that it is back


class Circuit:
    """A state machine over the replies of a batch; times are seconds on the caller's monotonic clock.

    `is_open` is whether nothing may be sent, `interval` how long to wait before the question is asked again.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.interval = _FIRST_INTERVAL
        self._failures = 0
        self._failing: set[str] = set()
        self._down_since: float | None = None
        self._past_downtime = 0.0

    @property
    def is_suspect(self) -> bool:
        """Whether the harmless question is worth asking now."""
        return self._failures >= SUSPICION and not self.is_open

    @property
    def is_half_open(self) -> bool:
        """Whether one job may try, to see if the service is back."""
        return self._down_since is not None and not self.is_open

    def succeeded(self, now: float) -> None:
        """Take an answer that shows the service at work."""
        self._past_downtime += self.down_for(now)
        self._down_since = None
        self._failing.clear()
        self._failures = 0
        self.interval = _FIRST_INTERVAL
        self.is_open = False

    def failed(self, key: str, now: float) -> None:
        """Take a failed attempt of the job with this key."""
        self._failures += 1
        if len(self._failing) < BREADTH:
            self._failing.add(key)
        if len(self._failing) >= BREADTH or self.is_half_open:
            self._open(now)

    def question_failed(self, now: float) -> None:
        """Take a harmless question that went unanswered."""
        if self.is_open:
            self._wait_longer(_LONGEST_INTERVAL)
        self._open(now)

    def question_answered(self) -> None:
        """Take an answer to the harmless question: jobs may try. Until one succeeds, every new wait is longer."""
        if self.is_open:
            self._wait_longer(_LONGEST_ANSWERED_INTERVAL)
            self._failing.clear()
        self.is_open = False
        self._failures = 0

    def down_for(self, now: float) -> float:
        """Return how long no job has got through since the circuit opened; 0 where it did not."""
        return 0.0 if self._down_since is None else now - self._down_since

    def downtime(self, now: float) -> float:
        """Return how long the service has been down in all."""
        return self._past_downtime + self.down_for(now)

    def _open(self, now: float) -> None:
        self.is_open = True
        if self._down_since is None:
            self._down_since = now

    def _wait_longer(self, longest: float) -> None:
        self.interval = min(longest, 2 * self.interval)
