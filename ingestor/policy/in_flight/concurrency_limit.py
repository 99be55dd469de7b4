"""The most attempts in flight, from refusals: of a service that refuses by the number of requests in service.

Such a service refuses almost every attempt above its limit, and almost none below. A service that limits the rate
refuses at any number in flight alike, or everything for a while. A sequential test (CUSUM) compares both: refusals at
more in flight than the *candidate* add evidence, attempts accepted there take it away. Refusals in a row add less and
less, because a service that is closed refuses everything. So several overloads must show the same limit.

A limit that was found is probed now and then by a larger size. The first refusal ends a probe, unless refusals are
noise. The step doubles as long as probes succeed; after a failure it is halved.
"""

from collections import deque
from math import inf, log

from ingestor.policy.in_flight.constants import InFlightConstants


class ConcurrencyLimit:
    """A size from refusals. Times are seconds on the caller's monotonic clock. A level is a number in flight.

    Attributes:
        size: the most attempts in flight, `inf` if nothing shows a limit.
    """

    def __init__(self, constants: InFlightConstants) -> None:
        self.size = inf
        self._constants = constants
        # the test
        self._score, self._candidate, self._highest = 0.0, inf, 0
        self._recent = self._noise = 0.0
        self._accepted = 0  # since the last refusal
        self._pending = deque[tuple[float, int]](maxlen=constants.sample)
        # probes
        self._proven = inf
        self._step, self._is_growing = 1, True
        self._since = self._probe_at = 0.0
        self._answered = self._tried = self._refused = 0

    def sent(self, level: int) -> None:
        """Record an attempt."""
        if level > self._proven:
            self._tried += 1

    def accepted(self, now: float, sent_at: float, level: int) -> bool:
        """Record an answer other than 429; return whether it shows a limit."""
        pending, before = self._pending, self._proven
        while pending and pending[0][0] <= sent_at:  # refusals take less time than other answers: compare by sending
            self._test(now, pending.popleft()[1])
        self._accepted += 1
        self._compare(now, sent_at, level)
        return self._proven < before

    def _compare(self, now: float, sent_at: float, level: int) -> None:
        """Compare the level of an accepted attempt with the candidate, and with the proven size."""
        if self._score > 0 and level > self._highest:
            self._highest = level
        if level > self._candidate:
            self._add(log((1 - self._constants.certainty) / (1 - self._share())))
        if level >= self._proven and sent_at >= self._since:
            self._used(now, level)

    def refused(self, now: float, sent_at: float, level: int) -> bool:
        """Record a 429. Return whether the number in flight caused it."""
        if level <= self._proven:
            self._pending.append((sent_at, level))
            return False
        if self.size > self._proven and sent_at >= self._since:
            self._refused += 1
            if self._refused > 2 * (self._constants.least_noise + self._usual_noise) * self._tried:
                self._is_growing = False
                self._step //= 2
                self._continue(now)
        return True

    # The test

    def _share(self) -> float:
        """Return the share of refusals that is usual now, whatever the number in flight."""
        constants, accepted = self._constants, self._accepted
        recent = self._recent * (1 - 1 / constants.burst) ** accepted
        return max(constants.least_noise, recent, self._usual_noise)

    @property
    def _usual_noise(self) -> float:
        """Return the share of refusals over many answers."""
        return self._noise * (1 - 1 / self._constants.sample) ** self._accepted

    def _test(self, now: float, level: int) -> None:
        """Test a refusal."""
        constants, usual = self._constants, self._share()
        self._recent = _mean(self._recent, constants.burst, self._accepted)
        self._noise = _mean(self._noise, constants.sample, self._accepted)
        self._accepted = 0
        if self._score == 0.0:
            self._highest = 0
        if level > min(self._candidate, self._highest):
            self._candidate = min(self._candidate, level - 1)
            self._add(log(constants.certainty / usual))
        else:
            self._add(log(constants.least_noise / usual))
        if self._score > constants.evidence and self._candidate >= 1:
            self._hold(now, self._candidate)
            self._add(-inf)

    def _add(self, evidence: float) -> None:
        self._score = max(0.0, self._score + evidence)
        if self._score == 0.0:
            self._candidate = inf

    # Probes

    def _used(self, now: float, level: int) -> None:
        """Record an accepted attempt at the proven size or above it. Enough of them prove a probe, or let one begin."""
        constants = self._constants
        self._answered += self.size == self._proven or level > self._proven
        if self.size == self._proven:
            if self._answered >= constants.sample and now >= self._probe_at:
                self._step, self._is_growing = max(1, int(constants.probe * self.size)), True
                self._continue(now)
        elif self._answered >= constants.answers:
            self._proven = self.size
            self._step = 2 * self._step if self._is_growing else self._step // 2
            self._continue(now)

    def _continue(self, now: float) -> None:
        """Probe a size that is larger by the step. Without a step, hold the proven size."""
        if not self._step:
            self._hold(now, self._proven)
            return
        self.size = self._proven + self._step
        self._since, self._answered, self._tried, self._refused = now, 0, 0, 0

    def _hold(self, now: float, size: float) -> None:
        self.size = self._proven = size
        self._since, self._answered = now, 0
        self._probe_at = now + self._constants.hold


def _mean(share: float, weight: int, accepted: int) -> float:
    """Return a running mean of refusals after some accepted attempts and a refusal."""
    return share * (1 - 1 / weight) ** (accepted + 1) + 1 / weight
