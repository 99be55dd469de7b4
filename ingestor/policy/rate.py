"""Finding the rate that the service takes: a controller fed with attempts and answers, without I/O or clock.

It climbs until something is refused (429). That begins an *epoch*: the limit is estimated from what is accepted and
refused of what was sent since (`rate_evidence`), and the rate follows the estimate at once, for all attempts. The epoch
ends with the first acceptance of an attempt that was sent after the last refusal was heard of; refusals of what was
sent before that say nothing new. Then the rate hovers about the estimate (`rate_course`) until the next epoch, or until
more is accepted than the estimate allows: then it climbs again. It only climbs while the rate is what binds. Once
something else held the attempts back (little to send, a pause, a service that was down), it measures and rests anew.

What may be in flight is bounded beside it, where answers are slow (`rate_latency`) and where it is the number in flight
that the service refuses (`rate_concurrency`).
"""

from math import inf

from ingestor.policy.rate_concurrency import ConcurrencyWindow
from ingestor.policy.rate_course import CAUTION, Probe, SlowStart, hover
from ingestor.policy.rate_evidence import SampleWindow, SendLog
from ingestor.policy.rate_latency import LatencyWindow

FLOOR = 0.5
"""The lowest rate, attempts per second."""

_START = 30.0
_STEP, _STEP_ATTEMPTS = 0.05, 2  # the rate moves once in so many seconds, and so many attempts
_USED = 0.5  # below this share of it, the rate does not hold anything back
_SMOOTHING = 0.1
_LEAST_LATENCY, _UNKNOWN_LATENCY = 0.005, 0.1
_SPEED_WINDOW, _SPEED_ATTEMPTS, _SPARE = 0.25, 8, 1.05

# What is expected of a limit at the first refusal, before there is more to go by. Chosen by search, as `rate_course`'s.
_OVERSHOT = 0.5  # of the rate, after a climb from nothing: an allowance that was saved up hid the limit
_PASSED = 0.8  # after a climb from a limit, which left nothing saved up
_FALLEN = 0.85  # at least so much, where the limit was known
_BETWEEN = 0.1  # from what is proven to what was refused; little, so that the larger of two clients gives way
_SURE = 0.8  # where so much of the rate is proven, that is better than a guess
_LONG = 0.5  # seconds that prove something
_WEIGHT, _WEIGHT_SECONDS = 3.0, 0.01  # an expectation counts as so many attempts, or as those of so many seconds
_RELAPSE, _MOST_RELAPSES = 12, 6  # so few attempts after an epoch a refusal belongs to it, but not for ever
_DOUBT_ATTEMPTS, _MOST_DOUBT = 1.5, 0.5
_PAUSES_REST, _LONGEST_PAUSES_REST = 15.0, 120.0


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
        self._course: SlowStart | Probe = SlowStart(from_rest=False)
        self._stretch: SampleWindow | None = None
        self._upper = inf
        self._in_epoch = False
        self._heard_at = self._course_since = self._step_at = now
        self._sent_at_end = self._seen = self._relapses = 0
        self._estimate, self._pause = inf, 0.0

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
        """Take note that nothing was sent for so many seconds: the service may have saved up an allowance meanwhile.

        The rate is as it was. Where a refusal costs a pause, the next look waits in proportion.
        """
        self._pause = max(self._pause, pause)
        if isinstance(self._course, Probe) and not self._in_epoch:
            self._hover(self._course, now)

    def _begin_epoch(self, now: float, sent_at: float) -> None:
        relapsed = self._is_relapse(now)
        if relapsed and self._relapses < _MOST_RELAPSES:
            self._relapses += 1
            self._in_epoch = True
            self._go_on(now, sent_at)
            return
        sent, rate = self._log.until(sent_at), self._effective_rate(sent_at)
        guess = _FALLEN * rate if relapsed else self._expect(rate, sent_at, sent)
        weight = _WEIGHT if isinstance(self._course, SlowStart) else max(_WEIGHT, _WEIGHT_SECONDS * rate)
        self._stretch = SampleWindow(sent_at, sent, guess, weight, ended=sent_at, last=sent)
        self._in_epoch, self._heard_at, self._upper = True, now, rate
        self._estimate, self._seen, self._relapses = guess, 0, 0
        self._set(CAUTION * guess)

    def _expect(self, rate: float, sent_at: float, sent: int) -> float:
        """Return what the limit may be, where a rate was just refused: between what is proven and that rate."""
        if self._stretch is None:
            return _OVERSHOT * rate
        if isinstance(self._course, SlowStart) and self._stretch.full:
            return max(_OVERSHOT * rate, self._stretch.guess)
        proven = self._stretch.estimate(sent_at, self._stretch.accepted(sent - 1))
        if isinstance(self._course, Probe) or proven > _SURE * rate:
            return max(proven + _BETWEEN * (rate - proven), _FALLEN * rate)
        return max(_PASSED * rate, proven) if sent_at - self._stretch.began > _LONG else _PASSED * rate

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
        self._in_epoch, self._heard_at, self._sent_at_end = False, now, self._log.count
        if self._estimate < FLOOR:  # it refused everything for a while, which tells nothing of how it is now
            self._stretch = None
            self._follow(SlowStart(from_rest=False), now)
        else:
            self._hover(hover(self._estimate, self._doubt(), self._latency or _UNKNOWN_LATENCY), now)

    def _doubt(self) -> float:
        """Return by what share of it the estimate may be too low."""
        doubt = min(self._upper / self._estimate - 1, _DOUBT_ATTEMPTS / max(1, self._seen), _MOST_DOUBT)
        if isinstance(self._course, Probe) and self._estimate >= _FALLEN * self._course.limit:
            return min(doubt, self._course.reach / 2)  # it lies between what it rested at and what was refused
        return doubt

    def _hover(self, course: Probe, now: float) -> None:
        if self._pause:
            course = course.rest_at_least(min(_LONGEST_PAUSES_REST, _PAUSES_REST * self._pause))
            self._begin_stretch(course.limit, now)
            self._pause = 0.0
        self._follow(course, now)

    def _begin_stretch(self, limit: float, now: float) -> None:
        """Measure from now on: what could have been sent before, and was not, says nothing of the limit."""
        self._stretch = SampleWindow(now, self._log.count, limit, _WEIGHT, ended=now, last=self._log.count, full=True)

    def _is_relapse(self, now: float) -> bool:
        """Whether the epoch ended a few attempts ago, so that its stretch goes on."""
        few = self._log.count - self._sent_at_end < _RELAPSE
        return few and isinstance(self._course, Probe) and now - self._course_since < self._course.rest

    def _effective_rate(self, moment: float) -> float:
        """Return the rate at which attempts went out lately, where that is less than what was allowed."""
        return max(FLOOR, min(self.rate, _SPARE * self._speed(moment)))

    def _speed(self, moment: float) -> float:
        window = max(_SPEED_WINDOW, _SPEED_ATTEMPTS / self.rate)
        return self._log.speed(moment, min(window, max(_STEP, moment - self._started)))

    def _follow(self, course: SlowStart | Probe, now: float) -> None:
        self._course, self._course_since = course, now

    def _advance(self, now: float) -> None:
        """Move the rate along its course, in small steps."""
        seconds = now - self._step_at
        if seconds < max(_STEP, _STEP_ATTEMPTS / self.rate):
            return
        self._step_at = now
        if self._in_epoch:
            return
        match self._course:
            case SlowStart() as climb if self._speed(now) >= _USED * self.rate:
                latency = max(_LEAST_LATENCY, self._latency or _UNKNOWN_LATENCY)
                self._set(climb.rate_after(self.rate, seconds, latency))
            case Probe() as hovering:
                self._set(hovering.rate_at(now - self._course_since))
                self._compare(hovering, now)

    def _compare(self, hovering: Probe, now: float) -> None:
        """Compare what is accepted with the estimate: climb where it is more, which is looked for beyond the rest."""
        if self._stretch is None:
            return
        seconds, accepted = now - self._stretch.began, self._stretch.accepted(self._log.count)
        if hovering.is_underused(seconds, accepted):
            self._begin_stretch(hovering.limit, now)
            self._follow(hovering, now)
        elif now - self._course_since >= hovering.rest and hovering.is_outrun(seconds, accepted):
            self._follow(SlowStart(from_rest=True), now)

    def _set(self, rate: float) -> None:
        self.rate = min(self._ceiling, max(FLOOR, rate))
