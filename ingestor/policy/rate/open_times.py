"""The times between closures: do they end because a quota is used up, or at any rate?"""

from dataclasses import dataclass

from ingestor.policy.rate.accepted import Mark
from ingestor.policy.rate.closure import Closure
from ingestor.policy.rate.constants import RateConstants
from ingestor.policy.rate.phases import Phase


@dataclass(frozen=True, slots=True)
class OpenTime:
    """The time from one opening of the service to the next closure.

    A quota is used up at each closure of a window. So at a lower rate as much is accepted, in a longer time. Where less
    is accepted in a time as long, the service closes whatever the rate.

    Attributes:
        seconds: how long it was.
        accepted: attempts that were accepted in it.
        estimate: the limit at its end, as it was estimated, attempts a second; 0 if nothing was known.
    """

    seconds: float
    accepted: int
    estimate: float

    def shows_no_quota(self, earlier: "OpenTime", constants: RateConstants) -> bool:
        """Whether the closure at its end does not depend on the rate, compared with an earlier time."""
        return self._compares_with(earlier, constants) and self.accepted < constants.near_fall * earlier.accepted

    def to_compare(self, earlier: "OpenTime", constants: RateConstants) -> "OpenTime":
        """Return which time the next one is compared with: the earlier one, while less is accepted little by little."""
        is_falling = self._compares_with(earlier, constants) and self.accepted < earlier.accepted
        return earlier if is_falling else self

    def _compares_with(self, earlier: "OpenTime", constants: RateConstants) -> bool:
        """Whether it is as long as an earlier time, at whose end a limit was known."""
        return earlier.estimate > 0 and self.seconds > constants.same_time * earlier.seconds


class OpenTimes:
    """Compares the times between closures. Times are seconds on the caller's monotonic clock."""

    def __init__(self, now: float, constants: RateConstants) -> None:
        self._constants = constants
        self._opened = Mark(now, 0)
        self._earlier = OpenTime(0.0, 0, 0.0)

    def add(self, closure: Closure, now: float, accepted: int) -> float | None:
        """Record a closure that ends now, after so many accepted attempts in all.

        Returns the estimate of before, if the service closes whatever the rate, else None.
        """
        overload, opened = closure.overload, self._opened
        if closure.since < opened.time:  # it opened little by little: the same closure continues
            return None
        estimate = overload.estimate if overload.phase is Phase.GROW else max(overload.estimate, overload.rate)
        time = OpenTime(closure.since - opened.time, accepted - opened.accepted, estimate)
        self._opened = Mark(now, accepted)
        earlier = self._earlier
        if not earlier.estimate:  # no limit was known then: there is nothing to return to
            self._earlier = time
            return None
        if time.shows_no_quota(earlier, self._constants):
            return earlier.estimate
        self._earlier = time.to_compare(earlier, self._constants)
        return None
