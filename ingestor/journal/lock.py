"""A state directory has one owner at a time."""

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ingestor.journal.filesystem import MOUNTS, make_directory, network_filesystem
from ingestor.model.errors import JournalError, StateInUseError


class StateDirectory:
    """A state directory that this process owns until `close` or its death.

    Ownership is an flock on the file `lock`: the kernel drops it with the process, so that a dead one never blocks.
    The file's text only tells others who holds it, and stays behind. A child made by fork without exec shares the lock.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, allow_network_fs: bool = False, mounts: Path = MOUNTS) -> Self:
        """Take a state directory, creating it (0700) where it is missing.

        Raises StateInUseError naming the holder, and JournalError where the directory can't be used or lies on a
        network file system, where neither the lock nor SQLite's shared memory can be trusted.
        """
        kind = network_filesystem(path, mounts)
        if kind is not None and not allow_network_fs:
            raise JournalError(
                f"The state directory {path} lies on a network file system ({kind}), where the journal is not safe. "
                "Give a directory on a local disk with --state."
            )
        try:
            make_directory(path)
            return cls(path, _lock(path))
        except OSError as error:
            raise JournalError(
                f"The state directory {path} can't be used: {error.strerror}. "
                "Make it writable, or give another with --state."
            ) from error

    def close(self) -> None:
        """Give the directory free. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(path: Path) -> int:
    """Return the descriptor that holds the lock. Raises OSError, StateInUseError."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode("ascii", "replace") or "another process"
        os.close(descriptor)
        raise StateInUseError(
            f"The state directory {path} is in use by {holder}. Wait for it to end, or give another with --state."
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
