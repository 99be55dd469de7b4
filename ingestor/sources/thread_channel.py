"""Records from a thread to the event loop, through a bounded buffer."""

import asyncio
import threading
from collections.abc import Sequence

from ingestor.model.record import Job, Reject

MOST_RECORDS = 1000
MOST_BYTES = 8 * 1024 * 1024
"""What the buffer holds at most, unless a single portion is larger."""

Record = Job | Reject


class ThreadChannel:
    """One thread calls `put` and `end`, one task `take` and `stop`. Putting waits for room; taking takes all."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()  # touched on the loop only
        self._lock = threading.Condition()  # guards all that follows
        self._records: list[Record] = []
        self._bytes = 0
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def put(self, records: Sequence[Record], size: int) -> bool:
        """InFlight over records of `size` bytes in all, waiting for room; False where nobody takes any more."""
        with self._lock:
            while not self._stopped and not self._has_room(len(records), size):
                self._lock.wait()
            if self._stopped:
                return False
            if records and not self._records:
                self._tell()
            self._records += records
            self._bytes += size
            return True

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes, or why."""
        with self._lock:
            self._ended, self._error = True, error
            if not self._stopped:
                self._tell()

    async def take(self) -> list[Record]:
        """Return all that is there, at least one record; nothing at the end. Raises what ended the thread."""
        while True:
            with self._lock:
                if self._stopped:
                    return []
                if self._records:
                    records, self._records, self._bytes = self._records, [], 0
                    self._lock.notify()
                    return records
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return []
                self._filled.clear()
            await self._filled.wait()

    def stop(self) -> None:
        """Take no more."""
        with self._lock:
            self._stopped = True
            self._lock.notify()
        self._filled.set()

    def _has_room(self, count: int, size: int) -> bool:
        fits = len(self._records) + count <= MOST_RECORDS and self._bytes + size <= MOST_BYTES
        return fits or not self._records

    def _tell(self) -> None:
        self._loop.call_soon_threadsafe(self._filled.set)
