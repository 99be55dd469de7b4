"""The streams of several processes, one after the other, become one source: lines that were torn are joined."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

from ingestor.model.record import Job, Line, Origin, Reject
from ingestor.model.sources import STDIN, Chunk, Position, Source, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.lines import LONGEST, LineSplitter, damage, to_lines
from ingestor.sources.other_format import json_lines
from ingestor.sources.parse import parse_record
from ingestor.sources.segments import Segment, SpoolPosition

STANDARD_INPUT = Source(STDIN, None)
"""Standard input of all executions: one source, whose position names a segment."""

Block = tuple[Segment, int, bytes]
"""Bytes, and where they begin: a segment and an offset."""


class Streams:
    """Turns streams into chunks: what one process after the other read from its standard input.

    A new producer begins with a new line, and a producer that continues begins with the rest of a line. So a line that
    is a record by itself is never joined to the one before. A joined line is byte for byte what was sent.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._pieces: list[tuple[int, bytes]] = []  # the beginning of a line, which waits for its rest
        self._is_damaged = False
        self._position: Position | None = None
        """After all records that were yielded; where something was damaged, before the damage."""
        self._reached: Position | None = None

    def begin(self, position: SpoolPosition) -> None:
        """Set the position that comes before the first record, where it is not set yet."""
        if self._position is None:
            self._position = self._reached = str(position)

    def read(
        self, blocks: Generator[Block], line: int, *, is_cut: bool, is_live: bool = False, skips_first: bool = False
    ) -> Generator[Chunk, None, bool]:
        """Yield the records of a stream, beginning at a line; `skips_first` is for the rest of a line that is done.

        Return whether the whole stream is done: False where it has another format, and the rest of it is given up.

        `is_cut`: the stream may continue in the next one, so the beginning of a last line is held back.
        `is_live`: it is what this process receives. What is missing after damage can't be read again later.
        """
        splitter = LineSplitter(line)
        segment: Segment | None = None
        base, block = 0, b""
        held: list[Block] = []
        is_beginning = line == 1 and not skips_first and not self._pieces
        read = json_lines(blocks, itemgetter(2), STDIN, is_cut=is_cut, held=held) if is_beginning else blocks
        try:
            for segment, base, block in read:
                for first, texts, end in splitter.split(block):
                    lines = self._lines(first, texts, is_first=first == line, skips_first=skips_first)
                    self._reach(segment, base + end, splitter.line)
                    yield from self._chunk(lines)
        except DamagedSourceError as error:
            reject = damage(Origin(STDIN, splitter.line), error, splitter.rest())
            if reject.is_other_format:
                yield from self._give_up(blocks, held, reject, error)
                return False
            if is_live and segment is not None:
                self._reach(segment, base + len(block), splitter.line + bool(splitter.rest()))
                self._advance()
            self._is_damaged = True
            yield Chunk(STANDARD_INPUT, [*self._parse(self._release()), reject], self._position)
            return True
        if held:  # an empty array
            segment, base, block = held[-1]
        if segment is not None and not (skips_first and splitter.line == line):
            lines = self._last_lines(splitter.line, splitter.rest(), is_cut=is_cut)
            self._reach(segment, base + len(block), splitter.line + bool(splitter.rest()))
            yield from self._chunk(lines)
        return True

    def _give_up(
        self, blocks: Generator[Block], held: Sequence[Block], reject: Reject, error: DamagedSourceError
    ) -> Iterator[Chunk]:
        """End a stream of another format: its reject is the outcome of all of it."""
        with suppress(DamagedSourceError):
            blocks.throw(error)
        for segment, base, block in held[-1:]:
            self._reach(segment, base + len(block), reject.origin.line)
        self._advance()
        yield Chunk(STANDARD_INPUT, [*self._parse(self._release()), reject], self._position)

    def end(self) -> Chunk:
        """Return the chunk that ends the source."""
        lines = self._release()
        self._advance()
        end = SourceEnd.DAMAGED if self._is_damaged else SourceEnd.COMPLETE
        return Chunk(STANDARD_INPUT, self._parse(lines), self._position, end)

    def _lines(self, first: int, texts: Sequence[bytes], *, is_first: bool, skips_first: bool) -> list[Line]:
        if not is_first or not (skips_first or self._pieces):
            return to_lines(STDIN, first, texts)
        begun = [] if skips_first else self._close(first, texts[0])
        return begun + to_lines(STDIN, first + 1, texts[1:])

    def _last_lines(self, number: int, rest: bytes, *, is_cut: bool) -> list[Line]:
        if rest and (is_cut or self._pieces):
            return self._close(number, rest, is_torn=is_cut)
        return to_lines(STDIN, number, [rest])

    def _chunk(self, lines: list[Line]) -> Iterator[Chunk]:
        if lines:  # then nothing is held
            self._advance()
            yield Chunk(STANDARD_INPUT, self._parse(lines), self._position)

    def _parse(self, lines: list[Line]) -> list[Job | Reject]:
        return [parse_record(line, self._scope) for line in lines]

    def _reach(self, segment: Segment, offset: int, line: int) -> None:
        # A file of an earlier version has no positions of its own: it is read again as a whole.
        number = segment.number
        self._reached = str(SpoolPosition(number, offset, line) if number else SpoolPosition(0, 0, 1))

    def _advance(self) -> None:
        if not self._is_damaged:
            self._position = self._reached

    def _close(self, number: int, piece: bytes, *, is_torn: bool = False) -> list[Line]:
        """Return the lines that the held pieces give with the first line of the next process, or without it.

        `is_torn`: this piece may be a beginning too; it is held back if it is not a record so far.
        """
        alone, joined = to_lines(STDIN, number, [piece]), self._joined(number, piece)
        if joined is None or self._is_record(alone):
            return [*self._release(), *alone]
        if self._is_record(joined):
            self._pieces.clear()
            return joined
        self._pieces.append((number, piece))
        return [] if is_torn else self._release()

    def _release(self) -> list[Line]:
        """Return the held pieces as lines; none if together they are blank."""
        pieces, self._pieces = self._pieces, []
        if pieces and not to_lines(STDIN, pieces[0][0], [b"".join(text for _, text in pieces)]):
            return []
        return [line for number, text in pieces for line in to_lines(STDIN, number, [text])]

    def _joined(self, number: int, piece: bytes) -> list[Line] | None:
        """Return the held pieces and the next as one line; None if that is too long, or a piece was cut."""
        pieces = [*self._pieces, (number, piece)]
        if sum(len(text) for _, text in pieces) > LONGEST:
            return None
        return to_lines(STDIN, pieces[0][0], [b"".join(text for _, text in pieces)])

    def _is_record(self, lines: list[Line]) -> bool:
        return any(isinstance(parse_record(line, self._scope), Job) for line in lines)
