"""The deliveries in hand: admitted, not yet ended. Their number is what bounds the pipeline's memory."""

import asyncio
from collections.abc import Iterator

from ingestor.flow.delivery import Delivery
from ingestor.model.job import Job


class Hand:
    """At most `capacity` jobs, followers counted, found by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._deliveries: dict[str, Delivery] = {}
        self._size = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Delivery]:
        return iter(list(self._deliveries.values()))

    @property
    def room(self) -> int:
        """How many more jobs fit."""
        return self._capacity - self._size

    def get(self, key: str) -> Delivery | None:
        """Return the delivery with this key."""
        return self._deliveries.get(key)

    def add(self, delivery: Delivery) -> None:
        """Take a delivery in hand."""
        self._deliveries[delivery.job.key] = delivery
        self._size += 1

    def follow(self, delivery: Delivery, job: Job) -> None:
        """Let a job wait for the end of its double."""
        delivery.followers.append(job)
        self._size += 1

    def remove(self, delivery: Delivery) -> None:
        """Let go of a delivery that ended, and of its followers."""
        del self._deliveries[delivery.job.key]
        self._size -= 1 + len(delivery.followers)
        self._changed.set()

    async def change(self) -> None:
        """Wait until something was removed since the last call, or `wake` was called."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """End a wait for a change."""
        self._changed.set()
