"""The message that Kubernetes shows of a container that has ended: one sentence in /dev/termination-log."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ingestor.app.observing.observer import Observer, Watched

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads the message (`terminationMessagePath`)."""

_MOST_BYTES = 4096  # Kubernetes shows no more


def writing_termination_message(path: Path = TERMINATION_LOG) -> Observer:
    """Return an observer that writes at the end how the session ended, if the file exists. It never creates one."""

    @asynccontextmanager
    async def write(watched: Watched) -> AsyncIterator[None]:
        try:
            yield
        finally:
            with suppress(OSError):  # whether this can be written changes nothing
                await asyncio.to_thread(_replace, path, watched.sentence())

    return write


def _replace(path: Path, message: str) -> None:
    """Write a message over a file that exists. A pipe without a reader is not waited for."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{message}\n".encode()[:_MOST_BYTES])
    finally:
        os.close(descriptor)
