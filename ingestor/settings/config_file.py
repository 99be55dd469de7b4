"""Reads the file with settings, which may be a pipe: a process substitution of a shell, `--config <(command)`."""

import os
import select
import stat
import time
from io import BytesIO
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE, printable

_LONGEST_WAIT = 3.0  # seconds in which a pipe must have a writer
_INTERVAL = 0.02


def read_config(path: Path) -> bytes:
    """Return the content of a file or of a pipe. Raises OSError, and UsageError for a pipe without a writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return _read_pipe(descriptor, path)
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _read_pipe(descriptor: int, path: Path) -> bytes:
    """Read to the end of a pipe that is not blocking: without a writer, its end is there at once."""
    content, has_writer, deadline = BytesIO(), False, time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            has_writer = True
            select.select([descriptor], [], [])
            continue
        if part:
            has_writer = True
            content.write(part)
        elif has_writer:
            return content.getvalue()
        elif time.monotonic() > deadline:
            raise UsageError(f"{printable(str(path), WHOLE)} is a FIFO, and no program writes to it")
        else:
            time.sleep(_INTERVAL)
