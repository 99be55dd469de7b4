"""Attempts out: backlog, then breaker, then pacer, then slot."""

import asyncio
from collections.abc import Awaitable, Callable

from ingestor.flow.backlog import Backlog
from ingestor.flow.breaker import Breaker
from ingestor.flow.delivery import Delivery
from ingestor.flow.pacer import Pacer

Attempt = Callable[[Delivery], Awaitable[None]]


class Dispatch:
    """A bounded set of slots that work off the backlog, each with one attempt at a time.

    `patience()` is the most attempts in flight for now, None for as many as there are slots.
    """

    def __init__(
        self,
        backlog: Backlog,
        breaker: Breaker,
        pacer: Pacer,
        attempt: Attempt,
        patience: Callable[[], int | None],
    ) -> None:
        self._backlog = backlog
        self._breaker = breaker
        self._pacer = pacer
        self._attempt = attempt
        self._patience = patience
        self._gate = asyncio.Lock()
        self._landed = asyncio.Event()
        self._slots: set[asyncio.Task[None]] = set()
        self._flying: set[asyncio.Task[None]] = set()
        self._closed = False
        pacer.watch(lambda: len(self._flying))

    def open(self, group: asyncio.TaskGroup, slots: int) -> None:
        """Start `slots` slots, at least 1."""
        self._slots = {group.create_task(self._serve()) for _ in range(slots)}

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - a drain ends what it waits for
        """Start no more attempts, give those in flight `timeout` seconds to end, then cancel them."""
        self._closed = True
        for slot in self._slots - self._flying:
            slot.cancel()
        if self._flying:
            await asyncio.wait(self._flying, timeout=timeout)
        for slot in self._slots:
            slot.cancel()

    async def _serve(self) -> None:
        slot = asyncio.current_task()
        assert slot is not None  # noqa: S101 - a coroutine that runs is in a task
        while not self._closed:
            async with self._gate:
                await self._place_in_flight()
                await self._backlog.ready()
                await self._breaker.closed()
                await self._pacer.acquire()
                delivery = self._backlog.take()
                self._flying.add(slot)
            try:
                await self._attempt(delivery)
            finally:
                self._flying.discard(slot)
                self._landed.set()

    async def _place_in_flight(self) -> None:
        while (most := self._patience()) is not None and len(self._flying) >= most:
            self._landed.clear()
            await self._landed.wait()
