"""One open input: its bytes, decompressed, in bounded memory."""

import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from ingestor.model.sources import STDIN
from ingestor.sources.compression import LONGEST_MAGIC, SUFFIXES, compression_of, decompressed, is_undecided
from ingestor.sources.errors import DamagedSourceError, UnpackError
from ingestor.sources.unchanged import Unchanged
from ingestor.system.limits import limit_of

BLOCK = 512 * 1024
"""Bytes of a block: some hundred records of usual length."""

PACKED = 64 * 1024
"""Compressed bytes that are read together, at most."""

_FIRST_PACKED = 4096  # at the beginning: else a small file seems to be read before its records are

_COMPRESSED_NAME = re.compile(rf"\.(?:{'|'.join(SUFFIXES)})", re.IGNORECASE)


class ByteSource:
    """One open input. `descriptor` belongs to it.

    Compressed data is decompressed: its first bytes decide, not its name. Where the input `is_file`, nothing but a
    regular file is opened. `is_raw`: its bytes are read as they are.
    Raises DamagedSourceError if the input can't be opened, and LimitError if a limit of the system is the reason.
    """

    def __init__(self, path: str, *, is_file: bool = False, is_raw: bool = False) -> None:
        with _explained():
            self.descriptor = os.dup(0) if path == STDIN else open_input(path, is_file=is_file)
        self._path = path
        self._is_raw = is_raw
        self._is_closed = False
        self._file = Unchanged(self.descriptor)
        self._peeked = b""  # of what can't be read again: bytes that were read to recognize the format
        self.read_bytes = 0
        """How many stored bytes (compressed ones of a compressed input) were read or skipped."""

    @cached_property
    def is_compressed(self) -> bool:
        """Whether the input is compressed. Waits for the first bytes. Raises DamagedSourceError."""
        if self._is_raw:
            return False
        with _explained():
            head = self._peek()
        if compression_of(head) is not None:
            return True
        if self._has_compressed_name():
            raise _damage_of(head)
        return False

    def skip(self, offset: int) -> None:
        """Begin to read at an offset. Only for a plain file of which nothing was read."""
        with _explained():
            self.read_bytes = os.lseek(self.descriptor, offset, os.SEEK_SET)
            self._file.skip(offset)

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the available bytes in blocks of about `size` bytes. Never waits to fill a block.

        Raises DamagedSourceError, after it has yielded all bytes before the damage.
        """
        if self.is_compressed:
            blocks = decompressed(lambda: self._read(min(PACKED, _FIRST_PACKED + self.read_bytes // 8)), size)
            # A regular file never makes a reader wait, and its data may be decompressed in small pieces.
            yield from _gathered(blocks, size) if self._file.is_regular else blocks
        else:
            while block := self._read(size):
                yield block

    def close(self) -> None:
        """Close the descriptor."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self.descriptor)

    def _peek(self) -> bytes:
        if self._file.is_regular:
            return os.pread(self.descriptor, LONGEST_MAGIC, os.lseek(self.descriptor, 0, os.SEEK_CUR))
        while is_undecided(self._peeked) and (more := read_available(self.descriptor, PACKED)):
            self._peeked += more
        return self._peeked

    def _has_compressed_name(self) -> bool:
        return _COMPRESSED_NAME.fullmatch(os.path.splitext(self._path)[1]) is not None

    def _read(self, size: int) -> bytes:
        """Return the next stored bytes, nothing at the end. Raises DamagedSourceError."""
        with _explained():
            block, self._peeked = self._peeked or read_available(self.descriptor, size), b""
            self._file.check(block)
        self.read_bytes += len(block)
        return block


def open_input(path: str, *, is_file: bool) -> int:
    """Open an input for reading and return its descriptor. Raises OSError.

    Where it `is_file`, nothing else is opened: to open a pipe or a device changes something.
    """
    if is_file:
        _require_file(os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if is_file else 0))
    try:
        if is_file:
            _require_file(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is no longer a file")


def read_available(descriptor: int, size: int) -> bytes:
    """Return at most `size` available bytes, and wait for the first one; nothing at the end. Raises OSError."""
    while True:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:  # another process may have made a shared pipe or terminal non-blocking
            select.select([descriptor], [], [])


def _damage_of(head: bytes) -> DamagedSourceError:
    """Return what is wrong with data that begins so, and is compressed by its name only."""
    if not head:
        return DamagedSourceError("the compressed data is cut short or damaged (the file is empty)")
    return UnpackError(
        "the data is not compressed, although its name says so: rename the file, or use `ingestor run - < FILE` "
        "with the same settings"
    )


def _gathered(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    gathered = bytearray()
    try:
        for block in blocks:
            gathered += block
            if len(gathered) >= size:
                yield bytes(gathered)
                gathered.clear()
    except DamagedSourceError:
        if gathered:
            yield bytes(gathered)
        raise
    if gathered:
        yield bytes(gathered)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the system into DamagedSourceError, or into LimitError: then the input itself is good."""
    try:
        yield
    except OSError as error:
        if (limit := limit_of(error)) is not None:
            raise limit from error
        raise DamagedSourceError(error.strerror or str(error)) from error
