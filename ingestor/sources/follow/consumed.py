"""What was read of a file: how far, and by which digests its content is recognized again.

An inode number is used again after a file is deleted, and two files may begin and end alike. So a digest covers
everything that was read: `blocks` that of all whole blocks, `rest` that of the bytes after them. Another one covers the
last bytes alone: it costs little to check at every read.
"""

import os
from collections.abc import Iterator
from copy import copy
from hashlib import blake2b
from typing import Self

import msgspec

from ingestor.model.sources import Position

BEFORE = 4096
"""Bytes before an offset that are compared at every read."""

BLOCK = 64 * 1024
"""Bytes of a block of the digest of everything."""

WHOLE = 64 * 1024 * 1024
"""The most bytes that are read again to see whether a file is the same one."""

_FIRST = 4096  # bytes of the first line by which possible copies are found
_READ = 1024 * 1024
_SIZE = 16  # bytes of a digest

State = tuple[int, int, int]
"""What changes with the content of a file: its size and its times (`unchanged.state_of`)."""

Identity = tuple[int, int]
"""Device and inode of a file."""


class FollowPosition(msgspec.Struct, frozen=True, array_like=True):
    """A position as it is stored: `line` begins at `offset`. Offsets are those of decompressed bytes.

    The digests are those of `Consumed`. The file had this identity and this state before it was read up to here. Of a
    compressed file, the size does not say whether that `is_whole`: read to its end.
    """

    offset: int
    line: int
    first: str
    last: str
    blocks: str
    rest: str
    identity: Identity
    state: State
    is_packed: bool = False
    is_whole: bool = False

    @staticmethod
    def parse(text: Position | None) -> "FollowPosition | None":
        """Return the position that a text means; None if it means none."""
        try:
            return None if text is None else msgspec.json.decode(text, type=FollowPosition)
        except msgspec.MsgspecError:
            return None

    def __str__(self) -> Position:
        return msgspec.json.encode(self).decode()


class Consumed:
    """What was read of a file so far.

    Attributes:
        offset: how many bytes.
        line: the number of the line that begins there.
        first: the digest of the beginning of the first line; empty before that is known.
    """

    __slots__ = ("_blocks", "_last", "_rest", "first", "line", "offset")

    def __init__(self) -> None:
        self.offset = 0
        self.line = 1
        self.first = b""
        self._last = b""
        self._blocks = b""
        self._rest = blake2b(digest_size=_SIZE)

    @classmethod
    def up_to(cls, position: FollowPosition, rest: bytes) -> Self:
        """Return what was read up to a position; `rest` are the bytes before it that are no whole block."""
        consumed = cls()
        consumed.offset, consumed.line = position.offset, position.line
        consumed.first, consumed._last = bytes.fromhex(position.first), bytes.fromhex(position.last)
        consumed._blocks = bytes.fromhex(position.blocks)
        consumed._rest.update(rest)
        return consumed

    def copy(self) -> Self:
        """Return the same, to continue from here in another way."""
        other = copy(self)
        other._rest = self._rest.copy()  # noqa: SLF001 - another object of this class
        return other

    def add(self, content: bytes, *, lines: int = 0, before: bytes = b"") -> None:
        """Count the next bytes, and the lines that end in them. `before` are those before, if they are known."""
        if not self.offset:
            self.first = first_digest(content)
        last = content[-BEFORE:]
        self._last = _digest(last if len(last) == BEFORE else (before + last)[-BEFORE:])
        self.line += lines
        view = memoryview(content)
        while view:
            taken = BLOCK - self.offset % BLOCK
            part = view[:taken]
            self._rest.update(part)
            self.offset += len(part)
            if not self.offset % BLOCK:
                self._blocks = _digest(self._blocks + self._rest.digest())
                self._rest = blake2b(digest_size=_SIZE)
            view = view[taken:]

    def follows(self, before: bytes) -> bool:
        """Whether these are the last bytes that were read: BEFORE of them, or all if there are fewer."""
        return not self.offset or _digest(before) == self._last

    def position(
        self, identity: Identity, state: State, *, is_packed: bool = False, is_whole: bool = False
    ) -> FollowPosition:
        """Return the position after what was read."""
        return FollowPosition(
            self.offset,
            self.line,
            self.first.hex(),
            self._last.hex(),
            self._blocks.hex(),
            self._rest.hexdigest(),
            identity,
            state,
            is_packed,
            is_whole,
        )

    def is_at(self, position: FollowPosition) -> bool:
        """Whether exactly what was read here was read up to a position, of whatever file."""
        return (self.offset, self._blocks.hex(), self._rest.hexdigest()) == (
            position.offset,
            position.blocks,
            position.rest,
        )


def beginning(position: FollowPosition) -> FollowPosition:
    """Return the position at the beginning of the same file."""
    return Consumed().position(position.identity, (0, 0, 0))


def first_digest(content: bytes) -> bytes:
    """Return the digest of the first line of a file that begins so."""
    return _digest(content[: content.find(b"\n") + 1 or len(content)][:_FIRST])


def resumed(descriptor: int, position: FollowPosition) -> Consumed | None:
    """Return what was read of a plain file up to a position; None if the file has other content there.

    Of a large file, only its beginning and its last bytes are compared.
    """
    begun = position.offset - position.offset % BLOCK
    rest = os.pread(descriptor, position.offset - begun, begun)
    consumed = Consumed.up_to(position, rest)
    before = min(BEFORE, position.offset)
    if not consumed.is_at(position) or not consumed.follows(os.pread(descriptor, before, position.offset - before)):
        return None
    if position.offset > WHOLE:
        return consumed if first_digest(os.pread(descriptor, _FIRST, 0)) == consumed.first else None
    again = Consumed()
    for block in prefix(descriptor, position.offset):
        again.add(block)
    return consumed if again.is_at(position) else None


def prefix(descriptor: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a file up to an offset, or its end."""
    offset = 0
    while offset < end and (block := os.pread(descriptor, min(_READ, end - offset), offset)):
        yield block
        offset += len(block)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_SIZE).digest()
