"""The state directory: it has one owner at a time, and is on a local file system."""

import errno
import fcntl
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ingestor.model.errors import JournalError, StateInUseError
from ingestor.system.durable import sync_directory
from ingestor.system.mounts import MOUNTS, NETWORK, filesystem_of

LOCK = "lock"
"""The lock's file in the state directory."""

_ADVICE = {
    errno.ENOSPC: "Free some space and inodes (df, df -i) on its disk, or give another directory with --state.",
    errno.EDQUOT: "The quota of this user is used up: free some of it, or give another directory with --state.",
}
_ATTEMPTS = 2
_PAUSE = 0.05  # seconds
_SINCE = " since "
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that uses a state directory, in its own words.

    `since`: when it took the lock, in seconds since the epoch, by its clock; None if it does not say.
    """

    words: str
    since: float | None = None

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """Return whom the lock's file names."""
        words = os.pread(descriptor, 200, 0).decode("ascii", "replace")
        try:
            since = datetime.strptime(words.rpartition(_SINCE)[2], _TIME).replace(tzinfo=UTC).timestamp()
        except ValueError:
            since = None
        return cls(words or "another process", since)

    @staticmethod
    def write(descriptor: int) -> None:
        """Name this process in the lock's file."""
        words = f"process {os.getpid()} on {socket.gethostname()}{_SINCE}{datetime.now(UTC).strftime(_TIME)}"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, words.encode(), 0)


class StateDirectory:
    """A state directory that this process owns until `close`, or until the process ends.

    Ownership is an flock on the file `lock`. The kernel releases it when the process ends, so a process that has ended
    never blocks. The file's text only names the holder for others, and remains. A child made by fork without exec
    shares the lock.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, allow_network_fs: bool = False, mounts: Path = MOUNTS) -> Self:
        """Create a state directory (0700) if it is missing, and lock it.

        Raises StateInUseError that names the holder. Raises JournalError if the directory can't be used, or is
        on a network file system: neither the lock nor SQLite's shared memory can be trusted there.
        """
        kind = network_filesystem(path, mounts)
        if kind is not None and not allow_network_fs:
            raise JournalError(
                f"The state directory {path} is on a network file system ({kind}), where the journal is not safe. "
                "Give a directory on a local disk with --state."
            )
        try:
            make_directory(path)
            return cls(path, _lock(path))
        except OSError as error:
            is_file = error.filename == str(path / LOCK) and os.access(error.filename, os.F_OK)
            file = f" ({error.filename})" if is_file else ""
            raise JournalError(
                f"The state directory {path} can't be used: {error.strerror}{file}. "
                f"{advice_on(error) or 'Make it writable, or give another with --state.'}"
            ) from error

    def close(self) -> None:
        """Release the directory. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(path: Path) -> int:
    """Return the descriptor that holds the lock. Raises OSError, StateInUseError."""
    refuse_other_than_files(path / LOCK)
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor)
        _require_its_name(descriptor, path / LOCK)
        Holder.write(descriptor)
    except BlockingIOError:
        holder = Holder.read(descriptor)
        os.close(descriptor)
        raise StateInUseError(
            f"The state directory {path} is in use by {holder.words}. Wait for it to end, or give another with --state."
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int) -> None:
    """Take the lock. `holder_of` may hold it for an instant. Raises BlockingIOError if another process holds it."""
    for _ in range(_ATTEMPTS):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _require_its_name(descriptor: int, path: Path) -> None:
    """Raise BlockingIOError if the file was replaced since it was opened: another process may hold the new one."""
    if not os.path.samestat(os.fstat(descriptor), path.stat()):
        raise BlockingIOError


def holder_of(path: Path) -> Holder | None:
    """Return which process uses the state directory; None: no process does.

    Raises OSError if this user may not know.
    """
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Holder.read(descriptor)
    finally:
        os.close(descriptor)
    return None


def advice_on(error: OSError) -> str | None:
    """Return what to do if a disk has no room for a file; None if the error is another one."""
    return _ADVICE.get(error.errno or 0)


def refuse_other_than_files(*paths: Path) -> None:
    """Raise JournalError if one of these names is taken by something else than a regular file, OSError if unknown."""
    for path in paths:
        if path.exists() and not path.is_file():
            raise JournalError(
                f"{path} must be a regular file, and is something else, such as a directory or a named pipe: move "
                "it away, or give another state directory with --state."
            )


def network_filesystem(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of the network file system that holds `path` (which need not exist), None for a local one."""
    kind = filesystem_of(path, mounts)
    return kind if kind in NETWORK else None


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents, each 0700 and each durable in its parent. Raises OSError."""
    if path.exists():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)
