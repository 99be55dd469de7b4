"""A flag that a thread can wait for together with descriptors."""

import os
from contextlib import suppress


class Wake:
    """A flag that is set once. `select` and `poll` can wait for it: it becomes readable."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.is_set = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._read

    def set(self) -> None:
        """Set the flag; from any thread, and from a signal handler."""
        if not self.is_set:
            self.is_set = True
            os.write(self._write, b"!")

    def __del__(self) -> None:
        for descriptor in (self._read, self._write):
            with suppress(OSError):
                os.close(descriptor)
