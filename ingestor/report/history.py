"""How fast a batch was, in bounded memory: points of a second, of a minute and of an hour (`model.history.STEPS`)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ingestor.model.history import STEPS, Point
from ingestor.report.histogram import Histogram

_P50, _P95 = 0.50, 0.95

_RATES = ("accepted", "refused", "errors", "paused")  # sums of a point, which are shown a second
_LEVELS = ("allowed", "latency_p50", "latency_p95", "backlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What happened in the `seconds` before `now` (seconds since the epoch). The other names are those of a Point.

    `backlog` is the present one. `latency` has the times of the answers, milliseconds.
    """

    now: float
    seconds: float
    accepted: int
    refused: int
    errors: int
    allowed: float | None
    latency: Histogram
    backlog: int
    paused: float


class History:
    """The points of one batch, oldest first. `remembered` are those of earlier executions."""

    def __init__(self, remembered: Iterable[Point] = ()) -> None:
        self._lines = {step: _Line(step, most) for step, most in STEPS.items()}
        for point in sorted(remembered, key=lambda it: it.start):
            if point.step in self._lines:
                self._lines[point.step].restore(point)

    def add(self, sample: Sample) -> None:
        """Take one sample. A clock that was set back adds to the last point."""
        for line in self._lines.values():
            line.add(sample)

    def points(self, step: int) -> list[Point]:
        """Return the points with this step; the last one may be incomplete."""
        return self._lines[step].points()

    def changed(self) -> list[Point]:
        """Return the points of all steps that changed since the last call."""
        return [point for line in self._lines.values() for point in line.changed()]


class _Line:
    """The points of one step."""

    def __init__(self, step: int, most: int) -> None:
        self._step = step
        self._most = most
        self._closed: deque[Point] = deque()
        self._open: _Open | None = None
        self._unchanged = 0  # points that begin before this time did not change

    def restore(self, point: Point) -> None:
        if self._open is not None:
            self._closed.append(self._open.before)
        self._open = _Open(point)
        self._unchanged = point.start + 1

    def add(self, sample: Sample) -> None:
        start = int(sample.now // self._step) * self._step
        if self._open is None or start > self._open.before.start:
            if self._open is not None:
                self._closed.append(self._open.point())
            self._open = _Open(Point(step=self._step, start=start, seconds=0.0))
            while self._closed and self._closed[0].start <= start - self._step * self._most:
                self._closed.popleft()
        self._open.add(sample)
        self._unchanged = min(self._unchanged, self._open.before.start)

    def points(self) -> list[Point]:
        return [*self._closed, self._open.point()] if self._open is not None else []

    def changed(self) -> list[Point]:
        if self._open is None:
            return []
        found = [point for point in self.points()[-self._most :] if point.start >= self._unchanged]
        self._unchanged = self._open.before.start + 1
        return found


class _Open:
    """A point that is not complete. `before` is what was known of it at first: quantiles can't be added to."""

    def __init__(self, before: Point) -> None:
        self.before = before
        self._added = replace(before, seconds=0.0, accepted=0, refused=0, errors=0, allowed=None, backlog=0, paused=0.0)
        self._latency = Histogram()

    def add(self, sample: Sample) -> None:
        added = self._added
        self._latency.add_all(sample.latency)
        self._added = replace(
            added,
            seconds=added.seconds + sample.seconds,
            accepted=added.accepted + sample.accepted,
            refused=added.refused + sample.refused,
            errors=added.errors + sample.errors,
            allowed=_mean((added.allowed, added.seconds), (sample.allowed, sample.seconds)),
            backlog=max(added.backlog, sample.backlog),
            paused=added.paused + sample.paused,
        )

    def point(self) -> Point:
        """Return the sum of both. Quantiles of two executions in one point are their weighted means."""
        before, added = self.before, self._added
        weights = (before.accepted + before.refused + before.errors, self._latency.count)
        return replace(
            before,
            seconds=min(before.seconds + added.seconds, before.step),
            accepted=before.accepted + added.accepted,
            refused=before.refused + added.refused,
            errors=before.errors + added.errors,
            allowed=_mean((before.allowed, before.seconds), (added.allowed, added.seconds)),
            latency_p50=_mean((before.latency_p50, weights[0]), (self._latency.quantile(_P50), weights[1])),
            latency_p95=_mean((before.latency_p95, weights[0]), (self._latency.quantile(_P95), weights[1])),
            backlog=max(before.backlog, added.backlog),
            paused=min(before.paused + added.paused, before.step),
        )


def _mean(*weighted: tuple[float | None, float]) -> float | None:
    """Return the mean of the values that are known; each has a weight."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    total = sum(weight for _, weight in known)
    if not total:
        return known[-1][0] if known else None
    return sum(value * weight for value, weight in known) / total


def without_gaps(points: Sequence[Point]) -> tuple[int, Mapping[str, list[float | None]]]:
    """Return when points of one step begin, and their values by name, one a step; None is a time without a point.

    `accepted`, `refused` and `errors` are numbers a second, and `paused` is a share, 0 to 1. The other names are those
    of a Point.
    Points that are too far apart to be kept together are left out.
    """
    names = (*_RATES, *_LEVELS)
    if not points:
        return 0, {name: [] for name in names}
    step, last = points[-1].step, points[-1].start
    shown = [it for it in points if it.start > last - step * STEPS[step]]
    values: dict[str, list[float | None]] = {name: [] for name in names}
    for point in _filled(shown, step):
        for name in names:
            values[name].append(None if point is None else _value(point, name))
    return shown[0].start, values


def _filled(points: Sequence[Point], step: int) -> Iterator[Point | None]:
    due = points[0].start
    for point in points:
        while due < point.start:
            yield None
            due += step
        yield point
        due += step


def _value(point: Point, name: str) -> float | None:
    value: float | None = getattr(point, name)
    return value if name in _LEVELS or value is None else value / max(point.seconds, 1.0)
