"""Two tests on refusals: are they more than noise, and are they more than the additional attempts are worth?"""

from math import log, sqrt

from ingestor.policy.rate.constants import RateConstants


class SequentialTest:
    """Is an attempt refused more often than by noise? A cumulative sum test (CUSUM, Page 1954).

    The score adds the logarithm of the likelihood ratio of two hypotheses for each attempt: it is refused as often as
    by noise, or more often by an excess. While the score is 0, refusals are noise, and the next attempt begins a *run*.

    Attributes:
        score: the evidence for more refusals than noise.
        sent: attempts of the run.
        refused: refusals of the run.
        began: when the first attempt of the run was sent.
    """

    def __init__(self, constants: RateConstants) -> None:
        self._constants = constants
        self._noise = self._if_accepted = self._if_refused = 0.0
        self.score = self.began = 0.0
        self.sent = self.refused = 0

    def add(self, noise: float, sent_at: float, *, is_refused: bool) -> None:
        """Record an attempt, if the share `noise` of attempts is refused by noise."""
        if self.score == 0:
            self.sent, self.refused, self.began = 0, 0, sent_at
        self.sent += 1
        self.refused += is_refused
        if noise != self._noise:  # logarithms take time
            more = noise + self._constants.excess
            self._noise, self._if_accepted, self._if_refused = noise, log((1 - more) / (1 - noise)), log(more / noise)
        self.score = max(0.0, self.score + (self._if_refused if is_refused else self._if_accepted))

    def is_overload(self, rate: float) -> bool:
        """Whether the evidence suffices at a rate. A hold with more attempts needs more: false alarms stay rare."""
        constants = self._constants
        return self.score > constants.evidence * log(max(constants.sure, constants.hold * rate))


class PriceTest:
    """Are more of the additional attempts refused than they are worth? They are those over the estimated limit.

    Attributes:
        cost: refusals beyond noise, since the last hold.
    """

    def __init__(self, constants: RateConstants) -> None:
        self._constants = constants
        self._tried = 0
        self._surplus = 0.0
        self.cost = 0.0

    def add(self, noise: float, lowest_noise: float, additional: float, *, is_refused: bool) -> None:
        """Record an attempt; the share `additional` of the rate is over the estimate."""
        self._tried += 1
        self.cost += is_refused - lowest_noise
        self._surplus += is_refused - noise * (1 - additional) - self._constants.price * additional

    def is_too_expensive(self, noise: float) -> bool:
        """Whether refusals are more than the price, beyond what chance explains."""
        return self._surplus > self._constants.errors * (1 + sqrt(1 + noise * self._tried))
