"""Lines that were torn: one process read the beginning from a pipe and was killed, the next one read on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from ingestor.model.record import Line, Reject
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.lines import LONGEST, lines, seeming
from ingestor.sources.locate import STDIN


def whole_lines(inputs: Sequence[ByteSource], is_record: Callable[[Line], bool]) -> Iterator[Sequence[Line | Reject]]:
    """Yield the lines of all inputs in portions, and as one line what is a record only together.

    A new producer begins with a line of its own, and one that pipes on with the rest of a line: a line that is a
    record by itself is never joined to the one before. What is joined is what was sent, byte for byte: nothing is
    joined where a piece was cut, or past a line end.
    """
    seam = _Seam(is_record)
    for stored in inputs:
        if stored.name == STDIN:
            yield from seam.across(stored)
        else:
            yield seam.open()
            yield from lines(stored)
    yield seam.open()


class _Seam:
    """Holds what may be the beginning of a line until its rest comes."""

    def __init__(self, is_record: Callable[[Line], bool]) -> None:
        self._is_record = is_record
        self._pieces: list[Line] = []

    def across(self, stored: ByteSource) -> Iterator[Sequence[Line | Reject]]:
        """Yield the lines of an input, but for the beginning of one at its end."""
        if stored.is_torn:
            yield from self._torn(chain.from_iterable(lines(stored, is_part=True)))
            return
        for portion in lines(stored, is_part=True):
            yield [*self._close(portion[0]), *portion[1:]] if portion else portion

    def open(self) -> Sequence[Line]:
        """Return what was held, as the lines that they seem to be: none where they only make a byte order mark."""
        pieces, self._pieces = self._pieces, []
        if pieces and not seeming(_whole(pieces)):
            return []
        return [line for piece in pieces for line in seeming(piece)]

    def _torn(self, found: Iterator[Line | Reject]) -> Iterator[Sequence[Line | Reject]]:
        last = next(found, None)
        for line in found:
            if last is not None:
                yield self._close(last)
            last = line
        if last is not None:
            yield self._close(last, or_hold=True)

    def _close(self, line: Line | Reject, *, or_hold: bool = False) -> Sequence[Line | Reject]:
        """Return what was held and a line of an input: as one line, if only that is a record. Or hold it."""
        if isinstance(line, Reject) or (line.origin.line > 1 and not or_hold):
            return [*self.open(), line]
        return self._close_piece(line, or_hold=or_hold)

    def _close_piece(self, piece: Line, *, or_hold: bool) -> Sequence[Line]:
        """Do so with what may be a piece of a line: the first of an input, or what one that is torn ends in."""
        alone, whole = seeming(piece), self._joined(piece)
        if any(map(self._is_record, alone)) or whole is None:
            return [*self.open(), *alone]
        joined = seeming(whole)
        if any(map(self._is_record, joined)):
            self._pieces.clear()
            return joined
        self._pieces.append(piece)
        return [] if or_hold else self.open()

    def _joined(self, piece: Line) -> Line | None:
        """Return what was held and a piece as one; None where something of that is missing, or it is too long."""
        pieces = [*self._pieces, piece]
        if any(it.cut for it in pieces) or sum(len(it.raw) for it in pieces) > LONGEST:
            return None
        return _whole(pieces)


def _whole(pieces: Sequence[Line]) -> Line:
    return Line(pieces[0].origin, b"".join(it.raw for it in pieces), any(it.cut for it in pieces))
