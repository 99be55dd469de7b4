"""The batch in numbers, while it runs: counts, quantiles of latencies, the most frequent errors; in bounded memory."""

import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, floor, isfinite, log, sqrt
from operator import itemgetter

from ingestor.model import events
from ingestor.model.record import Outcome, Result

MIN_MS = 0.001
MAX_MS = 10_000_000.0

_GROWTH = 1.03
_LOG_GROWTH = log(_GROWTH)

CAPACITY = 100
"""How many kinds of error are counted separately."""

RETRIED = "retried"
"""The cost of an error that did not end its record."""

_MESSAGE_LIMIT = 300

_SPECIFIC = re.compile(r"(?<![\w.:-])[\w.:-]*\d[\w.:-]*")
"""Words that contain a digit: ids, times, counts. They differ between two messages of the same error."""


class Histogram:
    """Counts values in buckets whose bounds grow by 3 %, so that a quantile is wrong by at most 1.5 %.

    Values are milliseconds. A value outside MIN_MS..MAX_MS (1 microsecond to 2.8 hours) counts as the bound.
    There are at most 780 buckets.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Count one value."""
        bounded = min(max(value, MIN_MS), MAX_MS)
        self._buckets[floor(log(bounded) / _LOG_GROWTH)] += 1

    def quantile(self, fraction: float) -> float | None:
        """Return the value that `fraction` (above 0, up to 1) of all values do not exceed; None without values."""
        rank = ceil(fraction * self._buckets.total())
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return exp(bucket * _LOG_GROWTH) * sqrt(_GROWTH)
        return None


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """A kind of error, how often it occurred, and its first message (shortened; hostile text).

    `cost` is what it did to its record: an outcome, or RETRIED.
    """

    count: int
    cost: str
    http_status: int | None
    code: str | None
    message: str


_Kind = tuple[str, int | None, str | None, str]


class ErrorTally:
    """Counts errors by cost, status, code and message. Messages that differ only in numbers and ids are one kind.

    `others` counts the errors of kinds that came after CAPACITY kinds were known.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Kind] = Counter()
        self._examples: dict[_Kind, str] = {}
        self.others = 0

    def add(self, cost: str, status: int | None, code: str | None, message: str) -> None:
        """Count one error."""
        example = message[:_MESSAGE_LIMIT]
        kind = (cost, status, code, _SPECIFIC.sub("#", example))
        if kind not in self._examples:
            if len(self._examples) >= CAPACITY:
                self.others += 1
                return
            self._examples[kind] = example
        self._counts[kind] += 1

    def most_frequent(self, limit: int) -> list[ErrorCount]:
        """Return at most `limit` kinds: first those that ended a record, then the retried ones, by frequency."""
        ordered = sorted(self._counts.items(), key=lambda item: (item[0][0] == RETRIED, -item[1]))
        return [ErrorCount(count, *kind[:3], self._examples[kind]) for kind, count in ordered[:limit]]

    @property
    def kinds(self) -> int:
        """How many kinds there are."""
        return len(self._counts)


WINDOW = 5.0
"""The current rate is the mean of this many seconds."""

_SLICE = 0.25
"""Seconds that are counted together for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A batch at one point in time.

    `done` records have an outcome, of this execution or of an earlier one. `total` is an estimate from the bytes read.
    It is exact once all are read, and None if the size of the input is not known. `rate` is the current number of
    records a second; `eta` is the seconds left at that rate. `pause`: nothing is sent for so many more seconds.
    """

    done: int
    total: int | None
    rate: float
    eta: float | None
    throttled: int
    pause: events.BatchPaused | None


class Metrics:
    """An EventSink that counts. `clock` is monotonic, in seconds.

    `counts` has the outcomes of this execution, `already_done` the records that earlier ones completed. `throttled`
    counts 429s. `pace` is the pacer's rate in attempts a second, None if it is not known or unlimited.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent = _Recent(clock())
        self._pauses: dict[str, float] = {}
        self._records_without_bytes = 0
        self.counts = dict.fromkeys(Outcome, 0)
        self.already_done = 0
        self.records = 0
        self.read_bytes = 0
        self.total_bytes: int | None = None
        self.attempts = 0
        self.throttled = 0
        self.retries = 0
        self.pace: float | None = None
        self.latency = Histogram()
        self.errors = ErrorTally()
        self.halt: events.BatchHalted | None = None

    def emit(self, event: events.Event) -> None:
        """Take one event."""
        match event:
            case events.AttemptEnded():
                self._count_attempt(event)
            case events.RunsEnded(results):
                self._count_results(results)
            case events.RecordsAlreadyDone(count):
                self.already_done += count
                self._recent.add(self._clock(), count)
            case events.RecordsDuplicate(duplicates):
                self._count_outcomes(Outcome.DUPLICATE, len(duplicates))
            case events.RecordRejected(reject):
                self._count_outcomes(Outcome.REJECTED, 1)
                self.errors.add(Outcome.REJECTED, None, None, reject.reason)
            case events.RunRetried(reply=reply):
                self.retries += 1
                self.errors.add(RETRIED, reply.status, reply.code or reply.fault, reply.message)
            case events.InputRead():
                self._count_input(event)
            case events.RateChanged(rate):
                self.pace = rate if isfinite(rate) else None
            case _:
                self._follow_batch(event)

    def snapshot(self) -> Snapshot:
        """Return what progress shows."""
        now = self._clock()
        done = sum(self.counts.values()) + self.already_done
        total = self._estimate_total()
        rate = self._recent.rate(now)
        return Snapshot(
            done=done,
            total=total,
            rate=rate,
            eta=max(0, total - done) / rate if total is not None and rate > 0 else None,
            throttled=self.throttled,
            pause=self._longest_pause(now),
        )

    def _count_attempt(self, event: events.AttemptEnded) -> None:
        self.attempts += 1
        self.throttled += event.throttled
        if event.reply.status is not None:  # the time that a connection took to fail is no latency of the service
            self.latency.add(event.reply.latency_ms)

    def _count_results(self, results: Sequence[Result]) -> None:
        for outcome, amount in Counter(result.outcome for result in results).items():
            self._count_outcomes(outcome, amount)
        for result in results:
            if result.outcome is not Outcome.CREATED:
                self.errors.add(result.outcome, result.http_status, result.error_code, result.error_message or "")

    def _count_outcomes(self, outcome: Outcome, amount: int) -> None:
        self.counts[outcome] += amount
        self._recent.add(self._clock(), amount)

    def _count_input(self, event: events.InputRead) -> None:
        self.records += event.records
        self.read_bytes, self.total_bytes = event.read_bytes, event.total_bytes
        if not event.read_bytes:  # records that the journal kept come before the first byte of a source
            self._records_without_bytes = self.records

    def _follow_batch(self, event: events.Event) -> None:
        match event:
            case events.BatchPaused(reason, seconds):
                self._pauses[reason] = self._clock() + seconds
            case events.BatchResumed(reason):
                self._pauses.pop(reason, None)
            case _:
                self._pauses.clear()
        if isinstance(event, events.BatchHalted):
            self.halt = event

    def _longest_pause(self, now: float) -> events.BatchPaused | None:
        """Return the pause that ends last: the service may be down and also have asked to wait."""
        if not self._pauses:
            return None
        reason, until = max(self._pauses.items(), key=itemgetter(1))
        return events.BatchPaused(reason, max(0.0, until - now))

    def _estimate_total(self) -> int | None:
        if self.total_bytes is None or self.read_bytes == 0:
            return None
        if self.read_bytes >= self.total_bytes:
            return self.records
        read = self.records - self._records_without_bytes
        return self._records_without_bytes + round(read * self.total_bytes / self.read_bytes)


def counts_of(finished: events.BatchFinished) -> dict[str, int]:
    """Return the number of records of each outcome, and of those that earlier executions completed."""
    counts = {outcome.value: finished.counts.get(outcome, 0) for outcome in Outcome}
    return {**counts, "already_done": finished.already_done}


class _Recent:
    """Counts what happened in the last WINDOW seconds, to the slice."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._slices: deque[tuple[int, int]] = deque(maxlen=int(WINDOW / _SLICE))

    def add(self, now: float, amount: int) -> None:
        number = int(now / _SLICE)
        if self._slices and self._slices[-1][0] == number:
            self._slices[-1] = (number, self._slices[-1][1] + amount)
        else:
            self._slices.append((number, amount))

    def rate(self, now: float) -> float:
        """Return how many a second; before WINDOW has passed, since the start."""
        oldest = int(now / _SLICE) - int(WINDOW / _SLICE)
        recent = sum(amount for number, amount in self._slices if number > oldest)
        return recent / min(WINDOW, max(now - self._start, _SLICE))
