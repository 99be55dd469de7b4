"""Standard input can't be read twice: it is kept in segment files until every record has a durable outcome."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

from ingestor.model.errors import SpoolError
from ingestor.model.sources import Chunk, Position
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.segment_folder import SEGMENT_SIZE, SILENCE, SegmentFolder
from ingestor.sources.segments import Kept, Segment, SegmentFile, SpoolPosition
from ingestor.sources.standard_input import StandardInput
from ingestor.sources.streams import STANDARD_INPUT, Block, Streams
from ingestor.system.wake import Wake


class Spool(SegmentFolder):
    """The kept standard input of one batch.

    Bytes are on disk before they count as read. At any crash, the segments and the rest in the pipe are the complete
    input after the checkpoint.
    """

    def __init__(
        self, state: Path, scope: Scope, *, segment_size: int = SEGMENT_SIZE, silence: float = SILENCE
    ) -> None:
        super().__init__(state, scope, Kept.STDIN)
        self.segment_size = segment_size
        self.silence = silence
        self._streams = Streams(scope)

    @property
    def is_cut(self) -> bool:
        """Whether something is kept of a standard input that was not read to its end."""
        streams = groupby(self.segments(), key=lambda it: it.stream)
        return any(not list(segments)[-1].is_last for _, segments in streams)

    def kept(self, *, is_end: bool) -> "KeptInput":
        """Return what earlier executions kept, as a source; it ends standard input where `is_end`."""
        kept = KeptInput(self._streams, self.segments(), is_end=is_end)
        for segment, size in kept.sizes.items():
            self.seal(segment, size)
        return kept

    def standard_input(self) -> "LiveInput":
        """Return the standard input of this process, as a source that keeps what it reads."""
        return LiveInput(self, self._streams)


class KeptInput:
    """What earlier executions kept of their standard input."""

    source = STANDARD_INPUT

    def __init__(self, streams: Streams, segments: Sequence[Segment], *, is_end: bool) -> None:
        self._streams = streams
        self._is_end = is_end
        self.sizes = {it: it.path.stat().st_size for it in segments}
        self.read_bytes = 0
        self.total_bytes: int | None = sum(self.sizes.values())

    def read(self, start: Position | None = None) -> Iterator[Chunk]:
        """Yield the records after `start`, or all of them if its segment does not exist."""
        left, offset, line = deque(self.sizes), 0, None
        position = SpoolPosition.parse(start)
        if position is not None and any(
            it.number == position.segment and position.offset <= size for it, size in self.sizes.items()
        ):
            while left[0].number < position.segment:
                self.read_bytes += self.sizes[left.popleft()]
            offset, line = position.offset, position.line
            self.read_bytes += offset
        while left:
            stream = [it for it in left if it.stream == left[0].stream]
            is_rest = stream[0].is_inside and line is None
            line = stream[0].line if line is None else line
            self._streams.begin(SpoolPosition(stream[0].number, offset, line))
            blocks = self._blocks(left, stream[0].stream, offset)
            is_whole = yield from self._streams.read(blocks, line, is_cut=not stream[-1].is_last, skips_first=is_rest)
            while not is_whole and left and left[0].stream == stream[0].stream:
                left.popleft()
            offset, line = 0, None
        if self._is_end:
            yield self._streams.end()

    def _blocks(self, left: deque[Segment], stream: int, offset: int) -> Generator[Block]:
        """Yield the blocks of a stream, and remove its segments from `left`. Raises DamagedSourceError."""
        while left and left[0].stream == stream:
            segment = left.popleft()
            with closing(ByteSource(str(segment.path), is_raw=True)) as file:
                file.skip(offset)
                for block in file.blocks():
                    yield segment, offset, block
                    offset += len(block)
                    self.read_bytes += len(block)
            offset = 0


class LiveInput:
    """The standard input of this process. It goes to a segment first and is read from there."""

    source = STANDARD_INPUT
    total_bytes: int | None = None

    def __init__(self, spool: Spool, streams: Streams) -> None:
        self._spool = spool
        self._streams = streams
        self._wake = Wake()
        self.read_bytes = 0

    def finish(self) -> None:
        """Read what is in standard input now, as if it ended there."""
        self._wake.set()

    def read(self, start: Position | None = None) -> Iterator[Chunk]:
        """Yield all records; `start` is where an earlier stream may have ended. Raises SpoolError."""
        yield from self._streams.read(self._blocks(start), 1, is_cut=False, is_live=True)
        yield self._streams.end()

    def _blocks(self, start: Position | None) -> Generator[Block]:
        """Yield blocks that are on disk. Raises SpoolError if they can't be kept."""
        try:
            yield from self._segments(start)
        except OSError as error:
            raise SpoolError(
                f"Standard input can't be kept in {self._spool.folder}: {error.strerror}. Make this a directory "
                "that can be written and has free space, or read it without keeping it (--no-spool)."
            ) from error

    def _segments(self, start: Position | None) -> Iterator[Block]:
        spool = self._spool
        spool.make()
        spool.segments()
        number = spool.next_number(start)
        line, source = 1, StandardInput(self._wake)
        file = spool.begin(number, number)
        try:
            while source.wait() and (block := file.append(source, spool.segment_size)):
                line += block.count(b"\n")
                self.read_bytes += len(block)
                yield file.segment, file.size - len(block), block
                if file.size >= spool.segment_size or not source.is_ready(spool.silence):
                    full, is_inside = file, not block.endswith(b"\n")
                    file = spool.begin(spool.next_number(), number, line, is_inside=is_inside)
                    full.close()
                    spool.seal(full.segment, full.size)
            self._end(file)
        except DamagedSourceError:
            if file.size:
                self._end(file)
            else:
                file.segment.path.unlink()
            raise
        finally:
            file.close()

    def _end(self, file: SegmentFile) -> None:
        file.mark_end()
        self._spool.seal(file.segment, file.size)
