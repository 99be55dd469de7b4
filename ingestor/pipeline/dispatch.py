"""Attempts out: slot, then backlog, then breaker, then pacer."""

import asyncio
from collections.abc import Callable, Coroutine

from ingestor.pipeline.backlog import Backlog
from ingestor.pipeline.breaker import Breaker
from ingestor.pipeline.delivery import Delivery
from ingestor.pipeline.pacer import Pacer

Attempt = Callable[[Delivery], Coroutine[None, None, None]]


class Dispatch:
    """Works off the backlog: one task lets attempts go, each in a slot of its own.

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
        self._landed = asyncio.Event()
        self._flying: set[asyncio.Task[None]] = set()
        self._dispatching: asyncio.Task[None] | None = None
        pacer.watch(lambda: len(self._flying))

    def open(self, group: asyncio.TaskGroup, slots: int) -> None:
        """Let attempts go, at most `slots` (at least 1) at once."""
        self._dispatching = group.create_task(self._dispatch(group, slots))

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - a drain ends what it waits for
        """Start no more attempts, give those in flight `timeout` seconds to end, then cancel them."""
        if self._dispatching is not None:
            self._dispatching.cancel()
            await asyncio.wait({self._dispatching})
        if self._flying:
            await asyncio.wait(self._flying, timeout=timeout)
        for attempt in self._flying:
            attempt.cancel()

    async def _dispatch(self, group: asyncio.TaskGroup, slots: int) -> None:
        while True:
            await self._free_slot(slots)
            await self._backlog.ready()
            await self._breaker.closed()
            await self._pacer.acquire()
            attempt = group.create_task(self._attempt(self._backlog.take()))
            self._flying.add(attempt)
            attempt.add_done_callback(self._land)

    async def _free_slot(self, slots: int) -> None:
        while len(self._flying) >= (slots if (most := self._patience()) is None else min(slots, most)):
            self._landed.clear()
            await self._landed.wait()

    def _land(self, attempt: asyncio.Task[None]) -> None:
        self._flying.discard(attempt)
        self._landed.set()
