"""Records of a file or a pipe, and the positions at which another process continues in a file."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain

import msgspec

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Chunk, Position, Source, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.compression import LONGEST_MAGIC, compression_of
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.lines import LineSplitter, damage, to_lines
from ingestor.sources.other_format import json_lines
from ingestor.sources.parse import parse_record
from ingestor.sources.unchanged import state_of

_HASHED = 4096
"""Bytes at the start of a file, and bytes before an offset, by which another process recognizes them."""


class _FilePosition(msgspec.Struct, frozen=True):
    """A position as it is stored. Offsets and hashes are those of decompressed bytes; the others are the file's.

    `line` is the number of the line that begins at `offset`.
    """

    offset: int
    line: int
    head: str
    tail: str
    size: int
    mtime_ns: int
    ctime_ns: int


class FileSource:
    """One file, pipe or standard input. Only a file that another process can find has positions.

    A position is the beginning of a line. It holds while the file is at least as long as the offset, its first bytes
    and those before the offset are the same, and the file either grew or kept its times. An edit before the offset of a
    file that also grew is not detected, unless it changes those bytes.
    """

    def __init__(self, source: Source, scope: Scope) -> None:
        self.source = source
        self._scope = scope
        self._path = source.path or source.name
        self._reading: _Reading | None = None
        self.opening_since: float | None = None
        """Since when, of `time.monotonic`, the source is being opened: a named pipe needs a program that writes."""
        self._passed = 0  # stored bytes up to the end of the last chunk
        self.total_bytes = os.path.getsize(self._path) if os.path.isfile(self._path) else None

    @property
    def read_bytes(self) -> int:
        """How many stored bytes were read, or skipped by a position."""
        return 0 if self._reading is None else self._reading.read_bytes

    def read(self, start: Position | None = None) -> Iterator[Chunk]:
        """Yield the records after `start`, or all records if `start` does not hold.

        The records before the end of a regular file are in the chunk that ends it: a small file is one chunk.
        """
        splitter, position, stored = LineSplitter(), None, 0
        waits = self.total_bytes is None  # so that what is there must be passed on at once
        records: list[Job | Reject] = []
        try:
            with closing(self._open(start)) as reading:
                splitter = LineSplitter(reading.line)
                position, stored = reading.position_at(0, reading.line), reading.stored_at(0)
                self._passed = stored
                for block in reading.read_on(self.source.name):
                    for first, texts, end in splitter.split(block):
                        if records:
                            yield self._chunk(records, position, stored)
                        position, stored = reading.position_at(end, splitter.line), reading.stored_at(end)
                        records = self._records(first, texts)
                        if waits and records:
                            yield self._chunk(records, position, stored)
                            records = []
        except DamagedSourceError as error:
            records.append(damage(Origin(self.source.name, splitter.line), error, splitter.rest()))
            yield self._chunk(records, position, self.read_bytes, SourceEnd.DAMAGED)
        else:
            # The position stays before a last line without an end: more of this line may be appended.
            records += self._records(splitter.line, [splitter.rest()])
            yield self._chunk(records, position, self.read_bytes, SourceEnd.COMPLETE)

    def _chunk(
        self, records: Sequence[Job | Reject], position: Position | None, stored: int, end: SourceEnd | None = None
    ) -> Chunk:
        """Return the chunk that ends at this stored byte, and begins where the last one ended."""
        begin, self._passed = self._passed, stored
        return Chunk(self.source, records, position, end, (begin, stored))

    def _records(self, first: int, texts: Sequence[bytes]) -> list[Job | Reject]:
        scope = self._scope
        return [parse_record(line, scope) for line in to_lines(self.source.name, first, texts)]

    def _open(self, start: Position | None) -> "_Reading":
        self.opening_since = time.monotonic()
        try:
            self._reading = _Reading(self._path, has_positions=self.source.path is not None)
        finally:
            self.opening_since = None
        if start is not None and self.source.path is not None and not self._reading.go_to(start):
            self._reading.close()
            self._reading = _Reading(self._path, has_positions=True)
        return self._reading


class _Reading(ByteSource):
    """An open file, and the parts of its positions: its state, its first bytes, and those before an offset."""

    def __init__(self, path: str, *, has_positions: bool) -> None:
        super().__init__(path, is_file=has_positions)
        self._blocks_left = self.blocks()
        self._status = os.fstat(self.descriptor)
        self._has_positions = has_positions
        self._head = self._before = self._block = self._next = b""
        self._offset = 0  # of the current block
        self._extent = (0, 0)  # of the current block, in stored bytes
        self.line = 1
        """The number of the line at which reading begins."""

    def read_on(self, name: str) -> Iterator[bytes]:
        """Yield the blocks of the file from here on; advice calls it `name`. Raises DamagedSourceError."""
        blocks: Iterator[bytes] = chain([self._next] if self._next else [], self._blocks_left)
        if self._offset == 0 and self.line == 1:
            blocks = json_lines(blocks, bytes, name, unpack=self._unpack())
        for block in blocks:
            self._enter(block)
            yield block

    def _unpack(self) -> str:
        """Return the command that decompresses the file; nothing if it is not compressed."""
        if not self.is_compressed or not self._has_positions:
            return ""
        found = compression_of(os.pread(self.descriptor, LONGEST_MAGIC, 0))
        return "" if found is None else found.command

    def position_at(self, end: int, line: int) -> Position | None:
        """Return the position of the line that begins at an index of the current block."""
        if not self._has_positions:
            return None
        status = os.fstat(self.descriptor)
        if status.st_size > self._status.st_size:  # else an edit must be detected: the earlier state stays
            self._status = status
        position = _FilePosition(self._offset + end, line, *self._hashes(end), *state_of(self._status))
        return msgspec.json.encode(position).decode()

    def stored_at(self, end: int) -> int:
        """Return how many stored bytes there are before an index of the current block; about that, if compressed."""
        begin, after = self._extent
        return begin + (after - begin) * end // len(self._block) if self._block else after

    def go_to(self, start: Position) -> bool:
        """Begin to read at a position; False if it does not hold. Then this object can't be used any more."""
        try:
            position = msgspec.json.decode(start, type=_FilePosition)
            kept = (position.size, position.mtime_ns, position.ctime_ns)
            # A change that leaves the size may be before the offset.
            may_hold = self._status.st_size > position.size or state_of(self._status) == kept
            if not may_hold or not self._skip(position.offset):
                return False
        except (msgspec.MsgspecError, OSError, OverflowError, DamagedSourceError):
            return False
        self.line = position.line
        return self._hashes(0) == (position.head, position.tail)

    def _skip(self, offset: int) -> bool:
        """Go to an offset, and read the bytes before it; False if the file is shorter."""
        if not self.is_compressed:
            count = min(offset, _HASHED)
            self._head = os.pread(self.descriptor, count, 0)
            self._before = os.pread(self.descriptor, count, offset - count)
            self._offset = offset
            self.skip(offset)
            self._extent = (offset, offset)
            return True
        for block in self._blocks_left:
            self._enter(block)
            end = offset - self._offset
            if end <= len(block):
                stored = self.stored_at(end)
                self._head, self._block, self._next = self._head[:offset], block[:end], block[end:]
                self._enter(b"")
                self._extent = (stored, stored)
                return True
        return False

    def _enter(self, block: bytes) -> None:
        self._before = (self._before + self._block[-_HASHED:])[-_HASHED:]
        self._offset += len(self._block)
        self._block = block
        self._extent = (self._extent[1], self.read_bytes)
        self._head += block[: _HASHED - len(self._head)]

    def _hashes(self, end: int) -> tuple[str, str]:
        """Hash the first bytes of the file and those before an index of the current block."""
        tail = self._block[max(0, end - _HASHED) : end]
        if len(tail) < _HASHED:
            tail = self._before[len(tail) - _HASHED :] + tail
        return _hash(self._head[: self._offset + end]), _hash(tail)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
