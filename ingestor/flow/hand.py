"""The deliveries in hand: admitted, not yet ended. Their number and size are what bounds the pipeline's memory."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import accumulate

from ingestor.flow.delivery import Delivery
from ingestor.model.job import Job

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of records that are kept in hand, but for the one that goes beyond."""


class Hand:
    """At most `capacity` jobs and about MOST_BYTES, followers counted, found by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._deliveries: dict[str, Delivery] = {}
        self._size = 0
        self._bytes = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Delivery]:
        return iter(list(self._deliveries.values()))

    @property
    def room(self) -> int:
        """How many more jobs fit by number, 0 where it is full."""
        return self._capacity - self._size if self._bytes < MOST_BYTES else 0

    def fitting(self, jobs: Sequence[Job]) -> int:
        """Return how many of the first of `jobs` fit, by number and size; at least one where there is room."""
        sizes = accumulate((_size(job) for job in jobs[: self.room]), initial=self._bytes)
        return sum(1 for before, _ in zip(sizes, jobs[: self.room], strict=False) if before < MOST_BYTES)

    def get(self, key: str) -> Delivery | None:
        """Return the delivery with this key."""
        return self._deliveries.get(key)

    def add(self, delivery: Delivery) -> None:
        """Take a delivery in hand."""
        self._deliveries[delivery.job.key] = delivery
        self._size += 1
        self._bytes += _size(delivery.job)

    def follow(self, delivery: Delivery, job: Job) -> None:
        """Let a job wait for the end of its double."""
        delivery.followers.append(job)
        self._size += 1
        self._bytes += _size(job)

    def remove(self, delivery: Delivery) -> None:
        """Let go of a delivery that ended, and of its followers."""
        del self._deliveries[delivery.job.key]
        self._size -= 1 + len(delivery.followers)
        self._bytes -= _size(delivery.job) + sum(map(_size, delivery.followers))
        self._changed.set()

    async def change(self) -> None:
        """Wait until something was removed since the last call, or `wake` was called."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """End a wait for a change."""
        self._changed.set()


def _size(job: Job) -> int:
    return len(job.raw) + len(job.body)
