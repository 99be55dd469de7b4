"""Finding the rate that the service takes: a controller fed with attempts and answers, without I/O or clock.

It climbs until something is refused (429). That begins an *epoch*: the limit is estimated from what is accepted and
refused of what was sent since (`rate_evidence`), and the rate follows the estimate at once, for all attempts. The epoch
ends with the first acceptance of an attempt that was sent after the last refusal was heard of; refusals of what was
sent before that say nothing new. Then the rate hovers about the estimate (`rate_course`) until the next epoch, or until
more is accepted than the estimate allows: then it climbs again. It only climbs while the rate is what binds.

What may be in flight is bounded beside it, where answers are slow (`rate_latency`) and where it is the number in flight
that the service refuses (`rate_concurrency`).
"""

from math import inf

from ingestor.policy.rate_concurrency import ConcurrencyWindow
from ingestor.policy.rate_course import CAUTION, Climb, Hover, hover
from ingestor.policy.rate_evidence import SendLog, Stretch
from ingestor.policy.rate_latency import LatencyWindow

FLOOR = 0.5
"""The lowest rate, attempts per second."""

_START = 30.0
_STEP = 0.05
_STEP_ATTEMPTS = 2
_USED = 0.5  # below this share of it, the rate does not hold anything back
_SMOOTHING = 0.1
_LEAST_LATENCY, _UNKNOWN_LATENCY = 0.005, 0.1
_SPEED_WINDOW, _SPEED_ATTEMPTS = 0.25, 8
_SPARE = 1.05
_OVERSHOT = 0.5
_PASSED = 0.8
_SURE = 0.8
_FALLEN = 0.85
_BETWEEN = 0.1
_WEIGHT, _WEIGHT_SECONDS = 3.0, 0.01
_RELAPSE, _MOST_RELAPSES = 12, 6
_DOUBT_ATTEMPTS = 1.5
_MOST_DOUBT = 0.5
_LONG = 0.5
_PAUSES_REST = 15.0


class RateController:
    """The rate of attempts, in attempts per second; times are seconds on the caller's monotonic clock.

    `ceiling` is never passed; None is no ceiling. `rate` is what is allowed now.
    """

    def __init__(self, ceiling: float | None, now: float) -> None:
        self._ceiling = ceiling if ceiling is not None else inf
        self.rate = min(_START, self._ceiling)
        self._started = now
        self._log = SendLog(now)
        self._latency_window = LatencyWindow(now)
        self._concurrency_window = ConcurrencyWindow()
        self._latency: float | None = None
        self._course: Climb | Hover = Climb(from_rest=False)
        self._stretch: Stretch | None = None
        self._upper = inf
        self._in_epoch = False
        self._heard_at = self._course_since = self._step_at = now
        self._step_sent = self._sent_at_end = self._seen = self._relapses = 0
        self._estimate = inf

    @property
    def window(self) -> int | None:
        """The most attempts that should be in flight; None for no bound."""
        sizes = (self._latency_window.size, self._concurrency_window.size)
        return min((size for size in sizes if size is not None), default=None)

    def sent(self, now: float, in_flight: int = 0) -> None:
        """Take an attempt that was let go; `in_flight` are those under way, itself included."""
        self._log.add(now, in_flight)
        self._advance(now)

    def accepted(self, now: float, sent_at: float) -> None:
        """Take an answer that is no 429."""
        latency = now - sent_at
        self._latency = latency if self._latency is None else self._latency + _SMOOTHING * (latency - self._latency)
        self._latency_window.answered(now, latency)
        self._concurrency_window.accepted(now, self._log.in_flight(sent_at))
        if self._in_epoch and sent_at > self._heard_at:
            self._end_epoch(now)
        self._advance(now)

    def throttled(self, now: float, sent_at: float) -> None:
        """Take a 429."""
        if self._in_epoch:
            self._go_on(now, sent_at)
        elif sent_at > self._heard_at:
            if self._concurrency_window.refused(now, self._log.in_flight(sent_at)):
                self._heard_at = now
            else:
                self._begin_epoch(now, sent_at)

    def resumed(self, now: float, pause: float) -> None:
        """Take note that nothing was sent for a while: the service has an allowance saved up that says nothing.

        The rate is as it was. Where every refusal costs a pause, looking for more waits in proportion.
        """
        if isinstance(self._course, Hover) and not self._in_epoch:
            rested = self._course.rest_at_least(_PAUSES_REST * pause)
            self._follow(rested, now)
            self._stretch = Stretch(now, self._log.count, rested.limit, _WEIGHT)

    def _begin_epoch(self, now: float, sent_at: float) -> None:
        sent = self._log.until(sent_at)
        rate = self._effective_rate(sent_at)
        climbed = isinstance(self._course, Climb)
        guess = (_OVERSHOT if self._stretch is None else _PASSED) * rate
        if self._stretch is not None:
            few = self._is_relapse(now)
            if few and self._relapses < _MOST_RELAPSES:
                self._relapses += 1
                self._in_epoch = True
                self._go_on(now, sent_at)
                return
            lower = self._stretch.estimate(sent_at, self._stretch.accepted(sent - 1))
            if few:
                guess = _FALLEN * rate
            elif not climbed or lower > _SURE * rate:
                guess = max(lower + _BETWEEN * (rate - lower), _FALLEN * rate)
            elif sent_at - self._stretch.began > _LONG:
                guess = max(guess, lower)
        weight = _WEIGHT if climbed else max(_WEIGHT, _WEIGHT_SECONDS * rate)
        self._stretch = Stretch(sent_at, sent, guess, weight, ended=sent_at, last=sent)
        self._in_epoch, self._heard_at, self._upper = True, now, rate
        self._estimate, self._seen, self._relapses = guess, 0, 0
        self._set(CAUTION * guess)

    def _go_on(self, now: float, sent_at: float) -> None:
        """Learn from another refusal in the same epoch."""
        stretch = self._stretch
        if stretch is None or sent_at <= stretch.began:
            return
        self._heard_at = now
        stretch.refuse(sent_at, self._log.until(sent_at))
        self._stretch = stretch = stretch.lately() or stretch
        self._estimate, self._seen = stretch.limit, stretch.accepted(stretch.last)
        self._set(CAUTION * self._estimate)

    def _end_epoch(self, now: float) -> None:
        doubt = min(self._upper / self._estimate - 1, _DOUBT_ATTEMPTS / max(1, self._seen), _MOST_DOUBT)
        if isinstance(self._course, Hover) and self._estimate >= _FALLEN * self._course.limit:
            doubt = min(doubt, self._course.reach / 2)  # between the rate it rested at and the one that was refused
        self._in_epoch, self._heard_at = False, now
        self._sent_at_end = self._log.count
        self._follow(hover(self._estimate, doubt, self._latency or _UNKNOWN_LATENCY), now)

    def _is_relapse(self, now: float) -> bool:
        """Whether the epoch ended a few attempts ago, so that its stretch goes on."""
        few = self._log.count - self._sent_at_end < _RELAPSE
        return few and isinstance(self._course, Hover) and now - self._course_since < self._course.rest

    def _effective_rate(self, moment: float) -> float:
        """Return the rate at which attempts went out lately, where that is less than what was allowed."""
        window = max(_SPEED_WINDOW, _SPEED_ATTEMPTS / self.rate)
        window = min(window, max(_STEP, moment - self._started))
        return max(FLOOR, min(self.rate, _SPARE * self._log.speed(moment, window)))

    def _follow(self, course: Climb | Hover, now: float) -> None:
        self._course, self._course_since = course, now

    def _advance(self, now: float) -> None:
        """Move the rate along its course, in small steps."""
        seconds = now - self._step_at
        if seconds < max(_STEP, _STEP_ATTEMPTS / self.rate):
            return
        sent = self._log.count - self._step_sent
        self._step_at, self._step_sent = now, self._log.count
        if self._in_epoch:
            return
        match self._course:
            case Climb() as climb:
                if sent >= _USED * self.rate * seconds:
                    latency = max(_LEAST_LATENCY, self._latency or _UNKNOWN_LATENCY)
                    self._set(climb.rate_after(self.rate, seconds, latency))
            case Hover() as hovering:
                self._set(hovering.rate_at(now - self._course_since))
                if self._stretch is not None and now - self._course_since >= hovering.rest:
                    seconds, accepted = now - self._stretch.began, self._stretch.accepted(self._log.count)
                    if hovering.is_outrun(seconds, accepted):
                        self._follow(Climb(from_rest=True), now)

    def _set(self, rate: float) -> None:
        self.rate = min(self._ceiling, max(FLOOR, rate))
