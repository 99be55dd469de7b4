"""The rate that a service accepts, whatever kind of limiter refuses: a controller without I/O or clock.

A refusal (429) is no proof that the rate is too high. The controller asks: do refusals depend on the rate? Those that
occur at any rate are *noise*: the rate stays. Those that come with the rate are the limit.

| phase  | the rate                                | left when                                                         |
|--------|-----------------------------------------|-------------------------------------------------------------------|
| GROW   | grows, faster and faster                | refusals are more than noise: HOLD                                |
| HOLD   | a little under the estimated limit      | the time is over: RAMP; more refusals than noise: HOLD, lower     |
| RAMP   | rises a little over the estimated limit | more was accepted than the estimate allows: GROW; refusals: HOLD  |
| CLOSED | one attempt now and then                | an attempt is accepted: HOLD                                      |

CLOSED is entered from any phase, when several attempts in a row are refused. In RAMP and GROW, HOLD follows also when
more of the additional attempts are refused than they are worth. `docs/rate-control.md` explains all of it.
"""

from math import inf

from ingestor.policy.rate.accepted import AcceptedLog
from ingestor.policy.rate.closure import Closure, Overload, Streak
from ingestor.policy.rate.constants import CONSTANTS, RateConstants
from ingestor.policy.rate.noise import NoiseFloor
from ingestor.policy.rate.open_times import OpenTimes
from ingestor.policy.rate.phases import Growth, Hold, Phase, is_near, quick_hold, sure_hold
from ingestor.policy.rate.significance import PriceTest, SequentialTest


class RateController:
    """The rate of attempts. Times are seconds on the caller's monotonic clock; they do not decrease.

    Args:
        ceiling: the most attempts a second; None for no ceiling.
        now: the time.
        max_pause: the longest pause that a Retry-After causes, in seconds.
        constants: the table.

    Attributes:
        rate: attempts a second that are allowed now.
        resume_at: the time before which nothing may be sent.
    """

    def __init__(
        self, ceiling: float | None, now: float, *, max_pause: float = 60.0, constants: RateConstants = CONSTANTS
    ) -> None:
        self._constants, self._max_pause = constants, max_pause
        self._ceiling = inf if ceiling is None else ceiling
        self.rate = min(constants.first_rate, self._ceiling)
        self.resume_at = now
        self._latency = constants.first_latency
        self._log = AcceptedLog(now, constants)
        self._noise = NoiseFloor(constants)
        self._price = PriceTest(constants)
        self._hold = Hold(0.0, constants.hold, False, constants)
        self._growth = Growth(inf, constants)
        self._overload = Overload(Phase.GROW, self.rate, 0.0)
        self._attempts = 0
        self._streak = Streak(now, constants)
        self._closure: Closure | None = None
        self._longest_closure = 0.0
        self._open_times = OpenTimes(now, constants)
        self._enter(Phase.GROW, now)

    @property
    def is_closed(self) -> bool:
        """Whether the service refuses everything, so that only single attempts are sent, at `resume_at`."""
        return self._phase is Phase.CLOSED

    def sent(self, now: float) -> None:
        """Record an attempt that was sent."""
        self._attempts += 1
        if self._closure is not None and self.is_closed:
            self.resume_at = now + self._closure.gap(now, self._shortest_gap)
        else:
            self._advance(now)

    def accepted(self, now: float, sent_at: float) -> None:
        """Record an answer other than 429."""
        self._log.count += 1
        self._streak.accept(sent_at)
        weight = self._constants.smoothing if self._log.count > 1 else 1.0
        self._latency += weight * (now - sent_at - self._latency)
        if self._closure is None or not self.is_closed:
            self._learn(now, sent_at, is_refused=False)
        elif sent_at >= self._closure.closed_at:
            self._open(self._closure, now, sent_at)

    def throttled(self, now: float, sent_at: float, retry_after: float | None = None) -> None:
        """Record a 429. `retry_after`, seconds, delays all attempts only while the service refuses everything."""
        if self._closure is not None and self.is_closed:
            if sent_at >= self._closure.closed_at:
                self._closure.refuse(sent_at)
                self.resume_at = max(self.resume_at, now + min(retry_after or 0.0, self._max_pause))
            return
        if self._streak.refuse(sent_at, self._attempts):
            self._close(now)
        else:
            self._learn(now, sent_at, is_refused=True)

    # What the answers show

    def _learn(self, now: float, sent_at: float, *, is_refused: bool) -> None:
        """Test whether refusals are more than noise. Of attempts before this phase, only the cost counts."""
        if sent_at < self._since + self._constants.overtaking * self._latency:
            if is_refused and self._phase is Phase.HOLD and self._hold.is_sure:
                self._price.cost += 1
                self._hold = self._sure_hold(self._hold.estimate)
            return
        self._tried += 1
        self._refused += is_refused
        if self._phase is not Phase.HOLD and self._hold.estimate and self._is_too_expensive(is_refused=is_refused):
            self._return(now, sent_at)
            return
        noise = self._noise
        self._test.add(noise.lowest if self._phase is Phase.HOLD else noise.mean, sent_at, is_refused=is_refused)
        if self._test.score == 0:
            if self._is_proven(now):
                noise.add(self._test.sent, self._test.refused)
        elif is_refused and self._test.is_overload(self.rate):
            self._overloaded(now, sent_at)

    def _is_proven(self, now: float) -> bool:
        """Whether refusals at this rate are noise: it is held, or has been growing for long."""
        is_growing = self._phase is Phase.GROW and now - self._since > self._hold.seconds
        return self._phase is Phase.HOLD or not self._hold.estimate or is_growing

    def _is_too_expensive(self, *, is_refused: bool) -> bool:
        """Whether more of the additional attempts are refused, since the hold, than they are worth."""
        noise, additional = self._noise, max(0.0, 1 - self._hold.estimate / self.rate)
        self._price.add(noise.mean, noise.lowest, additional, is_refused=is_refused)
        return self._price.is_too_expensive(noise.mean)

    def _return(self, now: float, sent_at: float) -> None:
        """Return under the estimate, or a little lower: the rate over it did not pay."""
        held = self._hold.estimate
        measured = self._measured(sent_at) or held
        self._begin_hold(now, sent_at, min(held, max(self._constants.small_cut * held, measured)), is_sure=True)

    def _overloaded(self, now: float, sent_at: float) -> None:
        """Estimate the limit after more refusals than noise, and hold the rate under it."""
        is_sure, rate = self._log.is_sure, self.rate
        if self._phase is Phase.HOLD:
            if self._closes_again(now):
                return
            estimate = self._fallen()
            is_sure = estimate > self._constants.near_fall * self._hold.estimate
        else:
            estimate = min(rate, self._exceeded(sent_at))
        self._overload = Overload(self._phase, rate, estimate)
        self._begin_hold(now, sent_at, estimate, is_sure=is_sure and is_near(rate, estimate, self._constants))

    def _measured(self, time: float) -> float:
        """Return the limit from what was accepted since the allowance was used up, 0 if that is not known."""
        return self._log.per_second(time) / (1 - self._noise.lowest)

    def _exceeded(self, sent_at: float) -> float:
        """Return the limit after more refusals than noise over the estimate."""
        held = self._hold.estimate if self._hold.is_sure else 0.0
        measured = self._measured(sent_at)
        estimate = max(measured, self._constants.kept * held)
        if self._phase is Phase.GROW or not measured:  # the allowance may have been full
            middle = (self._hold.estimate + self.rate) / 2
            estimate = max(estimate, held, min(self._accepted_lately(sent_at), middle))
        return estimate

    def _accepted_lately(self, sent_at: float) -> float:
        """Return the limit from the run that ended in an overload, as if a few more were accepted at this rate."""
        test, few = self._test, self._constants.few
        seconds = max(0.0, sent_at - test.began) + few / self.rate
        return (test.sent - test.refused + few) / seconds / (1 - self._noise.lowest)

    def _fallen(self) -> float:
        """Return the limit after more refusals than noise under the estimate: it has fallen, or there is more noise.

        Both is learned, so that the rate falls no further where refusals stay as frequent: they are noise. Growth
        that was too fast leads back to the rate that a ramp proved right before it.
        """
        constants, test, noise, hold = self._constants, self._test, self._noise, self._hold
        is_noise, weight = test.refused <= constants.noisy_share * test.sent, float(constants.weight)
        if is_noise:
            noise.add(test.sent, test.refused)
        else:  # at a few attempts a second each refusal counts
            weight = max(constants.few, min(weight, hold.estimate / 2))
        share = (weight + self._tried - self._refused) / (weight + self._tried * (1 - noise.lowest))
        fallen, proven = hold.estimate * min(1 - constants.below / 2, share), self._growth.proven
        return proven if not (is_noise or hold.is_sure) and fallen < proven < hold.estimate else fallen

    # The phases

    def _enter(self, phase: Phase, now: float) -> None:
        self._phase = phase
        self._since = self._step_at = now
        self._sent_before = self._attempts
        self._tried = self._refused = 0
        self._test = SequentialTest(self._constants)

    def _begin_hold(self, now: float, sent_at: float, estimate: float, *, is_sure: bool, closure: float = 0.0) -> None:
        """Hold the rate under an estimate. The allowance was used up when the attempt at `sent_at` was sent."""
        constants = self._constants
        self._log.use_up(sent_at)
        estimate = max(constants.lowest_rate, estimate)
        if is_sure:
            self._hold = self._sure_hold(estimate)
        else:
            self._hold = quick_hold(estimate, self._latency, closure, constants)
        self._enter(Phase.HOLD, now)
        self._set(self._hold.rate_after(0.0))

    def _sure_hold(self, estimate: float) -> Hold:
        return sure_hold(estimate, self._price.cost, self._longest_closure, self._constants)

    def _set(self, rate: float) -> None:
        self.rate = min(self._ceiling, max(self._constants.lowest_rate, rate))

    def _advance(self, now: float) -> None:
        """Move the rate along its phase, in small steps."""
        constants, seconds = self._constants, now - self._step_at
        if seconds < max(constants.step, constants.few / self.rate):
            return
        used = (self._attempts - self._sent_before) / seconds / self.rate
        self._step_at, self._sent_before = now, self._attempts
        self._log.remember(now)
        if used < constants.unused:  # something else limits sending: an allowance may fill up
            self._log.forget()
        if self._phase is Phase.HOLD:
            self._advance_hold(now)
        elif self._phase is Phase.RAMP:
            self._advance_ramp(now)
        elif used >= constants.used:
            self._set(self._growth.rate_after(self.rate, seconds, self._latency, self._longest_closure))

    def _advance_hold(self, now: float) -> None:
        self._set(self._hold.rate_after(now - self._since))
        if now - self._since >= self._hold.seconds:
            self._closure = None
            self._price = PriceTest(self._constants)
            self._enter(Phase.RAMP, now)

    def _advance_ramp(self, now: float) -> None:
        self._set(self._hold.ramp_rate_after(now - self._since, self._latency))
        if now - self._since >= self._hold.ramp_seconds(self._latency) and self._is_exceeded(now):
            is_proven = self._log.mark is not None and not self._refused  # else it may use up an allowance
            self._growth = Growth(self._constants.first_gain, self._constants, self.rate if is_proven else 0.0)
            self._enter(Phase.GROW, now)

    def _is_exceeded(self, now: float) -> bool:
        """Whether more was accepted since the allowance was used up than the estimate allows."""
        mark, hold = self._log.mark, self._hold
        if mark is None:
            return True
        allowed = hold.estimate * (1 - self._noise.mean) * (now - mark.time - self._latency)
        surplus = self._log.count - mark.accepted - allowed
        if surplus < -self._constants.deficit * hold.estimate and not self._refused:
            self._log.forget()
        return surplus > hold.reach * hold.estimate + self._constants.few

    # Closed

    @property
    def _shortest_gap(self) -> float:
        return max(self._latency, 1 / self.rate)

    def _close(self, now: float) -> None:
        """Send single attempts only. A closure right after an overload belongs to it."""
        if self._closes_again(now):
            return
        if self._phase is Phase.HOLD and self._streak.since <= self._since + self._latency:
            self._log.mark = self._log.before
        else:
            self._overload = Overload(self._phase, self.rate, self._hold.estimate)
        self._closure = Closure(self._overload, self._streak.since, self._log.mark, self._constants)
        self._await_opening(self._closure, now)

    def _closes_again(self, now: float) -> bool:
        """If the service opened little by little and closes again, wait again, and return True."""
        closure = self._closure
        if closure is None or not closure.closes_again(now):
            return False
        self._log.mark = closure.mark
        self._await_opening(closure, now)
        return True

    def _await_opening(self, closure: Closure, now: float) -> None:
        closure.close(now)
        self._phase = Phase.CLOSED
        self.resume_at = now + closure.gap(now, self._shortest_gap)

    def _open(self, closure: Closure, now: float, sent_at: float) -> None:
        """Hold what the service accepts on average, the closure included."""
        estimate = closure.open(now, sent_at, self.rate, self._log, self._noise.lowest)
        before = self._open_times.add(closure, now, self._log.count - 1)
        is_outage = before is not None or closure.seconds > self._constants.longest_window
        seconds = 0.0 if is_outage else closure.seconds
        if before is not None:
            estimate, self._longest_closure = before, 0.0
        elif closure.overload.phase is not Phase.HOLD:  # else the service was closed whatever the rate
            self._longest_closure = max(seconds, self._constants.closure_decay * self._longest_closure)
        self._streak.end()
        self.resume_at = now
        is_sure = self._log.is_sure and is_near(closure.overload.rate, estimate, self._constants)
        self._begin_hold(now, sent_at, estimate, is_sure=is_sure, closure=seconds)
