"""What is known of a limit from attempts that were let go and those of them that were refused (429)."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

_MOMENT = 1e-3  # seconds that are counted together
_ENTRIES = 16_384
_FEW, _FAR_LOWER, _LEAST_SECONDS = 8, 0.5, 0.015


class SendLog:
    """How many attempts were let go until when, and how many were under way then; bounded, the oldest is forgotten.

    Times are seconds on the caller's monotonic clock and never go back.
    """

    def __init__(self, now: float) -> None:
        self.count = 0
        self._times = [now]
        self._counts = [0]
        self._in_flight = [0]

    def add(self, now: float, in_flight: int) -> None:
        """Count an attempt; `in_flight` are those under way, itself included."""
        self.count += 1
        if now - self._times[-1] < _MOMENT:
            self._counts[-1] = self.count
            self._in_flight[-1] = in_flight
            return
        self._times.append(now)
        self._counts.append(self.count)
        self._in_flight.append(in_flight)
        if len(self._times) > _ENTRIES:
            for column in (self._times, self._counts, self._in_flight):
                del column[: _ENTRIES // 2]

    def until(self, moment: float) -> int:
        """Return how many attempts were let go up to a moment."""
        return self._counts[self._at(moment)]

    def in_flight(self, moment: float) -> int:
        """Return how many attempts were under way at a moment, with the one let go then."""
        return self._in_flight[self._at(moment)]

    def speed(self, moment: float, window: float) -> float:
        """Return how many attempts a second were let go in the `window` seconds up to a moment."""
        return (self.until(moment) - self.until(moment - window)) / window

    def _at(self, moment: float) -> int:
        return max(0, bisect_right(self._times, moment) - 1)


@dataclass(slots=True)
class SampleWindow:
    """Time from a refusal on, at which the service had nothing left to give.

    Since it began empty, what was accepted divided by the time is never above the limit; and where it ends in another
    refusal, empty again, it is the limit, unless so little was sent between that the service's allowance overflowed.

    Attributes:
        began: when the refused attempt was sent.
        sent: attempts sent until then.
        guess: the limit as it was expected to be, a second.
        weight: how many attempts' worth of evidence the guess is.
        refused: refusals within.
        ended: when the last of them was sent.
        last: attempts sent until then.
        full: whether it began at another moment, until which the service may have saved up an allowance.
        recent: the last few: when each was sent, and how many attempts in all until then.
    """

    began: float
    sent: int
    guess: float
    weight: float
    refused: int = 0
    ended: float = 0.0
    last: int = 0
    full: bool = False
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_FEW))

    def accepted(self, sent: int) -> int:
        """Return how many were accepted of what was sent since, where `sent` were sent in all."""
        return max(0, sent - self.sent - self.refused)

    def refuse(self, sent_at: float, sent: int) -> None:
        """Take another refusal, of an attempt up to which `sent` were sent in all."""
        self.refused += 1
        self.recent.append((sent_at, sent))
        self.ended, self.last = max((self.ended, self.last), (sent_at, sent))

    def lately(self) -> "SampleWindow | None":
        """Return the time of the last few refusals as a stretch of its own, where it tells of a limit far lower."""
        if len(self.recent) < _FEW:
            return None
        (began, first), (ended, last) = min(self.recent), max(self.recent)
        recent = SampleWindow(began, first, self.guess, 1.0, refused=_FEW - 1, ended=ended, last=last)
        accepted = max(1, recent.accepted(last))
        if ended - began < _LEAST_SECONDS or accepted >= _FAR_LOWER * (ended - began) * self.limit:
            return None
        recent.guess = accepted / (ended - began)
        return recent

    @property
    def limit(self) -> float:
        """The limit, a second, as of the last refusal."""
        return self.estimate(self.ended, self.accepted(self.last))

    def estimate(self, moment: float, accepted: int) -> float:
        """Return the limit, a second, after `accepted` attempts up to a moment: the guess and what was seen.

        A service that refuses may be about to give: what it accepts tells its limit to one attempt more.
        """
        seconds = max(0.0, moment - self.began)
        told = (self.weight + accepted + 1) / (self.weight / self.guess + seconds)
        return min(told, max(self.guess, accepted / seconds if seconds else 0.0))
