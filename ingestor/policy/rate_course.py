"""The two courses that a rate takes between refusals: it climbs where no limit is known, and hovers where one is.

The constants were chosen by a search over simulated services (limits of 2 to 2,000 a second, bursts of a tenth of a
second and of a second, latencies of 5 to 200 ms, limits that fall and rise, and two clients on one limit).
"""

from dataclasses import dataclass, replace
from math import exp, inf

FASTEST = 6.0
"""The most that a climb gains, as an exponent a second: it doubles in 0.12 s."""

_GAIN_PER_LATENCY = 0.2  # answers lag: what is gained until a refusal is heard of must stay small
_FULL_GAIN_RATE, _GAIN_EXPONENT = 200.0, 0.3  # where little is sent, a refusal counts for more
_FIRST_GAIN = 0.25
_DOUBLING = 0.4
_LONGEST_STEP = 1.0

_BELOW = 0.05
_JUST_BELOW = 0.01
_REACH = 0.05
_REACH_RATE = 200.0
_REACH_EXPONENT = 0.5
_SMALLEST_REACH, _LARGEST_REACH = 0.03, 0.20
_REST = 3.5
_REST_ATTEMPTS = 180
_LONGEST_REST = 30.0
_RAMP = 0.15
_WIDE = 1.3
_QUICK_REST, _QUICK_ATTEMPTS = 0.1, 12
_SURPLUS, _SURPLUS_ATTEMPTS = 0.06, 3
_SLACK, _SLACK_ATTEMPTS = 0.1, 5  # less is no sign: attempts in doubt, a loop that was held up

CAUTION = 1 - _BELOW
"""What of an estimated limit is used at first."""


class SlowStart:
    """Grows without bound: at once where nothing is known yet, and gathering speed where a limit was left behind."""

    def __init__(self, *, from_rest: bool) -> None:
        self._gain = _FIRST_GAIN if from_rest else inf

    def rate_after(self, rate: float, seconds: float, latency: float) -> float:
        """Return what becomes of a rate in some seconds, where answers take `latency` seconds."""
        step = min(seconds, _LONGEST_STEP)
        share = min(1.0, (rate / _FULL_GAIN_RATE) ** _GAIN_EXPONENT)
        gain = min(self._gain, share * min(FASTEST, _GAIN_PER_LATENCY / latency))
        self._gain *= 2 ** (step / _DOUBLING)
        return rate * exp(gain * step)


@dataclass(frozen=True, slots=True)
class Probe:
    """Rests a little under an estimated limit, then reaches a little over it to see whether it still holds.

    Attributes:
        limit: the estimate, attempts a second.
        reach: how far over it, as a share of it.
        rest: seconds under it.
        ramp: seconds on the way over it.
    """

    limit: float
    reach: float
    rest: float
    ramp: float

    def rate_at(self, seconds: float) -> float:
        """Return the rate so many seconds after the estimate was made."""
        if seconds < self.rest:
            return self.limit * (1 - _BELOW + (_BELOW - _JUST_BELOW) * seconds / self.rest)
        over = min(1.0, (seconds - self.rest) / self.ramp)
        return self.limit * (1 - _JUST_BELOW + (self.reach + _JUST_BELOW) * over)

    def rest_at_least(self, seconds: float) -> "Probe":
        """Return the same with so long a rest."""
        return replace(self, rest=max(self.rest, seconds))

    def is_outrun(self, seconds: float, accepted: int) -> bool:
        """Whether more was accepted in some seconds, from a refusal on, than an estimate that is right allows."""
        return accepted - self.limit * seconds > _SURPLUS * self.limit + _SURPLUS_ATTEMPTS

    def is_underused(self, seconds: float, accepted: int) -> bool:
        """Whether less was accepted in some seconds than even the rest allows: something else than the rate bound."""
        resting = _BELOW * min(seconds, self.rest)
        return self.limit * seconds - accepted > (resting + _SLACK) * self.limit + _SLACK_ATTEMPTS


def hover(limit: float, doubt: float, latency: float) -> Probe:
    """Choose how to go on from an estimate that may be too low by `doubt`, a share of it, where answers take `latency`.

    Where the doubt is small the rest is long: each look costs a refusal. The reach is larger at low rates, where a
    refusal is one of few; so the smaller of two clients on one limit also gains on the larger.
    """
    reach = _REACH * (_REACH_RATE / limit) ** _REACH_EXPONENT
    reach = min(_LARGEST_REACH, max(_SMALLEST_REACH, reach))
    if doubt <= _WIDE * reach:
        refusals = 1 + reach * latency * limit  # the first, and what is in flight until it is heard of
        rest = min(_LONGEST_REST, max(_REST, refusals * _REST_ATTEMPTS / limit))
        return Probe(limit, reach, rest, _RAMP * rest)
    rest = max(_QUICK_REST, _QUICK_ATTEMPTS / limit)
    return Probe(limit, doubt, rest, rest)
