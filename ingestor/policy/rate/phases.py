"""The phases of the rate controller, and the rate over time in each."""

from dataclasses import dataclass
from enum import Enum, auto
from math import exp

from ingestor.policy.rate.constants import RateConstants


class Phase(Enum):
    """What the controller does: `ingestor.policy.rate.controller` has the table."""

    GROW = auto()
    HOLD = auto()
    RAMP = auto()
    CLOSED = auto()


class Growth:
    """Exponential growth without bound: fast from nothing; slow at first over a limit that was known.

    Attributes:
        proven: the rate at which it began, if no attempt of the ramp before it was refused, else 0.
    """

    def __init__(self, gain: float, constants: RateConstants, proven: float = 0.0) -> None:
        self._gain, self._constants, self.proven = gain, constants, proven

    def rate_after(self, rate: float, seconds: float, latency: float, closure: float) -> float:
        """Let some seconds pass, and return the rate after them, if answers take `latency` seconds.

        Growth within one latency is small, so that few attempts are in flight when the first is refused. `closure` is
        the longest recent closure: where the service closes for long, growth over the limit gets faster more slowly.
        """
        constants = self._constants
        seconds = min(seconds, constants.hold)  # at a tiny ceiling a step lasts for years
        shortest = constants.gain_per_latency / constants.gain
        most = constants.gain_per_latency / max(shortest, latency)
        gain = min(self._gain, most * min(1.0, (rate / constants.full_gain_rate) ** constants.gain_exponent))
        least = max(constants.gain_doubling, constants.sure / rate)
        doubling = max(least, constants.gain_doubling_latencies * latency, closure)
        self._gain *= 2 ** (seconds / doubling)
        return rate * exp(gain * seconds)


def reach_of(estimate: float, constants: RateConstants) -> float:
    """Return how far over an estimate a ramp goes, as a share of it: more where an attempt is one of few."""
    return min(constants.largest_reach, constants.reach + constants.reach_attempts / estimate)


def is_near(rate: float, estimate: float, constants: RateConstants) -> bool:
    """Return whether a rate that was refused is little above an estimate, so that a long hold loses little."""
    return rate < (1 + constants.near + reach_of(estimate, constants)) * estimate


@dataclass(frozen=True, slots=True)
class Hold:
    """The rate a little under the estimated limit, and then the ramp to a little over it.

    Attributes:
        estimate: the limit, attempts a second; 0 if nothing is known.
        seconds: how long it lasts; the ramp lasts a share of it.
        is_sure: whether the estimate is right within some percent.
        constants: the table.
    """

    estimate: float
    seconds: float
    is_sure: bool
    constants: RateConstants

    def rate_after(self, seconds: float) -> float:
        """Return the rate so many seconds after the beginning of the hold."""
        begin, end = self.constants.below, self.constants.below_at_end
        done = min(1.0, seconds / self.seconds)
        return self.estimate * (1 - begin - (end - begin) * done)

    def ramp_seconds(self, latency: float) -> float:
        """Return how long the ramp rises: at least until its first answers."""
        return max(self.constants.ramp * self.seconds, latency)

    def ramp_rate_after(self, seconds: float, latency: float) -> float:
        """Return the rate so many seconds after the beginning of the ramp."""
        return self.estimate * (1 + self.reach * min(1.0, seconds / self.ramp_seconds(latency)))

    @property
    def reach(self) -> float:
        """How far over the estimate the ramp goes, as a share of it."""
        return reach_of(self.estimate, self.constants)


def sure_hold(estimate: float, cost: float, closure: float, constants: RateConstants) -> Hold:
    """Return the hold under a sure estimate: longer after an expensive ramp, and where the service closes for long.

    `cost` are the refusals that the last ramp and growth caused; `closure` is the longest recent closure, in seconds.
    """
    affordable = cost / (constants.budget * estimate)
    most = max(2 * constants.hold, constants.few / (constants.budget * estimate))
    seconds = max(constants.hold, min(most, affordable), closure / constants.closed_share)
    return Hold(estimate, min(constants.longest_hold, seconds), True, constants)


def quick_hold(estimate: float, latency: float, closure: float, constants: RateConstants) -> Hold:
    """Return the hold under an estimate that is not sure: just long enough to measure the limit again."""
    seconds = max(latency, constants.sure / estimate, constants.recent * closure)
    return Hold(estimate, min(constants.longest_hold, seconds), False, constants)
