"""How many attempts were accepted, and when: what the limit is measured from."""

from typing import NamedTuple

from ingestor.policy.rate.constants import RateConstants


class Mark(NamedTuple):
    """A moment at which the service's allowance was used up.

    Attributes:
        time: when the attempt that showed it was sent.
        accepted: attempts accepted until then.
    """

    time: float
    accepted: int


class AcceptedLog:
    """The accepted attempts over time. Times are seconds on the caller's monotonic clock.

    The *allowance* is what the service accepts at once, because it received little for a while. Refusals that are more
    than noise show that it is used up. What is accepted from one such mark to the next, divided by the time, is the
    limit: for any token bucket whatever its burst, and for whole windows.

    Attributes:
        count: attempts accepted since the beginning.
        mark: when the allowance was used up last; None if it may have filled up again.
        before: the mark before that one.
    """

    def __init__(self, now: float, constants: RateConstants) -> None:
        self._constants = constants
        self.count = 0
        self.mark: Mark | None = Mark(now, 0)
        self.before: Mark | None = self.mark
        self._history = [self.mark]

    @property
    def is_sure(self) -> bool:
        """Whether enough was accepted since the mark to measure the limit within some percent."""
        return self.mark is not None and self.count - self.mark.accepted >= self._constants.sure

    def use_up(self, time: float) -> None:
        """Set the mark: the allowance was used up when an attempt was sent."""
        self.before, self.mark = self.mark, Mark(time, self.count)

    def forget(self) -> None:
        """Forget the mark: an allowance may have filled up since."""
        self.mark = None

    def per_second(self, time: float) -> float:
        """Return how many a second were accepted from the mark to a time, 0 if that is not known."""
        if self.mark is None or time <= self.mark.time:
            return 0.0
        return (self.count - self.mark.accepted) / (time - self.mark.time)

    def remember(self, now: float) -> None:
        """Keep the count at a time, for `recently`. The older half of a long history gets coarser."""
        self._history.append(Mark(now, self.count))
        size = self._constants.history
        if len(self._history) > size:
            self._history[: size // 2] = self._history[: size // 2 : 2]

    def recently(self, time: float, seconds: float) -> float:
        """Return how many a second were accepted within about `seconds` up to `time`, at most now; 0: not known."""
        for then, accepted in self._history:
            if time - seconds <= then < time:
                return (self.count - accepted) / (time - then)
        return 0.0
