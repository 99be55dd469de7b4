"""A file that grows while it is read is fine. One that is rewritten is not: two half lines would become a record."""

import os
import stat

from ingestor.sources.errors import DamagedSourceError

_COMPARED = 4096
"""Bytes at the start of a file, and bytes before a block, that must be as they were."""

_WHY = "the file was changed while it was read (it {}); run the same command again once nothing writes to it"


class Unchanged:
    """Checks, after every read from a regular file, that the file did not shrink or change before that place.

    If its size or its times changed, the last block, the bytes before it and the first bytes are read again and
    compared. Other kinds of files are not checked.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.is_regular = stat.S_ISREG(status.st_mode)
        self._state = state_of(status)
        self._start = self._offset = os.lseek(descriptor, 0, os.SEEK_CUR) if self.is_regular else 0
        self._first = self._before = b""

    def skip(self, offset: int) -> None:
        """Continue at this offset. Nothing was read before."""
        count = min(offset, _COMPARED)
        self._start, self._offset = 0, offset
        self._first = os.pread(self._descriptor, count, 0)
        self._before = os.pread(self._descriptor, count, offset - count)

    def check(self, block: bytes) -> None:
        """Accept the next bytes that were read; b"" is the end. Raises DamagedSourceError if the file was changed."""
        if not self.is_regular:
            return
        state = state_of(os.fstat(self._descriptor))
        if state != self._state:
            self._compare(state[0], block)
            self._state = state
        self._offset += len(block)
        self._first = self._first or block[:_COMPARED]
        self._before = (self._before + block[-_COMPARED:])[-_COMPARED:]

    def _compare(self, size: int, block: bytes) -> None:
        if size < self._state[0]:
            raise DamagedSourceError(_WHY.format("became shorter"))
        read = self._before + block
        if not (self._holds(self._first, self._start) and self._holds(read, self._offset - len(self._before))):
            raise DamagedSourceError(_WHY.format("has other content now"))

    def _holds(self, content: bytes, offset: int) -> bool:
        return os.pread(self._descriptor, len(content), offset) == content


def state_of(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes with the content of a file: its size and its times."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
