"""What must survive a power cut, on every system."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_FULL = getattr(fcntl, "F_FULLFSYNC", None)  # macOS, where fsync does not empty the disk's cache (fsync(2) there)
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def sync_data(descriptor: int) -> None:
    """Return once the data of a file is on disk. Raises OSError."""
    if _FULL is not None:
        with suppress(OSError):  # not every file system can
            fcntl.fcntl(descriptor, _FULL)
            return
    _sync_data(descriptor)


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
