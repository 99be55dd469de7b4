"""What the journal keeps of an execution, collected once a second from its metrics and its activity."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ingestor.model.activity import Activity
from ingestor.model.events import BatchFinished, Event, RecordRejected
from ingestor.model.history import Memory, Pause, Progress, Rejects
from ingestor.model.text import storable
from ingestor.report.histogram import Histogram
from ingestor.report.history import History, Sample
from ingestor.report.metrics import Metrics
from ingestor.report.reject_tally import RejectTally

_REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class _Mark:
    """The metrics at one time."""

    at: float
    accepted: int
    throttled: int
    attempts: int
    latency: Histogram


class Recorder:
    """An EventSink that remembers. `wall` is the time of day, `clock` is monotonic; both in seconds.

    Attributes:
        history: the points of the batch, those of earlier executions included.
        is_urgent: whether a record was rejected, or a pause began or ended, since the last `changes`.
    """

    def __init__(
        self, metrics: Metrics, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.history = History()
        self.is_urgent = False
        self._metrics = metrics
        self._wall = wall
        self._clock = clock
        self._rejects = RejectTally()
        self._rejects_written = 0
        self._pause: Pause | None = None
        self._pauses: dict[float, Pause] = {}  # those that are not written, by their beginning
        self._finished: BatchFinished | None = None
        self._mark = self._look()
        self._counts_before = dict(metrics.counts)

    def resume(self, memory: Memory, *, continues: bool) -> None:
        """Begin a batch with what its journal remembers; rejected records count on if the execution `continues`."""
        self.history = History(memory.points)
        self._rejects = RejectTally(memory.rejects if continues else None)
        self._rejects_written = -1 if memory.rejects is not None and not continues else 0
        self._pause, self._pauses, self._finished = None, {}, None
        self._mark = self._look()
        self._counts_before = dict(self._metrics.counts)

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RecordRejected):
            self._rejects.add(event.reject, self._wall())
            self.is_urgent = True
        elif isinstance(event, BatchFinished):
            self._finished = event

    def tick(self, activity: Activity | None) -> None:
        """Take a sample: what happened since the last one. Call it once a second."""
        before, now = self._mark, self._look()
        accepted, refused = now.accepted - before.accepted, now.throttled - before.throttled
        sample = Sample(
            now=self._wall(),
            seconds=now.at - before.at,
            accepted=accepted,
            refused=refused,
            errors=max(0, now.attempts - before.attempts - accepted - refused),
            allowed=self._metrics.pace,
            latency=now.latency.since(before.latency),
            backlog=0 if activity is None else activity.backlog,
            paused=now.at - before.at if activity is not None and activity.hold is not None else 0.0,
        )
        self.history.add(sample)
        self._mark = now
        self._follow_pause(activity, sample.now)

    def changes(self, situation: str | None = None) -> Memory:
        """Return what changed since the last call. `situation` says what the batch does, in one sentence."""
        rejects: Rejects | None = None
        self.is_urgent = False
        if self._rejects.changes != self._rejects_written:
            rejects, self._rejects_written = self._rejects.summary(), self._rejects.changes
        pauses = tuple(self._pauses.values())
        self._pauses = {} if self._pause is None else {self._pause.began_at: self._pause}
        return Memory(points=self.history.changed(), pauses=pauses, rejects=rejects, progress=self._progress(situation))

    def _look(self) -> _Mark:
        metrics = self._metrics
        return _Mark(self._clock(), metrics.accepted, metrics.throttled, metrics.attempts, metrics.latency.copy())

    def _follow_pause(self, activity: Activity | None, now: float) -> None:
        hold = None if activity is None else activity.hold
        if (hold is None) != (self._pause is None):
            self.is_urgent = True
        if hold is None:
            self._pause = None
            return
        if self._pause is None:
            began_at, reason = now - hold.seconds, storable(hold.reason[:_REASON_LIMIT])
        else:
            began_at, reason = self._pause.began_at, self._pause.reason
        self._pause = self._pauses[began_at] = Pause(began_at, now, reason)

    def _progress(self, situation: str | None) -> Progress:
        metrics, finished = self._metrics, self._finished
        counts = {str(it): count - self._counts_before[it] for it, count in metrics.counts.items()}
        return Progress(
            at=self._wall(),
            records=metrics.records,
            counts=counts if finished is None else finished.counts,
            already_done=metrics.already_done,
            left=max(0, metrics.records - metrics.done) if finished is None else finished.left,
            attempts=metrics.attempts,
            throttled=metrics.throttled,
            retries=metrics.retries,
            latency_p50=metrics.latency.quantile(0.50),
            latency_p95=metrics.latency.quantile(0.95),
            exhausted=metrics.has_read_all if finished is None else finished.exhausted,
            reason=None if finished is None or finished.reason is None else storable(finished.reason[:_REASON_LIMIT]),
            situation=situation,
        )
