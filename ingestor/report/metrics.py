"""The batch in numbers, as it goes."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import assert_never

from ingestor.model.events import (
    AttemptEnded,
    BatchFinished,
    BatchHalted,
    BatchPaused,
    BatchResumed,
    BatchStarted,
    Event,
    InputRead,
    RateChanged,
    RecordRejected,
    RecordsDuplicate,
    RunRetried,
    RunsEnded,
)
from ingestor.model.outcome import Outcome, Result
from ingestor.report.latency import Histogram
from ingestor.report.snapshot import Pause, Snapshot
from ingestor.report.tally import Cost, ErrorTally

WINDOW = 5.0
"""Seconds that "now" spans when a rate is told."""

_SLICE = 0.25
"""Seconds that are counted together for that."""


class Metrics:
    """An EventSink that counts. `clock` is monotonic, in seconds.

    `throttled` counts 429s, `pace` is the pacer's rate in attempts a second (None until it tells).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent = _Recent(clock())
        self._paused: tuple[str, float] | None = None
        self.counts = dict.fromkeys(Outcome, 0)
        self.records = 0
        self.read_bytes = 0
        self.total_bytes: int | None = None
        self.attempts = 0
        self.throttled = 0
        self.retries = 0
        self.pace: float | None = None
        self.latency = Histogram()
        self.errors = ErrorTally()
        self.halt: BatchHalted | None = None

    def emit(self, event: Event) -> None:
        """Take one event."""
        match event:
            case AttemptEnded():
                self._count_attempt(event)
            case RunsEnded(results):
                self._count_settled(results)
            case RecordsDuplicate(duplicates):
                self._count_done(Outcome.DUPLICATE, len(duplicates))
            case RecordRejected(reject):
                self._count_done(Outcome.REJECTED)
                self.errors.add(Cost.REJECTED, None, None, reject.reason)
            case RunRetried():
                self._count_retry(event)
            case InputRead(records, read_bytes, total_bytes):
                self.records += records
                self.read_bytes, self.total_bytes = read_bytes, total_bytes
            case _:
                self._follow_batch(event)

    def snapshot(self) -> Snapshot:
        """Return what progress shows."""
        now = self._clock()
        done = sum(self.counts.values())
        total = self._estimate_total()
        rate = self._recent.rate(now)
        return Snapshot(
            done=done,
            total=total,
            rate=rate,
            eta=max(0, total - done) / rate if total is not None and rate > 0 else None,
            throttled=self.throttled,
            pause=Pause(self._paused[0], max(0.0, self._paused[1] - now)) if self._paused else None,
        )

    def _count_attempt(self, event: AttemptEnded) -> None:
        self.attempts += 1
        self.throttled += event.throttled
        if event.reply.status is not None:  # how long a connection took to fail is no latency of the service
            self.latency.add(event.reply.latency_ms)

    def _count_settled(self, results: Sequence[Result]) -> None:
        for outcome, amount in Counter(result.outcome for result in results).items():
            self._count_done(outcome, amount)
        for result in results:
            if result.outcome is not Outcome.CREATED:
                cost = Cost(result.outcome.value)
                self.errors.add(cost, result.http_status, result.error_code, result.error_message or "")

    def _count_retry(self, event: RunRetried) -> None:
        self.retries += 1
        reply = event.reply
        self.errors.add(Cost.RETRIED, reply.status, reply.code or reply.fault, reply.message)

    def _count_done(self, outcome: Outcome, amount: int = 1) -> None:
        self.counts[outcome] += amount
        self._recent.add(self._clock(), amount)

    def _follow_batch(
        self, event: BatchStarted | BatchPaused | BatchResumed | BatchHalted | BatchFinished | RateChanged
    ) -> None:
        match event:
            case RateChanged(rate):
                self.pace = rate
            case BatchPaused(reason, seconds):
                self._paused = (reason, self._clock() + seconds)
            case BatchHalted():
                self._paused, self.halt = None, event
            case BatchStarted() | BatchResumed() | BatchFinished():
                self._paused = None
            case _:
                assert_never(event)

    def _estimate_total(self) -> int | None:
        if self.total_bytes is None or self.read_bytes == 0:
            return None
        return max(self.records, round(self.records * self.total_bytes / self.read_bytes))


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
