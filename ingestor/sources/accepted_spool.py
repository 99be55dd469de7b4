"""Accepted records are in segment files before their sender gets an answer, and until they are done."""

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from ingestor.model.errors import SpoolError
from ingestor.model.record import Job, Reject
from ingestor.model.sources import Checkpoint, Chunk, Position, Source
from ingestor.policy.identity import Scope
from ingestor.sources.lines import LineSplitter, to_lines
from ingestor.sources.parse import parse_record
from ingestor.sources.posted import ACCEPTED
from ingestor.sources.segment_folder import SEGMENT_SIZE, SegmentFolder
from ingestor.sources.segments import Kept, Segment, SegmentFile, SpoolPosition

ACCEPTED_RECORDS = Source(ACCEPTED, None)
"""The accepted records of all executions: one source, whose position names a segment."""

RESERVE = 32 * 1024 * 1024
"""Bytes of the disk that accepted records leave free: the journal needs space too."""

_BLOCK = 256 * 1024


class AcceptedSpool(SegmentFolder):
    """The accepted records of one batch. One thread calls `write` and `seal_all`, one `read`, any the others.

    What earlier executions kept is read after `start`; a position that does not hold means the beginning.
    """

    def __init__(
        self,
        state: Path,
        scope: Scope,
        start: Position | None = None,
        *,
        segment_size: int = SEGMENT_SIZE,
        reserve: int = RESERVE,
    ) -> None:
        super().__init__(state, scope, Kept.ACCEPTED)
        self._scope = scope
        self._segment_size = segment_size
        self._reserve = reserve
        self._start = start
        self._file: SegmentFile | None = None
        self._stream = 0
        self._line = 1
        self._guard = threading.Lock()  # of what follows
        self._segments: dict[int, tuple[Segment, int]] = {}  # not passed by the checkpoint, with their durable sizes
        self._done = 0  # bytes of the first of them
        for segment in self.segments():
            self._segments[segment.number] = segment, segment.path.stat().st_size
            self.seal(segment, self._segments[segment.number][1])
        begin = SpoolPosition.parse(start)
        if begin is None or self._segments.get(begin.segment, (None, begin.offset))[1] < begin.offset:
            begin = SpoolPosition(0, 0, 1)
        else:
            self.acknowledge(Checkpoint(ACCEPTED_RECORDS, start))  # a killed execution may not have deleted them
        self._reading = _Reading(scope, begin)
        self._received = self.unfinished

    @property
    def unfinished(self) -> int:
        """How many bytes are kept after the durable checkpoint."""
        with self._guard:
            return sum([size for _, size in self._segments.values()]) - self._done

    @property
    def unread(self) -> int:
        """How many bytes are kept and not read."""
        return self._received - self._reading.read_bytes

    @property
    def read_bytes(self) -> int:
        """How many bytes were read."""
        return self._reading.read_bytes

    def write(self, blocks: Sequence[bytes]) -> None:
        """Keep blocks of whole lines durably. Raises OSError: then none of them is kept."""
        block = b"".join(blocks)
        if self._file is None or len(block) > self._segment_size:
            self._require_space(len(block))
        file = self._file = self._file or self._create()
        try:
            file.write(block)  # in one piece: between two calls of the system, a thread may wait for its turn
        except OSError:
            self.seal_all()
            raise
        self._line += block.count(b"\n")
        self._received += len(block)
        with self._guard:
            self._segments[file.segment.number] = file.segment, file.size
        if file.size >= self._segment_size:
            self.seal_all()

    def seal_all(self) -> None:
        """Seal the segment that is being written, so that it is deleted as soon as all of it is done."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            if file.size:
                self.seal(file.segment, file.size)
            else:
                file.segment.path.unlink(missing_ok=True)

    def read(self) -> Sequence[Chunk]:
        """Return the next records, if there are any. Raises SpoolError."""
        with self._guard:
            known = list(self._segments.values())
        try:
            return self._reading.next(known)
        except OSError as error:
            raise SpoolError(f"Accepted records can't be read in {self.folder}: {error.strerror}.") from error

    def close(self) -> None:
        """Close all files. What is kept stays."""
        self.seal_all()
        self._reading.close()

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """See `SegmentFolder`."""
        super().acknowledge(checkpoint)
        position = SpoolPosition.parse(checkpoint.position)
        with self._guard:
            if position is not None and position.segment in self._segments:
                self._segments = {it: kept for it, kept in self._segments.items() if it >= position.segment}
                self._done = position.offset

    def _create(self) -> SegmentFile:
        self.make()
        number = self.next_number(self._start)
        self._stream = self._stream or number
        return self.begin(number, self._stream, self._line)

    def _require_space(self, size: int) -> None:
        disk = os.statvfs(self.folder.parents[1])
        if disk.f_bavail * disk.f_frsize < self._reserve + size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Reading:
    """Reads segments, one after the other, while they are written. A line without an end was never accepted."""

    def __init__(self, scope: Scope, begin: SpoolPosition) -> None:
        self._scope = scope
        self._segment = begin.segment
        self._offset = begin.offset
        self._splitter = LineSplitter(begin.line)
        self._file: int | None = None
        self.read_bytes = 0

    def next(self, known: Sequence[tuple[Segment, int]]) -> Sequence[Chunk]:
        """Return the records of the next block of segments, given with their durable sizes. Raises OSError."""
        for segment, size in known:
            if segment.number > self._segment:
                self._enter(segment)
            while segment.number == self._segment and self._offset < size:
                if chunks := self._read(segment, min(size - self._offset, _BLOCK)):
                    return chunks
        return ()

    def close(self) -> None:
        """Close the open segment."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _enter(self, segment: Segment) -> None:
        self.close()
        self._segment, self._offset, self._splitter = segment.number, 0, LineSplitter(segment.line)

    def _read(self, segment: Segment, size: int) -> Sequence[Chunk]:
        if self._file is None:
            self._file = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        block = os.pread(self._file, size, self._offset)
        if not block:
            raise OSError(errno.EIO, "a file is shorter than it was")
        base, self._offset = self._offset, self._offset + len(block)
        self.read_bytes += len(block)
        return [
            Chunk(ACCEPTED_RECORDS, self._parse(first, texts), self._position(base + end))
            for first, texts, end in self._splitter.split(block)
        ]

    def _position(self, offset: int) -> Position:
        return str(SpoolPosition(self._segment, offset, self._splitter.line))

    def _parse(self, first: int, texts: Sequence[bytes]) -> list[Job | Reject]:
        return [parse_record(line, self._scope) for line in to_lines(ACCEPTED, first, texts)]
