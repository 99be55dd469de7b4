"""The sources that were refused as a whole, because they are not JSON Lines."""

from collections.abc import Sequence

from ingestor.model.record import Reject

_KEPT = 3  # rejects that are shown


class OtherFormats:
    """Counts these sources, and keeps the rejects of the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Reject] = []

    @property
    def first(self) -> Sequence[Reject]:
        """The rejects of the first sources: each says what the source is, and how to convert it."""
        return self._first

    def add(self, reject: Reject) -> None:
        """Count a reject, if it stands for a whole source."""
        if reject.is_whole_source:
            self.count += 1
            if len(self._first) < _KEPT:
                self._first.append(reject)
