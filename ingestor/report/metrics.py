"""The batch in numbers, while it runs: counts, quantiles of latencies, the most frequent errors; in bounded memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from operator import itemgetter

from ingestor.model import events
from ingestor.model.acceptance import Acceptance
from ingestor.model.record import Outcome, Result
from ingestor.model.sources import NOTHING_SKIPPED
from ingestor.report.errors import RETRIED, ErrorTally, RefusedExperiments, example_of_job, example_of_reject
from ingestor.report.histogram import Histogram, RecentRate
from ingestor.report.sources_read import SourcesRead
from ingestor.report.text import spell_reply
from ingestor.report.total import TotalEstimate

_RUN_EXISTS = frozenset({Outcome.CREATED, Outcome.PARTIAL})

MOST_PAUSES = 8
"""How many pauses are remembered before those that are over are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A batch at one point in time.

    `done` records have an outcome, of this execution or of an earlier one. `total` is an estimate from the bytes read,
    and None if the size of the input is not known. It `is_exact` once all are read. `rate` is the current number of
    records a second; `eta` is the seconds left at that rate. `throttled` counts 429s; None where nothing is sent.
    `pause`: nothing is sent for so many more seconds.
    """

    done: int
    total: int | None
    is_exact: bool = False
    rate: float
    eta: float | None
    throttled: int | None = None
    pause: events.BatchPaused | None = None


class Metrics:
    """An EventSink that counts. `clock` is monotonic, in seconds. Unless it `sends`, what is read is done.

    `counts` has the outcomes of this execution, `already_done` the records that earlier ones completed. `accepted`
    counts answers that are a success, `throttled` 429s, `acceptance` the requests of other programs. `pace` is the
    pacer's rate in attempts a second, None if it is not known or unlimited. `ends` counts attempts by status or fault.
    `created_at` is when the last run was created.
    """

    def __init__(self, clock: Callable[[], float], *, sends: bool = True) -> None:
        self._clock = clock
        self._sends = sends
        self._recent = RecentRate(clock())
        self._pauses: dict[str, float] = {}
        self._total = TotalEstimate()
        self.counts = dict.fromkeys(Outcome, 0)
        self.already_done = 0
        self.records = 0
        self.sources = SourcesRead()
        self.skipped = NOTHING_SKIPPED
        self.attempts = 0
        self.ends: Counter[int | str | None] = Counter()
        self.created_at: float | None = None
        self.accepted = 0
        self.throttled = 0
        self.retries = 0
        self.pace: float | None = None
        self.latency = Histogram()
        self.errors = ErrorTally()
        self.missing_experiments = RefusedExperiments()
        self.refused_experiments = RefusedExperiments()
        self.halt: events.BatchHalted | None = None
        self.acceptance = Acceptance()

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
            case events.RecordsForgotten(count):
                self._count_outcomes(Outcome.FORGOTTEN, count)
            case events.RecordsDuplicate(duplicates):
                self._count_outcomes(Outcome.DUPLICATE, len(duplicates))
            case events.RecordRejected(reject):
                self._count_outcomes(Outcome.REJECTED, 1)
                self.sources.reject(reject)
                self.errors.add(Outcome.REJECTED, None, None, reject.reason, example=partial(example_of_reject, reject))
            case events.RunRetried():
                self._count_retry(event)
            case events.InputRead():
                self._count_read(event)
            case events.RateChanged(rate):
                self.pace = rate if isfinite(rate) else None
            case _:
                self._follow_batch(event)

    @property
    def has_read_nothing(self) -> bool:
        """Whether there was input, and all of it has another format than JSON Lines."""
        return 0 < self.sources.other_formats == self.records

    @property
    def done(self) -> int:
        """The records that have an outcome, of this execution or of an earlier one."""
        return self.records if not self._sends else sum(self.counts.values()) + self.already_done

    @property
    def has_read_all(self) -> bool:
        """Whether all bytes of the input were read."""
        return self._total.is_exact

    @property
    def bytes_read(self) -> tuple[int, int | None]:
        """The bytes of text that were read, and about how many the whole input has; None while that is not known."""
        return self._total.read_bytes, self._total.total_bytes

    def snapshot(self) -> Snapshot:
        """Return what progress shows."""
        now = self._clock()
        done, total = self.done, self._total.total
        rate = self._recent.rate(now)
        return Snapshot(
            done=done,
            total=total,
            is_exact=self._total.is_exact,
            rate=rate,
            eta=max(0, total - done) / rate if total is not None and rate > 0 else None,
            throttled=self.throttled if self._sends else None,
            pause=self._longest_pause(now),
        )

    def _count_read(self, event: events.InputRead) -> None:
        self.records += event.records
        self.sources.read(event)
        self._total.read(event)
        if not self._sends:
            self._recent.add(self._clock(), event.records)

    def _count_attempt(self, event: events.AttemptEnded) -> None:
        self.attempts += 1
        self.ends[event.reply.fault or event.reply.status] += 1
        self.accepted += event.reply.is_success
        self.throttled += event.throttled
        self.retries += event.repeated
        if event.reply.status is not None:  # the time that a connection took to fail is no latency of the service
            self.latency.add(event.reply.latency_ms)

    def _count_results(self, results: Sequence[Result]) -> None:
        for outcome, amount in Counter(result.outcome for result in results).items():
            self._count_outcomes(outcome, amount)
            if outcome in _RUN_EXISTS:
                self.created_at = self._clock()
        for result in results:
            if result.outcome is not Outcome.CREATED:
                self._count_error(result)
                experiments = self.missing_experiments if result.misses_experiment else self.refused_experiments
                experiments.add(result)

    def _count_error(self, result: Result) -> None:
        message = spell_reply(result.http_status, result.error_message or "")
        job, request_id = result.job, result.opc_request_id
        example = partial(example_of_job, job, request_id)
        self.errors.add(
            result.outcome, result.http_status, result.error_code, message, job.experiment_id, example=example
        )

    def _count_retry(self, event: events.RunRetried) -> None:
        reply = event.reply
        message = spell_reply(reply.status, reply.message)
        example = partial(example_of_job, event.job, reply.opc_request_id)
        code = reply.code or reply.fault
        self.errors.add(RETRIED, reply.status, code, message, event.job.experiment_id, example=example)

    def _count_outcomes(self, outcome: Outcome, amount: int) -> None:
        self.counts[outcome] += amount
        if self._sends:
            self._recent.add(self._clock(), amount)

    def _follow_batch(self, event: events.Event) -> None:
        match event:
            case events.BatchPaused():
                self._begin_pause(event)
            case events.BatchResumed(reason):
                self._pauses.pop(reason, None)
            case events.BatchStarted(skipped=skipped):
                self.skipped = skipped
            case events.BatchHalted():
                self.halt = event
                self._pauses.clear()
            case events.BatchFinished():
                self._pauses.clear()

    def _begin_pause(self, pause: events.BatchPaused) -> None:
        """Remember a pause. Reasons may quote the service, so that each one is new: those that are over are dropped."""
        now = self._clock()
        if len(self._pauses) >= MOST_PAUSES:
            self._pauses = {reason: until for reason, until in self._pauses.items() if until > now}
        self._pauses[pause.reason] = now + pause.seconds

    def _longest_pause(self, now: float) -> events.BatchPaused | None:
        """Return the pause that ends last: the service may be down and also have asked to wait."""
        if not self._pauses:
            return None
        reason, until = max(self._pauses.items(), key=itemgetter(1))
        return events.BatchPaused(reason, max(0.0, until - now))


def counts_of(finished: events.BatchFinished) -> dict[str, int]:
    """Return the number of records of each outcome, and of those that earlier executions completed."""
    counts = {outcome.value: finished.counts.get(outcome, 0) for outcome in Outcome}
    return {**counts, "already_done": finished.already_done}
