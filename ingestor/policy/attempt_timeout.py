"""How long an attempt may take before it is overdue: from the latencies of the last ones of its operation.

An overdue attempt is abandoned: it is given up and made again, or it waits where it holds nothing up
(`pipeline.attempts`). The timeout is FACTOR times the *usual* latency, a QUANTILE of the last ones. A few percent of
slow or hung attempts do not move that quantile. A service that becomes slow for all moves it, so its timeout follows.

How many attempts may be abandoned is limited by a bucket of tokens (as gRPC throttles its retries): an answer in time
adds EARNED. An abandoned attempt costs one, where attempts that were sent later are answered in time. Else the service
may hang, or have become slow for all: then it costs UNCERTAIN, no answer adds anything, and most attempts just wait.

| constant    | value | unit      | range       | meaning                                                       |
|-------------|-------|-----------|-------------|---------------------------------------------------------------|
| LEAST       | 1     | s         | 0.5 to 5    | the shortest timeout                                          |
| FACTOR      | 4     | factor    | 2 to 10     | the timeout, in usual latencies                               |
| QUANTILE    | 0.9   | share     | 0.8 to 0.98 | of latencies, up to the usual one: others may be slow or hung |
| WINDOW      | 1000  | latencies | 200 to 5000 | that count; with more, the timeout follows later              |
| FEWEST      | 50    | latencies | 20 to 200   | with fewer, the timeout is the longest one                    |
| CENSORED    | 2     | factor    | 1 to 4      | what an abandoned attempt counts as, in the time that it had  |
| EARNED      | 0.1   | tokens    | 0.05 to 0.2 | for an answer in time: the share of attempts to abandon       |
| UNCERTAIN   | 10    | tokens    | 5 to 20     | what an abandoned attempt costs if no later one is in time    |
| MOST_TOKENS | 200   | tokens    | 50 to 500   | the most in the bucket; it begins with them                   |
"""

from collections import deque
from math import inf

LEAST = 1.0
FACTOR = 4.0
QUANTILE = 0.9
WINDOW = 1000
FEWEST = 50
CENSORED = 2.0
EARNED = 0.1
UNCERTAIN = 10.0
MOST_TOKENS = 200.0

_STEP = 100  # latencies between two computations of the timeout


class AttemptTimeout:
    """The timeout of one operation. Times are seconds on the caller's monotonic clock.

    Args:
        longest: the highest timeout, and the one of the beginning.

    Attributes:
        seconds: the timeout: from LEAST to `longest`; `longest` where that is shorter than LEAST.
    """

    def __init__(self, longest: float) -> None:
        self.seconds = self._longest = longest
        self._usual = inf
        self._latencies = deque[float](maxlen=WINDOW)
        self._tokens = MOST_TOKENS
        self._answered_from = -inf  # when the last attempt was sent that was answered in time
        self._until_step = FEWEST

    def answered(self, now: float, sent_at: float) -> None:
        """Record the answer to an attempt that was not abandoned."""
        latency = now - sent_at
        if latency <= self.seconds:
            self._tokens = min(MOST_TOKENS, self._tokens + EARNED)
            self._answered_from = max(self._answered_from, sent_at)
        self._add(latency)

    def abandon(self, now: float, sent_at: float) -> bool:
        """Pay for an attempt, and return True. False: it is not overdue, or there are too few tokens: it continues."""
        price = 1.0 if sent_at + self._usual < self._answered_from else UNCERTAIN
        if now - sent_at < self.seconds or self._tokens < price:
            return False
        self._tokens -= price
        self._add(CENSORED * (now - sent_at))
        return True

    def _add(self, latency: float) -> None:
        self._latencies.append(latency)
        self._until_step -= 1
        if self._until_step <= 0:
            self._until_step = _STEP
            ordered = sorted(self._latencies)
            self._usual = ordered[int(QUANTILE * len(ordered))]
            self.seconds = min(self._longest, max(LEAST, FACTOR * self._usual))
