"""Lines that were torn: one process read the beginning from a pipe and was killed, the next one read on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from ingestor.model.job import Line, Reject
from ingestor.sources.lines import lines
from ingestor.sources.locate import STDIN
from ingestor.sources.stored import Stored


def whole_lines(inputs: Sequence[Stored], is_record: Callable[[Line], bool]) -> Iterator[Sequence[Line | Reject]]:
    """Yield the lines of all inputs in portions, and as one line what is a record only together.

    A new producer begins with a line of its own, and one that pipes on with the rest of a line: a line that is a
    record by itself is never joined to the one before.
    """
    seam = _Seam(is_record)
    for stored in inputs:
        if stored.name != STDIN:
            yield seam.open()
        yield from seam.across(stored)
    yield seam.open()


class _Seam:
    """Holds what may be the beginning of a line until its rest comes."""

    def __init__(self, is_record: Callable[[Line], bool]) -> None:
        self._is_record = is_record
        self._pieces: list[Line] = []

    def across(self, stored: Stored) -> Iterator[Sequence[Line | Reject]]:
        """Yield the lines of an input, but for the beginning of one at its end."""
        if stored.is_torn:
            yield from self._torn(chain.from_iterable(lines(stored)))
            return
        for portion in lines(stored):
            yield [*self._close(portion[0]), *portion[1:]] if portion else portion

    def open(self) -> Sequence[Line]:
        """Return what was held, as the lines that they seem to be."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def _torn(self, found: Iterator[Line | Reject]) -> Iterator[Sequence[Line | Reject]]:
        last = next(found, None)
        for line in found:
            if last is not None:
                yield self._close(last)
            last = line
        if last is not None:
            yield self._close(last, or_hold=True)

    def _close(self, line: Line | Reject, *, or_hold: bool = False) -> Sequence[Line | Reject]:
        """Return what was held and a line: as one line, if only that is a record. Or hold a line that is none."""
        if isinstance(line, Reject) or (not self._pieces and not or_hold) or self._is_record(line):
            return [*self.open(), line]
        self._pieces.append(line)
        whole = Line(self._pieces[0].origin, b"".join(piece.raw for piece in self._pieces))
        if self._is_record(whole):
            self._pieces.clear()
            return [whole]
        return [] if or_hold else self.open()
