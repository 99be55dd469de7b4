"""A closure: the service refuses everything, until a window ends or an outage is over."""

from dataclasses import dataclass
from math import inf

from ingestor.policy.rate.accepted import AcceptedLog, Mark
from ingestor.policy.rate.constants import RateConstants
from ingestor.policy.rate.phases import Phase


@dataclass(frozen=True, slots=True)
class Overload:
    """Refusals were more than noise, or the service closed.

    Attributes:
        phase: the phase then.
        rate: the rate that was refused.
        estimate: the limit, as it was estimated then.
    """

    phase: Phase
    rate: float
    estimate: float


class Streak:
    """Refusals one after the other: nearly all of the last attempts are refused. Times are seconds, see `Closure`.

    Refusals are often faster than other answers. So the order of sending counts: an accepted attempt that was sent
    before the first refusal ends no streak, and attempts that were sent since, and are not refused, may be accepted.

    Attributes:
        since: when the first refused attempt was sent.
    """

    def __init__(self, now: float, constants: RateConstants) -> None:
        self.since = now
        self._constants = constants
        self._refused = self._attempts = 0

    def refuse(self, sent_at: float, attempts: int) -> bool:
        """Record a refusal; `attempts` were sent in all. Return whether the streak is long: the service is closed."""
        if not self._refused or attempts - self._attempts > 2 * self._refused:
            self._refused, self._attempts, self.since = 0, attempts, sent_at
        self._refused += 1
        return self._refused >= self._constants.streak

    def accept(self, sent_at: float) -> None:
        """Record an accepted attempt."""
        if sent_at >= self.since:
            self._refused = 0

    def end(self) -> None:
        """End the streak."""
        self._refused = 0


class Closure:
    """A time in which single attempts are sent, the *trials*. Times are seconds on the caller's monotonic clock.

    A service whose window slides opens little by little: it closes again at once. That continues the closure.

    Args:
        overload: what it followed.
        since: when the first of the refusals was sent that showed it.
        mark: when the allowance was used up before; None if that is not known.
        constants: the table.

    Attributes:
        overload, since, mark: as given.
        closed_at: from when on nothing was sent but trials.
        seconds: how long the service was closed, known when it opens.
    """

    def __init__(self, overload: Overload, since: float, mark: Mark | None, constants: RateConstants) -> None:
        self.overload, self.since, self._constants = overload, since, constants
        self.mark = mark
        self._estimate = 0.0
        self._trials = self._relapses = 0
        self._opened_at, self._wait = -inf, 0.0
        self.closed_at = self._refused_at = since
        self.seconds = 0.0

    def close(self, now: float) -> None:
        """Begin to send trials only."""
        self.closed_at = self._refused_at = now
        self._trials = 0

    def closes_again(self, now: float) -> bool:
        """Whether the service opened little by little and closes again: the closure continues. Counts each True."""
        if self._relapses >= self._constants.relapses or now - self._opened_at >= self._wait:
            return False
        self._relapses += 1
        return True

    def gap(self, now: float, shortest: float) -> float:
        """Return the seconds to the next trial, if answers and the rate ask for `shortest` at least."""
        constants = self._constants
        gap = max(constants.trial_share * (now - self.since), constants.shortest_gap, shortest)
        return min(constants.longest_gap, gap)

    def refuse(self, sent_at: float) -> None:
        """Record a trial that was refused."""
        self._trials += 1
        self._refused_at = sent_at

    def open(self, now: float, sent_at: float, rate: float, log: AcceptedLog, noise: float) -> float:
        """Record a trial that was accepted. Return the limit, attempts a second: the average, the closure included.

        That is the rate that a window sustains. `rate` is the rate at which the service closed; the share `noise` of
        attempts is refused at any rate.
        """
        constants, overload = self._constants, self.overload
        opened = (sent_at + self._refused_at) / 2
        self.seconds, self._opened_at = opened - self.since, now
        is_window = log.mark is not None and self.seconds > constants.window_share * (sent_at - log.mark.time)
        self._wait = self.seconds if is_window and (self._trials > 1 or self._relapses) else 0.0
        average = log.per_second(opened) / (1 - noise) or constants.unknown_share * rate
        recent = log.recently(opened, constants.recent * self.seconds)
        least = constants.least_kept * overload.rate if overload.phase is Phase.HOLD else 0.0
        self._estimate = min(overload.rate, max(average, min(overload.estimate, recent), least, self._estimate))
        return self._estimate
