"""What attempts and answers show of the service: how fast it is, and how many attempts in flight it takes.

**SendLog, SampleWindow.** The attempts that were sent, and those of them that were refused (429), show the limit on the
rate. The other two bound the attempts in flight: for a service that answers slowly, and for one that limits
concurrency.

**LatencyWindow.** Slower answers without more of them mean that this client's attempts wait in a queue. Then the bound
is the number that the service answers in twice its own latency. If fewer in flight leave the latency unchanged, there
is no
queue: the service is slow now, and the bound is removed. A latency that rises little by little looks like a queue at
each step. So a bound that no longer shrinks is sometimes exceeded a little. If more answers come, there is no queue.

**ConcurrencyWindow.** A refusal (429) is *crowded* if almost no attempt was accepted recently with as many in flight.
A limit on the rate refuses at any number in flight, so few of its refusals are crowded. A limit on concurrency makes
nearly all of them crowded. After a few in a row the bound is set just under the last, and grows slowly from there.
If all answers take the same time, the two limits are the same, and limiting the rate is enough.
"""

from bisect import bisect_right
from collections import Counter, deque
from math import ceil, inf, sqrt
from statistics import median

from ingestor.policy.rate_constants import CONSTANTS, RateConstants


class SendLog:
    """How many attempts were sent up to each time, and how many were in flight. Bounded: the oldest are dropped.

    Times are seconds on the caller's monotonic clock; they do not decrease.
    """

    def __init__(self, now: float, constants: RateConstants = CONSTANTS) -> None:
        self.count = 0
        self._resolution, self._size = constants.sample_seconds, constants.sample_count
        self._times = [now]
        self._counts = [0]
        self._in_flight = [0]

    def add(self, now: float, in_flight: int) -> None:
        """Count an attempt; `in_flight` attempts are in flight with it."""
        self.count += 1
        if now - self._times[-1] < self._resolution:
            self._counts[-1] = self.count
            self._in_flight[-1] = in_flight
            return
        self._times.append(now)
        self._counts.append(self.count)
        self._in_flight.append(in_flight)
        if len(self._times) > self._size:
            for column in (self._times, self._counts, self._in_flight):
                del column[: self._size // 2]

    def until(self, time: float) -> int:
        """Return how many attempts were sent up to a time."""
        return self._counts[self._at(time)]

    def in_flight(self, time: float) -> int:
        """Return how many attempts were in flight at a time, with the one that was sent then."""
        return self._in_flight[self._at(time)]

    def speed(self, time: float, window: float) -> float:
        """Return how many attempts a second were sent in the `window` seconds up to a time."""
        return (self.until(time) - self.until(time - window)) / window

    def _at(self, time: float) -> int:
        return max(0, bisect_right(self._times, time) - 1)


class SampleWindow:
    """The time since a refusal, at which the service's allowance was used up.

    It began without allowance, so accepted attempts divided by time are never more than the limit. If it ends in
    another refusal, they are the limit, unless so few were sent that the allowance was full.

    Attributes:
        began: when the refused attempt was sent.
        sent: attempts sent until then.
        guess: the expected limit, attempts a second.
        weight: how many attempts the guess counts as.
        full: whether it began without a refusal, so that there may have been an allowance.
        refused: refusals within.
        ended: when the last of them was sent.
        last: attempts sent until then.
        recent: the last refusals: when each was sent, and how many attempts in all until then.
    """

    def __init__(
        self, began: float, sent: int, guess: float, weight: float, constants: RateConstants, *, full: bool = False
    ) -> None:
        self.began, self.sent = began, sent
        self.guess, self.weight = guess, weight
        self.full = full
        self.refused = 0
        self.ended, self.last = began, sent
        self.recent = deque[tuple[float, int]](maxlen=constants.recent_refusals)
        self._constants = constants

    def accepted(self, sent: int) -> int:
        """Return how many attempts since then were accepted, if `sent` were sent in all."""
        return max(0, sent - self.sent - self.refused)

    def refuse(self, sent_at: float, sent: int) -> None:
        """Record another refusal; `sent` attempts were sent up to the refused one."""
        self.refused += 1
        self.recent.append((sent_at, sent))
        self.ended, self.last = max((self.ended, self.last), (sent_at, sent))

    def narrowed(self) -> "SampleWindow":
        """Return the window of the last few refusals if they show a far lower limit, else this window."""
        constants = self._constants
        if len(self.recent) < constants.recent_refusals:
            return self
        (began, first), (ended, last) = min(self.recent), max(self.recent)
        recent = SampleWindow(began, first, self.guess, 1.0, constants)
        recent.refused, recent.ended, recent.last = constants.recent_refusals - 1, ended, last
        accepted = max(1, recent.accepted(last))
        if ended - began < constants.recent_seconds or accepted >= constants.far_lower * (ended - began) * self.limit:
            return self
        recent.guess = accepted / (ended - began)
        return recent

    @property
    def limit(self) -> float:
        """The limit, attempts a second, as of the last refusal."""
        return self.estimate(self.ended, self.accepted(self.last))

    def estimate(self, time: float, accepted: int) -> float:
        """Return the limit, attempts a second, after `accepted` attempts up to a time: from the guess and the samples.

        A service that refuses may be about to accept again, so its limit is known to one attempt more than it accepted.
        """
        seconds = max(0.0, time - self.began)
        estimate = (self.weight + accepted + 1) / (self.weight / self.guess + seconds)
        return min(estimate, max(self.guess, accepted / seconds if seconds else 0.0))


class LatencyWindow:
    """A bound from latencies; times are seconds on the caller's monotonic clock.

    `size` is the bound, None if none is needed.
    """

    def __init__(self, now: float, constants: RateConstants = CONSTANTS) -> None:
        self.size: int | None = None
        self._constants = constants
        self._own_latency = inf
        self._before_bound: tuple[float, float] | None = None
        self._probe_from: tuple[int, float] | None = None
        self._probe_after, self._periods = constants.first_probe_periods, 0
        self._began = self._first = now
        self._latencies: list[float] = []

    def answered(self, now: float, latency: float) -> None:
        """Record an answer that is not a refusal, and how long it took."""
        if now - latency < self._began:
            return  # sent under another bound
        if not self._latencies:
            self._first = now
        self._latencies.append(latency)
        seconds = now - self._first
        if len(self._latencies) > self._constants.latency_answers and seconds >= self._constants.latency_period:
            self._evaluate((len(self._latencies) - 1) / seconds, median(self._latencies))
            self._began = self._first = now
            self._latencies.clear()

    def _evaluate(self, throughput: float, latency: float) -> None:
        """Evaluate a period: attempts a second, and the median latency."""
        if self._probe_from is not None:
            self._evaluate_probe(*self._probe_from, throughput, latency)
            return
        self._lift_where_slow(latency)
        self._own_latency = min(self._own_latency, latency)
        constants = self._constants
        tolerated = constants.latency_factor * self._own_latency + constants.latency_slack
        if latency > tolerated:
            if self._before_bound is None or latency > self._before_bound[1]:
                self._before_bound = throughput * latency, latency
            self._bound(max(constants.window_min, ceil(throughput * tolerated)), throughput)
        else:
            self._before_bound = None
            if self.size is not None and throughput * latency >= constants.window_used * self.size:
                self.size = ceil(constants.window_growth * self.size)

    def _lift_where_slow(self, latency: float) -> None:
        """Remove a bound that reduced the attempts in flight and left the latency unchanged."""
        if self._before_bound is None or self.size is None:
            return
        in_flight, before = self._before_bound
        if self.size <= self._constants.window_used * in_flight:
            same = self._constants.latency_same
            if same <= latency / before <= 1 / same:
                self._own_latency, self.size = latency, None
            self._before_bound = None

    def _bound(self, size: int, throughput: float) -> None:
        """Set the bound. If it has not shrunk for several periods, set it a little higher once."""
        self._periods = self._periods + 1 if self.size is not None and size >= self.size else 0
        self.size = size
        if self._periods >= self._probe_after:
            self._periods, self._probe_after = 0, min(self._constants.last_probe_periods, 2 * self._probe_after)
            self._probe_from, self.size = (size, throughput), ceil(self._constants.window_probe * size)

    def _evaluate_probe(self, size: int, before: float, throughput: float, latency: float) -> None:
        """Compare the throughput with more in flight to `before`, that of `size`. Twice as many is proof."""
        probed = size if self.size is None else self.size
        if throughput < sqrt(probed / size) * before:
            self.size, self._probe_from = size, None
        elif probed < self._constants.window_probe_end * size:
            self.size = ceil(self._constants.window_probe * probed)
        else:
            self._own_latency, self.size, self._probe_after = latency, None, self._constants.first_probe_periods
            self._before_bound = self._probe_from = None


class ConcurrencyWindow:
    """A bound from refusals; times are seconds on the caller's monotonic clock.

    `size` is the bound, None if there is no sign of a limit on concurrency.
    """

    def __init__(self, constants: RateConstants = CONSTANTS) -> None:
        self.size: int | None = None
        self._constants = constants
        self._accepted, self._accepted_before = Counter[int](), Counter[int]()
        self._count = self._count_before = 0
        self._crowded_in_a_row = 0
        self._grow_at = inf
        self._step = 1

    def accepted(self, now: float, in_flight: int) -> None:
        """Record an accepted attempt that was sent with this many in flight, itself included."""
        self._accepted[in_flight] += 1
        self._count += 1
        if self._count >= self._constants.crowded_sample:
            self._accepted_before, self._accepted = self._accepted, Counter()
            self._count_before, self._count = self._count, 0
            if self.size is not None and now >= self._grow_at:
                self._resize(now, self.size + self._step)
                self._step *= 2

    def refused(self, now: float, in_flight: int) -> bool:
        """Record the first refusal of a recovery; True if concurrency caused it, and not the rate."""
        is_crowded = self._is_crowded(in_flight)
        self._crowded_in_a_row = self._crowded_in_a_row + 1 if is_crowded else 0
        if self._crowded_in_a_row >= self._constants.crowded_in_a_row:
            self._resize(now, max(1, in_flight - 1))
            self._step = 1
        elif not is_crowded:
            self.size = None
        return self.size is not None

    def _is_crowded(self, in_flight: int) -> bool:
        alike = sum(
            number
            for sample in (self._accepted, self._accepted_before)
            for level, number in sample.items()
            if level >= in_flight
        )
        return alike < self._constants.crowded_share * (self._count + self._count_before)

    def _resize(self, now: float, size: int) -> None:
        self.size, self._grow_at = size, now + self._constants.concurrency_hold
