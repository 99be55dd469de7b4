"""A compressed file that is followed: it is read once it is complete, and again from its start if it changed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from math import inf
from operator import attrgetter

from ingestor.model.record import Origin
from ingestor.model.sources import Chunk
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.follow.consumed import BEFORE, Consumed, FollowPosition
from ingestor.sources.follow.files import FollowedFile
from ingestor.sources.follow.memory import durable
from ingestor.sources.follow.plain import TURN
from ingestor.sources.follow.recognition import Recognition, first_of
from ingestor.sources.lines import LineSplitter, damage

DAMAGED = 60.0
"""Seconds without a change after which a compressed file without an end counts as damaged."""


class PackedFile:
    """Reads a compressed file in steps. `descriptor` stays open meanwhile, `command` decompresses it.

    `known` is what was read of it before.
    """

    def __init__(
        self, recognition: Recognition, file: FollowedFile, descriptor: int, command: str, known: FollowPosition | None
    ) -> None:
        self._recognition = recognition
        self._file = file
        self._path = f"/dev/fd/{descriptor}"
        self._command = command
        self._known = [] if known is None else [known]
        self._state = file.state

    def read(self) -> Iterator[Chunk | None]:
        """Yield what a step gave. Raises Later if the file may not be complete, and OSError."""
        file, recognition = self._file, self._recognition
        splitter = LineSplitter()
        try:
            consumed = yield from self._skip()
            splitter = LineSplitter(consumed.line)
            if consumed.offset:
                yield self._chunk(consumed, [])
            yield from self._lines(consumed, splitter)
        except DamagedSourceError as error:
            recognition.require_complete(file, DAMAGED)
            reject = damage(Origin(file.source.name, splitter.line), error, splitter.rest())
            yield Chunk(file.source, [reject], file.at, is_again=file.again_until > 0)
        recognition.settle(file, self._state)

    def _lines(self, consumed: Consumed, splitter: LineSplitter) -> Iterator[Chunk | None]:
        """Yield the records after what is consumed. Raises DamagedSourceError, after the records before the damage."""
        file, recognition, before = self._file, self._recognition, b""
        for block in self._blocks(consumed.offset):
            refused = None if consumed.offset else recognition.other_format(file, block, unpack=self._command)
            if refused is not None:
                yield refused
                return
            end = 0
            for first, texts, after in splitter.split(block):
                consumed.add(block[end:after], lines=len(texts), before=before)
                before, end = block[:after][-BEFORE:], after
                yield self._chunk(consumed, texts, first)
            consumed.add(block[end:])
            yield None
        yield self._chunk(consumed, [splitter.rest()], splitter.line, is_whole=True)

    def _chunk(self, consumed: Consumed, texts: Sequence[bytes], first: int = 0, *, is_whole: bool = False) -> Chunk:
        file = self._file
        file.at, file.offset = str(file.position(consumed, self._state, is_whole=is_whole)), consumed.offset
        records = self._recognition.parse(file, first, texts)
        return self._recognition.chunk(file, records, file.at, consumed.first)

    def _skip(self) -> Generator[None, None, Consumed]:
        """Return what is known of the beginning of the file: of itself, or of a file of which it is a copy."""
        alike = self._recognition.alike(self._file, first_of(next(self._blocks(0), b"")), inf)
        left = sorted(self._known or durable(alike), key=attrgetter("offset"))
        best, consumed = Consumed(), Consumed()
        for block in self._blocks(0) if left else ():
            while left and left[0].offset <= consumed.offset + len(block):
                here = consumed.copy()
                here.add(block[: left[0].offset - consumed.offset])
                if here.is_at(position := left.pop(0)):
                    here.line, best = position.line, here
            consumed.add(block)
            yield None
            if not left:
                break
        if self._known and not best.offset:  # it has other content now
            self._file.again_until = inf
        return best

    def _blocks(self, offset: int) -> Iterator[bytes]:
        """Yield the decompressed bytes after an offset. Raises DamagedSourceError."""
        with closing(ByteSource(self._path, is_file=True)) as packed:
            packed.skip(0)
            for block in packed.blocks(TURN):
                self._recognition.read_bytes += len(block)
                if offset < len(block):
                    yield block[offset:]
                offset = max(0, offset - len(block))
