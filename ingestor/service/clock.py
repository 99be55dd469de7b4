"""The clock of this machine."""

import time


class SystemClock:
    """The port Clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()
