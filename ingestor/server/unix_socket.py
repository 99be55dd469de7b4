"""Listen on a socket in the file system."""

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.server.address import UnixAddress

LONGEST_TURN = 1.0
"""Seconds that one process waits for another one that replaces a socket in the same folder."""

_POLL = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class UnixListener:
    """A socket in the file system that was bound, and which file that is."""

    address: UnixAddress
    socket: socket.socket
    file: tuple[int, int]

    def remove(self) -> None:
        """Remove the file, unless it is another one by now."""
        with suppress(OSError):
            if _file_of(self.address) == self.file:
                self.address.path.unlink()


def unix_listener(address: UnixAddress, longest_turn: float = LONGEST_TURN) -> UnixListener:
    """Listen on a socket in the file system. One that a killed process left is replaced. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _taking_turns(address.path.parent, longest_turn):
            _make_room(address)
            _bind(listener, address)
            listener.listen()  # from now on, others see that it is served
        return UnixListener(address, listener, _file_of(address))
    except OSError:
        listener.close()
        raise


@contextmanager
def _taking_turns(folder: Path, longest: float) -> Iterator[None]:
    """Let one process at a time replace a socket of a folder: else the second one could remove that of the first.

    A lock that another program holds is not waited for longer than `longest` seconds.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # it may be written and not be read
        yield
        return
    try:
        end = time.monotonic() + longest
        while not _is_locked(lock) and time.monotonic() < end:
            time.sleep(_POLL)
        yield
    finally:
        os.close(lock)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _make_room(address: UnixAddress) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        if not _is_served(address):
            address.path.unlink()


def _bind(listener: socket.socket, address: UnixAddress) -> None:
    """Bind with mode 0660. A chmod after it would follow a link that somebody put in its place."""
    os.fchmod(listener.fileno(), 0o660)
    before = os.umask(0o007)
    try:
        listener.bind(str(address.path))
    finally:
        os.umask(before)


def _file_of(address: UnixAddress) -> tuple[int, int]:
    found = os.lstat(address.path)
    return found.st_dev, found.st_ino


def _is_served(address: UnixAddress) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(address.path))
        except ConnectionRefusedError:
            return False
        except OSError:  # not allowed, or too many wait to be served: no proof that nobody listens
            return True
        return True
