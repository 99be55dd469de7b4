"""The next complete lines of a plain file that may grow, be rewritten or truncated while it is read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.sources.follow.consumed import BEFORE, Consumed, State
from ingestor.sources.lines import LONGEST, MOST_LINES
from ingestor.sources.unchanged import state_of

TURN = 64 * 1024
"""Bytes that are read of a file before the next one has its turn, unless one line is longer."""

_KEPT = LONGEST + 64  # of a long line: enough to see that it is too long
_READ = 1024 * 1024
_HOLE = b"\0"  # what a truncation leaves at the beginning if the writer does not append


class RewrittenError(Exception):
    """A file does not hold any more what was read of it."""


@dataclass(frozen=True, slots=True)
class Lines:
    r"""What one turn has read.

    Attributes:
        first: the number of the first line.
        texts: complete lines, each without its `\n`.
        size: how many bytes were read.
        at_end: whether the end of the file was reached.
        state: of the file before it was read.
        first_length: how many bytes the first line has, if it is longer than its text; else None.
    """

    first: int
    texts: Sequence[bytes]
    size: int
    at_end: bool
    state: State
    first_length: int | None = None


class PlainFile:
    """Reads complete lines. An incomplete one is not kept in memory: only up to where no line end was found.

    Attributes:
        consumed: the complete lines that were read.
        scanned: the offset up to which there is no line end after these.
    """

    __slots__ = ("consumed", "scanned")

    def __init__(self, consumed: Consumed) -> None:
        self.consumed = consumed
        self.scanned = consumed.offset

    def read(self, descriptor: int) -> Lines:
        """Read for one turn. Raises OSError, and RewrittenError if the file has other content before that place."""
        state = state_of(os.fstat(descriptor))
        if state[0] < self.scanned:
            raise RewrittenError
        first = self.consumed.line
        if self.scanned - self.consumed.offset >= TURN:
            texts, length, size = self._end_of_line(descriptor, state)
        else:
            texts, length, size = self._whole_lines(descriptor, state)
        at_end = max(self.scanned, self.consumed.offset) >= state[0]
        return Lines(first, texts, size, at_end, state, length)

    def last_line(self, descriptor: int) -> tuple[bytes, int]:
        """Return the beginning of the incomplete last line, and its length. Raises OSError."""
        begin = self.consumed.offset
        length = os.fstat(descriptor).st_size - begin
        return os.pread(descriptor, min(max(0, length), _KEPT), begin).lstrip(_HOLE), length

    def take_last_line(self, descriptor: int, length: int) -> None:
        """Count the incomplete last line as read. Raises OSError."""
        self._consume(descriptor, self.consumed.offset + length, self._before(descriptor), lines=0)
        self.scanned = self.consumed.offset

    def _whole_lines(self, descriptor: int, state: State) -> tuple[Sequence[bytes], None, int]:
        consumed = self.consumed
        count = min(BEFORE, consumed.offset)
        content = os.pread(descriptor, count + TURN, consumed.offset - count)
        before, block = content[:count], content[count:]
        if not consumed.follows(before):
            raise RewrittenError
        self._require_unchanged(descriptor, state, consumed.offset - count, content)
        if block.startswith(_HOLE):
            return self._skip_hole(block, before)
        end = block.rfind(b"\n") + 1
        if not end:
            self.scanned += len(block)
            return (), None, len(block)
        texts = block[:end].split(b"\n", MOST_LINES)
        rest = texts.pop()
        taken = block[: end - len(rest)]
        if _HOLE in taken:
            texts = [text.lstrip(_HOLE) for text in texts]
        consumed.add(taken, lines=len(texts), before=before)
        self.scanned = consumed.offset
        return texts, None, len(taken)

    def _skip_hole(self, block: bytes, before: bytes) -> tuple[Sequence[bytes], None, int]:
        hole = len(block) - len(block.lstrip(_HOLE))
        self.consumed.add(block[:hole], before=before)
        self.scanned = self.consumed.offset
        return (), None, hole

    def _end_of_line(self, descriptor: int, state: State) -> tuple[Sequence[bytes], int | None, int]:
        """Look for the end of the incomplete line; once it is there, read the line from its beginning."""
        block = os.pread(descriptor, TURN, self.scanned)
        end = block.find(b"\n")
        if end < 0:
            self.scanned += len(block)
            return (), None, len(block)
        begin, length = self.consumed.offset, self.scanned + end - self.consumed.offset
        text = os.pread(descriptor, min(length, _KEPT), begin)
        before = self._before(descriptor)
        if b"\n" in text or not self.consumed.follows(before):
            raise RewrittenError
        self._consume(descriptor, self.scanned + end + 1, before, lines=1)
        self._require_unchanged(descriptor, state, begin, text)
        self.scanned = self.consumed.offset
        return (text,), None if length <= _KEPT else length, len(block)

    def _before(self, descriptor: int) -> bytes:
        """Return the last bytes that were read. Raises OSError."""
        count = min(BEFORE, self.consumed.offset)
        return os.pread(descriptor, count, self.consumed.offset - count)

    def _consume(self, descriptor: int, end: int, before: bytes, *, lines: int) -> None:
        """Count the bytes up to an offset as read, in bounded memory."""
        while (begin := self.consumed.offset) < end:
            block = os.pread(descriptor, min(_READ, end - begin), begin)
            if not block:
                raise RewrittenError
            self.consumed.add(block, lines=lines if begin + len(block) >= end else 0, before=before)
            before = block[-BEFORE:]

    def _require_unchanged(self, descriptor: int, state: State, offset: int, content: bytes) -> None:
        """Raise RewrittenError if what was just read is not there any more; a file that only grows passes."""
        now = state_of(os.fstat(descriptor))
        if now != state and (now[0] < state[0] or os.pread(descriptor, len(content), offset) != content):
            raise RewrittenError
