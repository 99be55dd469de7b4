"""The rate that the service accepts: a controller over attempts and answers, without I/O or clock.

| phase     | entered when                                   | the rate                        | left when             |
|-----------|------------------------------------------------|---------------------------------|-----------------------|
| SlowStart | nothing is known; more is accepted than the    | grows, faster and faster, while | a refusal (429):      |
|           | estimate allows                                | nothing else limits sending     | recovery              |
| recovery  | an attempt is refused that was sent after the  | follows the estimate, under it  | an attempt that was   |
|           | last refusal was received                      |                                 | sent later is         |
|           |                                                |                                 | accepted: Probe       |
| Probe     | a recovery ends                                | a hold under the estimate, then | a refusal: recovery;  |
|           |                                                | a little over it                | a surplus: SlowStart  |

A recovery estimates the limit from what was accepted and refused since its first refusal (`SampleWindow`). Refusals of
attempts that were sent before the last refusal was received refine the estimate; they begin nothing new. The rate holds
for all attempts. If something other than the rate limited sending (few records, a pause, a service that was down), the
measurement starts again.

The number of attempts in flight is limited separately (`rate_measures`). `docs/rate-control.md` explains all of it.
"""

from dataclasses import dataclass, replace
from math import exp, inf

from ingestor.policy.rate_constants import CONSTANTS, RateConstants
from ingestor.policy.rate_measures import ConcurrencyWindow, LatencyWindow, SampleWindow, SendLog


class SlowStart:
    """Exponential growth without bound: fast if nothing is known, slow at first if a known limit was exceeded."""

    def __init__(self, *, from_limit: bool, constants: RateConstants = CONSTANTS) -> None:
        self._constants = constants
        self._gain = constants.first_gain if from_limit else inf

    def rate_after(self, rate: float, seconds: float, latency: float) -> float:
        """Return the rate after some seconds, if answers take `latency` seconds.

        The growth until the answer to a refused attempt must stay small. At low rates one refusal is a larger share.
        """
        constants = self._constants
        step = min(seconds, constants.longest_step)
        share = min(1.0, (rate / constants.full_gain_rate) ** constants.gain_exponent)
        gain = min(self._gain, share * min(constants.max_gain, constants.gain_per_latency / latency))
        self._gain *= 2 ** (step / constants.gain_doubling)
        return rate * exp(gain * step)


@dataclass(frozen=True, slots=True)
class Probe:
    """Holds the rate a little under an estimated limit, then raises it a little over the limit, to check the estimate.

    Attributes:
        limit: the estimate, attempts a second.
        reach: how far over it, as a share of it.
        hold: seconds under it.
        ramp: seconds on the way over it.
        constants: the table.
    """

    limit: float
    reach: float
    hold: float
    ramp: float
    constants: RateConstants = CONSTANTS

    def rate_at(self, seconds: float) -> float:
        """Return the rate this many seconds after the estimate was made."""
        below, end_below = self.constants.hold_below, self.constants.hold_end_below
        if seconds < self.hold:
            return self.limit * (1 - below + (below - end_below) * seconds / self.hold)
        over = min(1.0, (seconds - self.hold) / self.ramp)
        return self.limit * (1 - end_below + (self.reach + end_below) * over)

    def is_exceeded(self, seconds: float, accepted: int) -> bool:
        """Whether more was accepted in some seconds, from a refusal on, than an estimate that is right allows."""
        surplus = self.constants.surplus * self.limit + self.constants.surplus_attempts
        return accepted - self.limit * seconds > surplus

    def is_underused(self, seconds: float, accepted: int) -> bool:
        """Whether less was accepted in some seconds than the hold allows: something else than the rate was the limit.

        A smaller difference means nothing: it comes from attempts in flight, or from an event loop that was late.
        """
        held = self.constants.hold_below * min(seconds, self.hold)
        slack = (held + self.constants.slack) * self.limit + self.constants.slack_attempts
        return self.limit * seconds - accepted > slack


def probe(limit: float, doubt: float, latency: float, constants: RateConstants = CONSTANTS) -> Probe:
    """Return the next Probe for an estimate that may be too low by `doubt`, a share of it, if answers take `latency`.

    If the doubt is small, the hold is long: each probe costs refusals, the first and those that are in flight until
    its answer. The reach is larger at low rates, where a refusal is one of few. So the smaller of two clients on one
    limit also gains share from the larger one.
    """
    reach = constants.reach * (constants.reach_rate / limit) ** constants.reach_exponent
    reach = min(constants.largest_reach, max(constants.smallest_reach, reach))
    if doubt <= constants.wide * reach:
        refusals = 1 + reach * latency * limit
        hold = max(constants.shortest_hold, refusals * constants.hold_attempts / limit)
        hold = min(constants.longest_hold, hold)
        return Probe(limit, reach, hold, constants.ramp * hold, constants)
    hold = max(constants.quick_hold, constants.quick_attempts / limit)
    return Probe(limit, doubt, hold, hold, constants)


class RateController:
    """The rate of attempts, in attempts a second. Times are seconds on the caller's monotonic clock.

    `ceiling` is never exceeded; None is no ceiling. `rate` is what is allowed now.
    """

    def __init__(self, ceiling: float | None, now: float, constants: RateConstants = CONSTANTS) -> None:
        self._constants = constants
        self._ceiling = ceiling if ceiling is not None else inf
        self.rate = min(constants.first_rate, self._ceiling)
        self._started = now
        self._log = SendLog(now, constants)
        self._latency_window = LatencyWindow(now, constants)
        self._concurrency_window = ConcurrencyWindow(constants)
        self._latency: float | None = None
        self._phase: SlowStart | Probe = SlowStart(from_limit=False, constants=constants)
        self._phase_since = self._step_at = now
        self._samples: SampleWindow | None = None
        self._is_recovering = False
        self._refusal_received_at = now
        self._refused_rate = self._estimate = inf
        self._accepted_of_estimate = self._relapses = self._sent_at_end = 0
        self._pause = 0.0

    @property
    def window(self) -> int | None:
        """The most attempts that should be in flight; None for no bound."""
        sizes = (self._latency_window.size, self._concurrency_window.size)
        return min((size for size in sizes if size is not None), default=None)

    def sent(self, now: float, in_flight: int = 0) -> None:
        """Record an attempt that was sent; `in_flight` attempts are in flight with it."""
        self._log.add(now, in_flight)
        self._advance(now)

    def accepted(self, now: float, sent_at: float) -> None:
        """Record an answer other than 429."""
        latency, weight = now - sent_at, self._constants.latency_smoothing
        self._latency = latency if self._latency is None else self._latency + weight * (latency - self._latency)
        self._latency_window.answered(now, latency)
        self._concurrency_window.accepted(now, self._log.in_flight(sent_at))
        if self._is_recovering and sent_at > self._refusal_received_at:
            self._end_recovery(now)
        self._advance(now)

    def throttled(self, now: float, sent_at: float) -> None:
        """Record a 429."""
        if self._is_recovering:
            self._refine(now, sent_at)
        elif sent_at > self._refusal_received_at:
            if self._concurrency_window.refused(now, self._log.in_flight(sent_at)):
                self._refusal_received_at = now
            else:
                self._begin_recovery(now, sent_at)

    def resumed(self, now: float, pause: float) -> None:
        """Record that nothing was sent for `pause` seconds: there may be an allowance now.

        The rate stays. Where a refusal costs a pause, the next hold is longer in proportion.
        """
        self._pause = max(self._pause, pause)
        if isinstance(self._phase, Probe) and not self._is_recovering:
            self._enter_probe(self._phase, now)

    def _begin_recovery(self, now: float, sent_at: float) -> None:
        constants, is_relapse = self._constants, self._is_relapse(now)
        if is_relapse and self._relapses < constants.max_relapses:
            self._relapses += 1
            self._is_recovering = True
            self._refine(now, sent_at)
            return
        sent, rate = self._log.until(sent_at), self._actual_rate(sent_at)
        guess = constants.guess_after_fall * rate if is_relapse else self._guess(rate, sent_at, sent)
        weight = constants.guess_attempts
        if isinstance(self._phase, Probe):
            weight = max(weight, constants.guess_seconds * rate)
        self._samples = SampleWindow(sent_at, sent, guess, weight, constants)
        self._is_recovering, self._refusal_received_at, self._refused_rate = True, now, rate
        self._estimate, self._accepted_of_estimate, self._relapses = guess, 0, 0
        self._set_below(guess)

    def _guess(self, rate: float, sent_at: float, sent: int) -> float:
        """Return what the limit may be, if `rate` was just refused: between the proven rate and that rate."""
        constants, samples = self._constants, self._samples
        if samples is None:  # an allowance from before hid the limit
            return constants.guess_after_start * rate
        if isinstance(self._phase, SlowStart) and samples.full:
            return max(constants.guess_after_start * rate, samples.guess)
        proven = samples.estimate(sent_at, samples.accepted(sent - 1))
        if isinstance(self._phase, Probe) or proven > constants.proven_share * rate:
            # little above the proven rate, so that the larger of two clients loses share
            return max(proven + constants.guess_between * (rate - proven), constants.guess_after_fall * rate)
        guess = constants.guess_after_growth * rate
        return max(guess, proven) if sent_at - samples.began > constants.proven_seconds else guess

    def _refine(self, now: float, sent_at: float) -> None:
        """Learn from another refusal in the same recovery."""
        samples = self._samples
        if samples is None or sent_at <= samples.began:
            return
        self._refusal_received_at = now
        samples.refuse(sent_at, self._log.until(sent_at))
        self._samples = samples = samples.narrowed()
        self._estimate, self._accepted_of_estimate = samples.limit, samples.accepted(samples.last)
        self._set_below(self._estimate)

    def _end_recovery(self, now: float) -> None:
        self._is_recovering, self._refusal_received_at, self._sent_at_end = False, now, self._log.count
        if self._estimate < self._constants.lowest_rate:  # everything was refused for a while: nothing is known now
            self._samples = None
            self._enter(SlowStart(from_limit=False, constants=self._constants), now)
        else:
            latency = self._latency or self._constants.unknown_latency
            self._enter_probe(probe(self._estimate, self._doubt(), latency, self._constants), now)

    def _doubt(self) -> float:
        """Return by what share of it the estimate may be too low."""
        constants = self._constants
        by_count = constants.doubt_attempts / max(1, self._accepted_of_estimate)
        doubt = min(self._refused_rate / self._estimate - 1, by_count, constants.max_doubt)
        if isinstance(self._phase, Probe) and self._estimate >= constants.guess_after_fall * self._phase.limit:
            return min(doubt, self._phase.reach / 2)  # the limit lies between the last hold and what was refused
        return doubt

    def _enter_probe(self, phase: Probe, now: float) -> None:
        if self._pause:
            hold = min(self._constants.longest_pause_hold, self._constants.pause_hold * self._pause)
            phase = replace(phase, hold=max(phase.hold, hold))
            self._measure_anew(phase.limit, now)
            self._pause = 0.0
        self._enter(phase, now)

    def _enter(self, phase: SlowStart | Probe, now: float) -> None:
        self._phase, self._phase_since = phase, now

    def _measure_anew(self, limit: float, now: float) -> None:
        """Start new samples: attempts that could have been sent earlier, and were not, say nothing about the limit."""
        weight = self._constants.guess_attempts
        self._samples = SampleWindow(now, self._log.count, limit, weight, self._constants, full=True)

    def _is_relapse(self, now: float) -> bool:
        """Whether a recovery ended a few attempts ago, so that it continues."""
        few = self._log.count - self._sent_at_end < self._constants.relapse_attempts
        return few and isinstance(self._phase, Probe) and now - self._phase_since < self._phase.hold

    def _actual_rate(self, time: float) -> float:
        """Return the rate at which attempts were sent lately, where that is less than what was allowed."""
        constants = self._constants
        return max(constants.lowest_rate, min(self.rate, constants.speed_slack * self._speed(time)))

    def _speed(self, time: float) -> float:
        constants = self._constants
        window = max(constants.speed_seconds, constants.speed_attempts / self.rate)
        return self._log.speed(time, min(window, max(constants.step_seconds, time - self._started)))

    def _advance(self, now: float) -> None:
        """Move the rate along its phase, in small steps."""
        seconds, constants = now - self._step_at, self._constants
        if seconds < max(constants.step_seconds, constants.step_attempts / self.rate):
            return
        self._step_at = now
        if self._is_recovering:
            return
        match self._phase:
            case SlowStart() as phase if self._speed(now) >= constants.used_share * self.rate:
                latency = max(constants.lowest_latency, self._latency or constants.unknown_latency)
                self._set(phase.rate_after(self.rate, seconds, latency))
            case Probe() as phase:
                self._set(phase.rate_at(now - self._phase_since))
                self._compare(phase, now)

    def _compare(self, phase: Probe, now: float) -> None:
        """Compare what is accepted with the estimate. More than it allows, after the hold, begins SlowStart."""
        if self._samples is None:
            return
        seconds, accepted = now - self._samples.began, self._samples.accepted(self._log.count)
        if phase.is_underused(seconds, accepted):
            self._measure_anew(phase.limit, now)
            self._enter(phase, now)
        elif now - self._phase_since >= phase.hold and phase.is_exceeded(seconds, accepted):
            self._enter(SlowStart(from_limit=True, constants=self._constants), now)

    def _set_below(self, limit: float) -> None:
        """Set the rate to where a hold under this limit begins."""
        self._set((1 - self._constants.hold_below) * limit)

    def _set(self, rate: float) -> None:
        self.rate = min(self._ceiling, max(self._constants.lowest_rate, rate))
