"""What was read of each source, in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.model.events import InputRead, SourceCount
from ingestor.model.record import Reject
from ingestor.model.sources import SourceEnd

MOST_SOURCES = 1000
"""How many sources are counted separately; besides, as many of those with rejects or damage."""

_MOST_OTHERS = 100_000  # followed sources that are not counted separately: more are not counted
_REJECTS_KEPT = 3  # of sources of another format


@dataclass(slots=True)
class _Count:
    records: int = 0
    rejected: int = 0
    end: SourceEnd | None = None
    is_other_format: bool = False
    is_followed: bool = False

    @property
    def has_trouble(self) -> bool:
        return self.rejected > 0 or self.end is SourceEnd.DAMAGED

    def of(self, source: str) -> SourceCount:
        return SourceCount(
            source=source,
            records=self.records,
            rejected=self.rejected,
            end=self.end,
            is_other_format=self.is_other_format,
            is_followed=self.is_followed,
        )


class SourcesRead:
    """Counts the records of each source, in the order of reading.

    Sources are read one after the other, but for followed ones.

    Attributes:
        kept: records that did not come from a source: the journal kept them.
        others: how many sources are not counted separately.
        other_records: the records of all of these.
        other_rejected: those of them that were rejected.
        other_formats: how many sources have another format than JSON Lines.
        other_format_rejects: the rejects of the first of these: each says what the source is, and how to convert it.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._last = ""
        self.kept = 0
        self.others = 0
        self.other_records = 0
        self.other_rejected = 0
        self.other_formats = 0
        self.other_format_rejects: list[Reject] = []
        self._other_followed: set[int] = set()  # the hashes of their names

    def read(self, event: InputRead) -> None:
        """Count what was read of a source, or of the kept records."""
        if event.source is None:
            self.kept += event.records
            return
        count = self._counts.get(event.source)
        if count is None and event.is_followed and len(self._counts) >= MOST_SOURCES:
            self._count_other(event.source, event.records + event.again)
            return
        if count is None:
            self._make_room()
            count = self._counts[event.source] = _Count(is_followed=event.is_followed)
        self._last = event.source
        count.records += event.records + event.again
        count.end = event.end or count.end

    def reject(self, reject: Reject) -> None:
        """Count a rejected record, after it was read."""
        self.other_formats += reject.is_other_format
        if reject.is_other_format and len(self.other_format_rejects) < _REJECTS_KEPT:
            self.other_format_rejects.append(reject)
        count = self._counts.get(reject.origin.source)
        if count is None:
            self.other_rejected += 1
        else:
            count.rejected += 1
            count.is_other_format = count.is_other_format or reject.is_other_format

    def end_followed(self) -> None:
        """Record that the whole input was read to its end: what is followed ends then."""
        for count in self._counts.values():
            if count.is_followed and count.end is None:
                count.end = SourceEnd.COMPLETE

    def __len__(self) -> int:
        return len(self._counts) + self.others

    def listed(self, limit: int | None = None) -> Sequence[SourceCount]:
        """Return at most `limit` sources: if there are more, first those with rejects or damage."""
        ordered = list(self._counts.items())
        if limit is not None and len(ordered) > limit:
            ordered.sort(key=lambda item: not item[1].has_trouble)
        return [count.of(name) for name, count in ordered[:limit]]

    def rest_of(self, listed: Sequence[SourceCount]) -> tuple[int, int, int]:
        """Return how many sources are not `listed`, their records, and those of them that were rejected."""
        records = self.other_records + sum(count.records for count in self._counts.values())
        rejected = self.other_rejected + sum(count.rejected for count in self._counts.values())
        return (
            len(self) - len(listed),
            records - sum(it.records for it in listed),
            rejected - sum(it.rejected for it in listed),
        )

    def _count_other(self, source: str, records: int) -> None:
        """Count a followed source among the others: its records come in turns with those of other sources."""
        self.other_records += records
        if hash(source) not in self._other_followed and len(self._other_followed) < _MOST_OTHERS:
            self._other_followed.add(hash(source))
            self.others += 1

    def _make_room(self) -> None:
        """Count the last source among the others, if there are many and it has no trouble."""
        last = self._counts.get(self._last)
        if last is None or len(self._counts) < MOST_SOURCES:
            return
        if not last.has_trouble or len(self._counts) >= 2 * MOST_SOURCES:
            del self._counts[self._last]
            self.others += 1
            self.other_records += last.records
            self.other_rejected += last.rejected
