"""Standard input, on its way to the disk: compressed data is decompressed first."""

import errno
import fcntl
import os
import select
import stat
import sys
from collections.abc import Iterator

from ingestor.model.errors import UsageError
from ingestor.sources.byte_source import PACKED, read_available
from ingestor.sources.compression import LONGEST_MAGIC, compression_of, decompressed, is_undecided
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.unchanged import Unchanged
from ingestor.system.wake import Wake

_BLOCK = 256 * 1024


class StandardInput:
    """What this process reads from its standard input, moved into files.

    `wake` ends a wait for more. Raises OSError if it can't be written, and DamagedSourceError if it can't be read to
    its end.
    """

    _blocks: Iterator[bytes] | None = None
    """What is decompressed, if the input is compressed."""

    def __init__(self, wake: Wake | None = None) -> None:
        self._file = Unchanged(0)
        self._wake = Wake() if wake is None else wake
        self._is_begun = False

    def wait(self) -> bool:
        """Wait until there is something, or the end; False if nothing is there and `wake` is set."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        return self._blocks is not None or any(descriptor == 0 for descriptor, _ in poll.poll())

    def is_ready(self, timeout: float) -> bool:
        """Whether there is something, or the end, within `timeout` seconds."""
        # Decompressed data may wait in this process.
        return self._blocks is not None or bool(select.select([0], [], [], timeout)[0])

    def move(self, file: int, size: int) -> int:
        """Move at most `size` available bytes to the end of a file; return how many, 0 at the end of input.

        The first file must be empty: there, the first bytes show whether the input is compressed.
        """
        size = min(size, _BLOCK)
        if self._blocks is not None:
            return write_all(file, next(self._blocks, b""))
        count = self._move_stored(file, size)
        if self._is_begun:
            return count
        while is_undecided(head := os.pread(file, LONGEST_MAGIC, 0)) and (more := self._move_stored(file, size)):
            count += more
        self._is_begun = True
        return count if compression_of(head) is None else self._decompress(file, count, size)

    def _decompress(self, file: int, count: int, size: int) -> int:
        """Replace the compressed bytes in a file by the first bytes that they mean."""
        begin = iter([os.pread(file, count, 0)])
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        self._blocks = decompressed(lambda: next(begin, b"") or self._read(PACKED), size)
        return write_all(file, next(self._blocks, b""))

    def _move_stored(self, file: int, size: int) -> int:
        """Move bytes as they are. Those of a pipe are never only in this process, where a crash would lose them."""
        while True:
            try:
                if not hasattr(os, "splice"):  # not Linux
                    return write_all(file, self._read(size))
                return os.splice(0, file, size)
            except BlockingIOError:
                select.select([0], [], [])
            except OSError as error:
                if error.errno != errno.EINVAL:  # not a pipe: a file, a terminal or a socket
                    raise
                return write_all(file, self._read(size))

    def _read(self, size: int) -> bytes:
        try:
            block = read_available(0, size)
        except OSError as error:
            raise DamagedSourceError(error.strerror or str(error)) from error
        self._file.check(block)
        return block


def check_standard_input() -> None:
    """Raise UsageError if standard input can't be read: it is closed, a directory, or open for writing only."""
    try:
        status, flags = os.fstat(0), fcntl.fcntl(0, fcntl.F_GETFL)
    except OSError:
        flags = None
    if flags is None or sys.stdin is None:
        raise UsageError("standard input is closed: name a file or a directory, or connect an input (`< FILE`).")
    if stat.S_ISDIR(status.st_mode):
        raise UsageError("standard input is a directory: name the directory as a SOURCE instead.")
    if flags & os.O_ACCMODE == os.O_WRONLY:
        raise UsageError(
            "standard input is open for writing only, so it can't be read (`nohup` does that at a terminal): "
            "name a file, or connect an input (`< FILE`)."
        )


def write_all(file: int, block: bytes) -> int:
    """Write a block to a file; return its size. Raises OSError."""
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(block)
