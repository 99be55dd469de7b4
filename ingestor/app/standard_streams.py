"""The standard streams of a command: what a closed, full or stuck one does."""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LONGEST_WAIT = 1.0
"""Seconds that a message waits for its reader, unless it is one of the last."""


def open_closed_streams() -> None:
    """Open standard output and standard error on the null device where they were closed (`>&-`).

    Then no file that is opened later gets their descriptors. Standard output can't be written (EBADF), because output
    that is lost is an error; messages are dropped. A closed standard input gets its descriptor for the same reason;
    `sys.stdin` stays None, so that reading from it is an error.
    """
    if sys.stdin is None:
        null = os.open(os.devnull, os.O_RDONLY)
        if null == 0:
            os.set_inheritable(null, True)
        else:
            os.close(null)
    for number, name, access in ((1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, access)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))


def discard_output() -> None:
    """Send the rest of standard output to the null device, so that exiting does not fail on it again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def spell_output_error(error: OSError) -> str:
    """Return why standard output can't be written."""
    return "standard output is closed" if error.errno == errno.EBADF else f"standard output: {error.strerror}"


class _Messages(io.FileIO):
    """Standard error that never fails, and waits only briefly: no message is worth more than the work.

    A terminal may be stopped (Ctrl-S), and a pipe be full: unless it `waits_long`, it then drops messages.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.waits_long = False
        self._is_stuck = False

    def write(self, data: "ReadableBuffer") -> int:
        """Write what is taken."""
        size = memoryview(data).nbytes
        try:
            if self.waits_long or self._is_taken():
                return super().write(data) or size
        except OSError:
            pass
        return size

    def _is_taken(self) -> bool:
        self._is_stuck = not select.select((), (self,), (), 0 if self._is_stuck else LONGEST_WAIT)[1]
        return not self._is_stuck


@contextmanager
def unfailing_messages() -> Iterator[None]:
    """Let no message fail, nor wait for long, inside the block."""
    before = sys.stderr
    try:
        before.flush()
        raw = _Messages(before.fileno())
    except (OSError, ValueError):  # it is no stream of the system, or closed
        yield
        return
    ours = io.TextIOWrapper(
        io.BufferedWriter(raw), before.encoding, "backslashreplace", line_buffering=True, write_through=True
    )
    sys.stderr = ours
    try:
        yield
    finally:
        sys.stderr = before
        ours.detach()


@contextmanager
def last_messages() -> Iterator[None]:
    """Wait, inside the block, until messages are taken: nothing else is left to do."""
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(raw, _Messages):
        raw.waits_long = True
    try:
        yield
    finally:
        if isinstance(raw, _Messages):
            raw.waits_long = False
