"""A client on virtual time: it sends as fast as a rate controller allows, and a service answers after a latency."""

from collections import deque
from collections.abc import Callable

from ingestor.policy.rate.controller import RateController

Accepts = Callable[[float], bool]
"""Whether a service accepts the attempt that it receives at a time."""


class Client:
    """Sends through one controller, from time 0 on.

    Attributes:
        now: the time.
        sent: when each attempt was sent.
        accepted: when each accepted attempt was sent.
        refused: when each refused attempt was sent.
    """

    def __init__(self, controller: RateController, accepts: Accepts, latency: float = 0.03) -> None:
        self._controller, self._accepts, self._latency = controller, accepts, latency
        self._answers = deque[tuple[float, bool]]()
        self.now = 0.0
        self.sent: list[float] = []
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def run(self, until: float, retry_after: float | None = None) -> None:
        """Send until a time; each refusal has this Retry-After."""
        while True:
            last = self.sent[-1] if self.sent else -1.0
            due = max(self.now, last + 1 / self._controller.rate, self._controller.resume_at)
            if self._answers and self._answers[0][0] + self._latency <= due:
                self._answer(retry_after)
            elif due >= until:
                return
            else:
                self.now = due
                self.sent.append(due)
                self._controller.sent(due)
                self._answers.append((due, self._accepts(due)))

    def _answer(self, retry_after: float | None) -> None:
        sent_at, is_accepted = self._answers.popleft()
        self.now = max(self.now, sent_at + self._latency)
        if is_accepted:
            self.accepted.append(sent_at)
            self._controller.accepted(self.now, sent_at)
        else:
            self.refused.append(sent_at)
            self._controller.throttled(self.now, sent_at, retry_after)


class Bucket:
    """A token bucket, full at first; `rate` may be changed."""

    def __init__(self, rate: float, burst: float = 0.1) -> None:
        self.rate, self._burst = rate, burst
        self._level, self._at = max(1.0, rate * burst), 0.0

    def __call__(self, now: float) -> bool:
        self._level = min(max(1.0, self.rate * self._burst), self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


def share(times: list[float], begin: float, end: float) -> float:
    """Return how many of some times a second lie between two times."""
    return sum(begin <= time < end for time in times) / (end - begin)
