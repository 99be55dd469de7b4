"""Standard input can't be read twice: it is kept in segment files until every record has a durable outcome."""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ingestor.model.errors import SpoolError
from ingestor.model.sources import Checkpoint, Chunk, Position, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.segments import Segment, SegmentFile, SpoolPosition, list_segments, make_folder
from ingestor.sources.standard_input import StandardInput
from ingestor.sources.streams import STANDARD_INPUT, Block, Streams

SEGMENT_SIZE = 1024 * 1024
"""A segment of this many bytes or more is sealed."""
SILENCE = 1.0
"""Seconds without input after which a segment is sealed."""

_AFTER_ALL = 2**63

_FOLDER = "spool"
_SCOPE = "scope.json"  # for people: whose standard input a folder keeps


@dataclass(frozen=True, slots=True)
class KeptElsewhere:
    """Standard input that the state directory keeps for another target or batch; `scope` is None if it is not known."""

    folder: Path
    size: int
    scope: Scope | None


def kept_elsewhere(state: Path, scope: Scope) -> list[KeptElsewhere]:
    """Return what is kept of standard input in a state directory for all targets and batches but this one."""
    own = Spool(state, scope).folder
    others = [folder for folder in sorted((state / _FOLDER).glob("*")) if folder != own]
    found = [KeptElsewhere(folder, _kept_size(folder), _scope_of(folder)) for folder in others]
    return [kept for kept in found if kept.size]


def _kept_size(folder: Path) -> int:
    size = 0
    for segment in list_segments(folder):
        with suppress(OSError):  # its owner may delete it just now
            size += segment.path.stat().st_size
    return size


def _scope_of(folder: Path) -> Scope | None:
    try:
        return Scope(**json.loads((folder / _SCOPE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


class Spool:
    """The kept standard input of one batch, in the state directory. It belongs to the owner of that directory.

    Bytes are on disk before they count as read. A segment is deleted once it is sealed and the durable checkpoint has
    passed its end. At any crash, the segments and the rest in the pipe are the complete input after the checkpoint.
    """

    def __init__(
        self, state: Path, scope: Scope, *, segment_size: int = SEGMENT_SIZE, silence: float = SILENCE
    ) -> None:
        batch = f"{scope.platform}\0{scope.workspace}\0{scope.batch}"
        self.folder = state / _FOLDER / hashlib.sha256(batch.encode()).hexdigest()[:16]
        self._scope = scope
        self.segment_size = segment_size
        self.silence = silence
        self._streams = Streams(scope)
        self._highest = 0
        self._lock = threading.Lock()  # guards what follows
        self._sealed: deque[tuple[int, int, Path]] = deque()  # number, size and path of what may be deleted
        self._passed = (-1, 0)  # the durable checkpoint: a segment and an offset

    def make_folder(self) -> None:
        """Create the folder, with a file that names its target and batch. Raises OSError."""
        make_folder(self.folder)
        scope = {"platform": self._scope.platform, "workspace": self._scope.workspace, "batch": self._scope.batch}
        path = self.folder / _SCOPE
        path.touch(mode=0o600)
        path.write_text(json.dumps(scope))

    def segments(self) -> list[Segment]:
        """Return what is kept, oldest first."""
        segments = list_segments(self.folder)
        self._highest = max([self._highest, *(it.number for it in segments)])
        return segments

    def next_number(self, start: Position | None = None) -> int:
        """Return a number above those of all segments that were listed or numbered, and of a position."""
        position = SpoolPosition.parse(start)
        self._highest = max(self._highest, 0 if position is None else position.segment) + 1
        return self._highest

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.segments()

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

    def seal(self, segment: Segment, size: int) -> None:
        """Record that a segment is complete."""
        with self._lock:
            self._sealed.append((segment.number, size, segment.path))
            self._delete_passed()

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """Delete the sealed segments that a durable checkpoint of standard input has passed."""
        position = SpoolPosition.parse(checkpoint.position)
        with self._lock:
            if checkpoint.end is SourceEnd.COMPLETE:
                self._passed = (_AFTER_ALL, 0)
            elif position is not None:
                self._passed = (position.segment, position.offset)
            self._delete_passed()

    def _delete_passed(self) -> None:
        while self._sealed and self._sealed[0][:2] <= self._passed:
            path = self._sealed.popleft()[2]
            with suppress(OSError):  # a file that stays only uses space; the next execution skips it
                path.unlink()


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
        self.read_bytes = 0

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
        spool.make_folder()
        spool.segments()
        number = spool.next_number(start)
        line, source = 1, StandardInput()
        file = SegmentFile(spool.folder, number, number)
        try:
            while block := file.append(source, spool.segment_size):
                line += block.count(b"\n")
                self.read_bytes += len(block)
                yield file.segment, file.size - len(block), block
                if file.size >= spool.segment_size or not source.is_ready(spool.silence):
                    full, is_inside = file, not block.endswith(b"\n")
                    file = SegmentFile(spool.folder, spool.next_number(), number, line, is_inside=is_inside)
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
