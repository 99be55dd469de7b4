"""The ceiling of --rate where requests leave: one count for all processes of a batch.

The pacer spaces attempts. But an attempt waits between the pacer and the wire: for a connection, or in a process that
is stopped and continued. So each request asks again, right before its first byte is written.
"""

import fcntl
import os
import struct
import tempfile
import time
from collections.abc import Callable
from typing import Self

from ingestor.policy.ceiling import TOLERANCE, interval

_DUE = struct.Struct("d")
_TRIES = 200  # to lock: another process has the lock for some microseconds, unless it was stopped at that moment


class Ceiling:
    """Admits requests so that no second has more than `limit` and 5 % (see `policy.ceiling`). A context manager.

    Processes share it by the `descriptor` of a file that has no name; without one, a new file is made. The file holds
    when the next request is due, on the system's monotonic clock, which all processes share. A process that ends
    releases its lock.
    """

    def __init__(self, limit: float, descriptor: int = -1, now: Callable[[], float] = time.monotonic) -> None:
        self.descriptor = descriptor
        self._interval = interval(limit)
        self._now = now

    def __enter__(self) -> Self:
        if self.descriptor < 0:
            self.descriptor = _unnamed_file()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the descriptor; other processes keep theirs."""
        os.close(self.descriptor)
        self.descriptor = -1

    def admit(self) -> bool:
        """Return whether a request may leave now; if so, it counts as sent. Never waits."""
        if not self._lock():
            return False
        try:
            now = self._now()
            due = max(now, *_DUE.unpack(os.pread(self.descriptor, _DUE.size, 0)))
            if due - now > TOLERANCE:
                return False
            os.pwrite(self.descriptor, _DUE.pack(due + self._interval), 0)
            return True
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            return True
        return False


def _unnamed_file() -> int:
    try:
        descriptor = os.memfd_create("ingestor-ceiling")
    except (AttributeError, OSError):  # not Linux, or a sandbox forbids it
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.pwrite(descriptor, bytes(_DUE.size), 0)
    return descriptor
