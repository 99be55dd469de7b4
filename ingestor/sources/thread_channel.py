"""Values from a thread to the event loop, through a bounded buffer."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ingestor.system.limits import start_thread

MOST_RECORDS = 1000
MOST_BYTES = 8 * 1024 * 1024
"""What the buffer holds at most, unless a single value is larger."""

T = TypeVar("T")


class ProducerExit(Exception):  # noqa: N818 - it carries what is no Error
    """What a producer raised that ends a program, as KeyboardInterrupt and SystemExit do.

    Inside a task, these end the event loop at once. As an Exception, it ends the work as any other error does.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(repr(reason))
        self.reason = reason


class ThreadChannel(Generic[T]):
    """One producer calls `put` and `end`, one task `take` and `stop`. `put` waits for room; `take` takes everything."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()  # touched on the loop only
        self._lock = threading.Lock()  # guards all that follows
        self._emptied = threading.Condition(self._lock)
        self._values: list[T] = []
        self._records = 0
        self._bytes = 0
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def fill(self, values: Iterable[tuple[T, int, int]]) -> None:
        """Put values, with their records and bytes, from a thread of its own, until `stop`.

        Nothing waits for a thread that is blocked in a silent pipe. Raises LimitError.
        """
        start_thread(lambda: self._fill(values), "reader")

    def put(self, value: T, *, records: int, size: int) -> bool:
        """Pass on a value of so many records and bytes, as soon as there is room; False if nobody takes it."""
        with self._lock:
            while not self._stopped and not self.has_room(records, size):
                self._emptied.wait()
            if self._stopped:
                self._bytes += size
                return False
            if not self._values:
                self._wake()
            self._values.append(value)
            self._records += records
            self._bytes += size
            return True

    @property
    def dropped_bytes(self) -> int:
        """The bytes of the values that nobody takes any more: 0 before `stop`."""
        with self._lock:
            return self._bytes if self._stopped else 0

    def has_room(self, records: int, size: int) -> bool:
        """Return whether a value of so many records and bytes can be put without waiting."""
        fits = self._records + records <= MOST_RECORDS and self._bytes + size <= MOST_BYTES
        return fits or not self._values

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until less than half of the buffer is used; False if it still is after so many seconds."""
        with self._lock:
            return self._emptied.wait_for(self._has_half, max(0.0, seconds))

    def _has_half(self) -> bool:
        return self._stopped or (2 * self._records < MOST_RECORDS and 2 * self._bytes < MOST_BYTES)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Call `end` when the block ends, with the error that it raises: `take` raises it, where it can be handled."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as error:
            self.end(ProducerExit(error))
        except BaseException as error:  # noqa: BLE001 - see above
            self.end(error)
        else:
            self.end()

    def end(self, error: BaseException | None = None) -> None:
        """Record the end of the values, or the error that ended them."""
        with self._lock:
            self._ended, self._error = True, error
            if not self._stopped:
                self._wake()

    async def take(self) -> list[T]:
        """Return all available values, at least one; none at the end. Raises what ended the thread."""
        while True:
            with self._lock:
                if self._stopped:
                    return []
                if self._values:
                    values, self._values, self._records, self._bytes = self._values, [], 0, 0
                    self._emptied.notify()
                    return values
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
            self._emptied.notify()
        self._filled.set()

    def _fill(self, values: Iterable[tuple[T, int, int]]) -> None:
        with self.ending():
            for value, records, size in values:
                if not self.put(value, records=records, size=size):
                    return

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._filled.set)
