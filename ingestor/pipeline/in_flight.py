"""The deliveries in hand: admitted, not yet ended. Their number and size are what bounds the pipeline's memory."""

import asyncio
from collections.abc import Iterator, Sequence

from ingestor.model.record import Job
from ingestor.pipeline.delivery import Delivery

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of records that are kept in hand, but for the one that goes beyond."""

_PORTIONS = 4  # in which it is filled: each costs a commit of the journal


class InFlight:
    """At most `capacity` jobs and about MOST_BYTES, followers counted, found by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._portion = max(1, capacity // _PORTIONS)
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

    @property
    def is_open(self) -> bool:
        """Whether there is room for many, so that what is taken in is taken in together; room for one is none."""
        return self.room >= self._portion

    def fitting(self, jobs: Sequence[Job]) -> int:
        """Return how many of the first of `jobs` fit, by number and size; at least one where there is room."""
        fitting, size = 0, self._bytes
        for job in jobs[: self.room]:
            if size >= MOST_BYTES:
                break
            fitting += 1
            size += len(job.raw) + len(job.body)
        return fitting

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
        if self.is_open or not self._size:
            self._changed.set()

    async def change(self) -> None:
        """Wait until it is open or empty by a removal since the last call, or `wake` was called."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """End a wait for a change."""
        self._changed.set()


def _size(job: Job) -> int:
    return len(job.raw) + len(job.body)
