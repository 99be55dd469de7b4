"""Files, pipes and standard input become lines: bytes are read, decompressed and split, in bounded memory."""

import gzip
import os
import select
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, RawIOBase

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.locate import STDIN

BLOCK = 512 * 1024
"""Bytes of a block: some hundred records of usual length."""

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept. The rest of a longer line is skipped."""

MOST_LINES = 600
"""Lines that are processed together."""

_BUFFER = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_KEPT = len(_BOM) + LONGEST + 2  # of a line's beginning: enough to see whether it is too long, or ends in \r


class DamagedSourceError(Exception):
    """An input can't be read to its end: `str()` says why."""


class ByteSource:
    """One open input. `descriptor` belongs to it. Raises DamagedSourceError if the input can't be opened."""

    def __init__(self, path: str) -> None:
        with _explained():
            self._raw = _CountingReader(os.dup(0) if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        self._stored = BufferedReader(self._raw, _BUFFER)
        self._path = path
        self.descriptor = self._raw.fileno()
        self.is_compressed = path.endswith((".gz", ".zst"))

    @property
    def read_bytes(self) -> int:
        """How many stored bytes (compressed ones of a compressed file) were read or skipped."""
        return self._raw.count

    def skip(self, offset: int) -> None:
        """Begin to read at an offset. Only for a plain file of which nothing was read."""
        with _explained():
            self._raw.count = os.lseek(self.descriptor, offset, os.SEEK_SET)

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the available bytes in blocks of about `size` bytes. Never waits to fill a block.

        Raises DamagedSourceError, after it has yielded all bytes before the damage.
        """
        blocks = self._blocks(size)
        # A regular file never makes a reader wait, and gzip decompresses it in small pieces.
        is_regular = stat.S_ISREG(os.fstat(self.descriptor).st_mode)
        return _gathered(blocks, size) if self.is_compressed and is_regular else blocks

    def close(self) -> None:
        """Close the descriptor."""
        self._stored.close()

    def _blocks(self, size: int) -> Iterator[bytes]:
        with _explained():
            stream = self._decompressed()
            while block := stream.read1(size):
                yield block

    def _decompressed(self) -> BufferedIOBase:
        if self.is_compressed and not self._stored.peek(1):
            raise EOFError("the file is empty")
        if self._path.endswith(".gz"):
            return gzip.GzipFile(fileobj=self._stored)
        if self._path.endswith(".zst"):
            from backports import zstd  # noqa: PLC0415 - only a reader of such files pays for the import

            return zstd.ZstdFile(self._stored)
        return self._stored


def _gathered(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    gathered = bytearray()
    damage = None
    try:
        for block in blocks:
            gathered += block
            if len(gathered) >= size:
                yield bytes(gathered)
                gathered.clear()
    except DamagedSourceError as error:
        damage = error
    if gathered:
        yield bytes(gathered)
    if damage is not None:
        raise damage


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the system and the decompressors into DamagedSourceError."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise DamagedSourceError(f"the compressed data is cut short or damaged ({error})") from error
    except OSError as error:  # gzip.BadGzipFile is one too
        raise DamagedSourceError(error.strerror or str(error)) from error
    except _zstd_error() as error:
        raise DamagedSourceError(f"the compressed data is damaged ({error})") from error


def _zstd_error() -> tuple[type[Exception], ...]:
    module = sys.modules.get("backports.zstd")
    return () if module is None else (module.ZstdError,)


class _CountingReader(RawIOBase):
    """Owns a file descriptor, and counts the bytes that are read."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.count = 0

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        while True:
            try:
                count = os.readv(self._descriptor, [buffer])
            except BlockingIOError:  # another process may have made a shared pipe or terminal non-blocking
                select.select([self._descriptor], [], [])
            else:
                self.count += count
                return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class LineSplitter:
    """Splits a stream of bytes into lines. `line` is the number of the current line."""

    def __init__(self, line: int = 1) -> None:
        self.line = line
        self._begun = bytearray()

    def split(self, block: bytes) -> Iterator[tuple[int, Sequence[bytes], int]]:
        r"""Add the next block, and yield the lines that end in it, in portions: first number, texts, end.

        A text has no `\n`. `end` is the index in the block after the last line of the portion.
        """
        *texts, rest = block.split(b"\n")
        end = -len(self._begun)
        if texts:
            texts[0] = bytes(self._begun) + texts[0]
            self._begun.clear()
        for start in range(0, len(texts), MOST_LINES):
            portion = texts[start : start + MOST_LINES]
            first, self.line = self.line, self.line + len(portion)
            end += sum(map(len, portion)) + len(portion)
            yield first, portion, end
        self._begun += rest[: _KEPT - len(self._begun)]

    def rest(self) -> bytes:
        """Return the beginning of the last line, if it has no newline: at most a little more than LONGEST."""
        return bytes(self._begun)


def to_lines(source: str, first: int, texts: Sequence[bytes]) -> list[Line]:
    r"""Return the lines that are not blank, without the `\r` at their end and without a byte order mark in line 1."""
    lines = []
    for number, ended in enumerate(texts, first):
        text = ended.removesuffix(b"\r")
        if number == 1:
            text = text.removeprefix(_BOM)
        if len(text) > LONGEST:
            lines.append(Line(Origin(source, number), text[:LONGEST], cut=True))
        elif text and not text.isspace():
            lines.append(Line(Origin(source, number), text))
    return lines


def damage(origin: Origin, error: DamagedSourceError, begun: bytes) -> Reject:
    """Return the reject at the end of a damaged source: the reason, and the beginning of the last line."""
    reason = f"reading ended here: {error}; the lines before this one were read"
    return Reject(origin, reason, begun.decode(errors="backslashreplace"))
