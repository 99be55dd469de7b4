"""About how many records an input has: an estimate from the bytes read that does not jump."""

from math import floor, log10

from ingestor.model.events import InputRead

SMALLEST_SAMPLE = 50
"""Records that an estimate needs."""

_DRIFT = 0.05
"""An estimate that differs by less is not shown."""
_REVERSAL = 0.25
"""The same for one that reverses the direction of the last change: records of different sizes must not make it jump."""


class TotalEstimate:
    """Estimates the number of all records. `total` is None while it is not known, and exact once all bytes are read.

    Attributes:
        read_bytes: the bytes of text that were read.
        total_bytes: about how many the whole input has; None while that is not known.
    """

    def __init__(self) -> None:
        self._records = 0
        self.read_bytes = 0
        self.total_bytes: int | None = None
        self._sample_records = 0
        self._sample_bytes = 0
        self._shown: int | None = None
        self._direction = 0

    def read(self, event: InputRead) -> None:
        """Take what was read. Records without bytes (those that the journal kept) are no part of the sample."""
        size = event.read_bytes - self.read_bytes if event.size is None else event.size
        if event.source is not None or size:
            self._sample_records += event.records + event.again
            self._sample_bytes += size
        self._records += event.records
        self.read_bytes, self.total_bytes = max(self.read_bytes, event.read_bytes), event.total_bytes
        self._update()

    @property
    def is_exact(self) -> bool:
        """Whether everything was read."""
        return self.total_bytes is not None and self.read_bytes >= self.total_bytes > 0

    @property
    def total(self) -> int | None:
        """The number of all records; None if it is not known."""
        if self.is_exact or self._shown is None:
            return self._records if self.is_exact else None
        return max(self._shown, self._records)

    def _update(self) -> None:
        if self.total_bytes is None or self.is_exact or not self._sample_bytes:
            return
        left = self.total_bytes - self.read_bytes
        estimate = self._records + round(left * self._sample_records / self._sample_bytes)
        if self._shown is None:
            if self._sample_records >= SMALLEST_SAMPLE:
                self._shown = _rounded(estimate)
            return
        direction = 1 if estimate > self._shown else -1
        limit = _DRIFT if direction == self._direction else _REVERSAL if self._direction else 2 * _DRIFT
        if abs(estimate - self._shown) > limit * self._shown or self._shown < self._records:
            self._shown, self._direction = _rounded(max(estimate, self._records)), direction


def _rounded(number: int) -> int:
    """Round to two digits that are not 0."""
    if number < 100:
        return number
    unit: int = 10 ** (floor(log10(number)) - 1)
    return round(number / unit) * unit
