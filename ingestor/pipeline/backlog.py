"""Where deliveries wait: new ones in order, retries by due time and ahead of the new."""

import asyncio
import heapq
from collections import deque
from itertools import count

from ingestor.pipeline.delivery import Delivery


class Backlog:
    """Deliveries that wait for their next attempt. One task at a time may wait for it."""

    def __init__(self) -> None:
        self._new: deque[Delivery] = deque()
        self._retries: list[tuple[float, int, Delivery]] = []
        self._order = count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._new) + len(self._retries)

    def add(self, delivery: Delivery) -> None:
        """Queue a delivery for its first attempt."""
        self._new.append(delivery)
        self._changed.set()

    def add_retry(self, delivery: Delivery, delay: float) -> None:
        """Queue a delivery whose next attempt is due in `delay` seconds."""
        due = asyncio.get_running_loop().time() + delay
        heapq.heappush(self._retries, (due, next(self._order), delivery))
        self._changed.set()

    async def ready(self) -> None:
        """Wait until an attempt is due."""
        while not self._new and (wait := self._until_due()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def take(self) -> Delivery:
        """Remove what goes next; `ready` has returned, and nothing was taken since."""
        if self._retries and self._until_due() <= 0:
            return heapq.heappop(self._retries)[2]
        return self._new.popleft()

    def _until_due(self) -> float:
        if not self._retries:
            return float("inf")
        return self._retries[0][0] - asyncio.get_running_loop().time()
