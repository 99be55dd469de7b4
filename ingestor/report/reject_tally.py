"""Rejected records by reason and by source, with a few examples of each reason, in bounded memory."""

from dataclasses import dataclass, field

from ingestor.model.history import RejectedRecord, RejectKind, Rejects
from ingestor.model.record import Reject
from ingestor.model.text import storable, without_specifics

MOST_KINDS = 100
"""How many reasons are counted separately."""
MOST_SOURCES = 1000
"""How many sources are counted separately."""
_MOST_EXAMPLES = 3
_REASON_LIMIT = 300
_NAME_LIMIT = 500


@dataclass(slots=True)
class _Kind:
    reason: str
    first_at: float
    last_at: float
    count: int = 0
    varies: bool = False
    examples: list[RejectedRecord] = field(default_factory=list)


class RejectTally:
    """Counts rejected records, and continues what was counted `before`. `changes` grows with every record."""

    def __init__(self, before: Rejects | None = None) -> None:
        before = Rejects() if before is None else before
        self._kinds = {
            without_specifics(it.reason): _Kind(
                it.reason, it.first_at, it.last_at, it.count, it.varies, list(it.examples)
            )
            for it in before.kinds
        }
        self._sources = dict(before.sources)
        self._others, self._other_sources = before.others, before.other_sources
        self._before = before.total
        self.changes = 0

    def add(self, reject: Reject, now: float) -> None:
        """Count one record. `now` is seconds since the epoch."""
        self.changes += 1
        self._count_source(storable(reject.origin.source[:_NAME_LIMIT]))
        reason = storable(reject.reason[:_REASON_LIMIT])
        kind = self._kinds.get(without_specifics(reason))
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._others += 1
                return
            kind = self._kinds[without_specifics(reason)] = _Kind(reason, now, now)
        kind.count += 1
        kind.last_at = now
        kind.varies = kind.varies or reason != kind.reason
        if len(kind.examples) < _MOST_EXAMPLES:
            kind.examples.append(_example(reject))

    def summary(self) -> Rejects:
        """Return what was counted so far."""
        return Rejects(
            total=self._before + self.changes,
            kinds=[
                RejectKind(
                    reason=it.reason,
                    count=it.count,
                    first_at=it.first_at,
                    last_at=it.last_at,
                    varies=it.varies,
                    examples=tuple(it.examples),
                )
                for it in self._kinds.values()
            ],
            others=self._others,
            sources=dict(self._sources),
            other_sources=self._other_sources,
        )

    def _count_source(self, source: str) -> None:
        if source in self._sources or len(self._sources) < MOST_SOURCES:
            self._sources[source] = self._sources.get(source, 0) + 1
        else:
            self._other_sources += 1


def _example(reject: Reject) -> RejectedRecord:
    job_id = None if reject.job_id is None else storable(reject.job_id[:_NAME_LIMIT])
    return RejectedRecord(source=storable(reject.origin.source[:_NAME_LIMIT]), line=reject.origin.line, job_id=job_id)
