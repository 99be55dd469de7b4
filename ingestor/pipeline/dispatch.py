"""Attempts in flight: each has a slot, except a few that wait outside the slots because they take far too long."""

import asyncio
from collections.abc import Callable, Coroutine

from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.in_flight import Backlog, Delivery
from ingestor.pipeline.options import PipelineOptions
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.waits import Wait, Waits


class Dispatch:
    """Starts attempts one after the other, each in a task of its own, as many as there are slots.

    The options say how many slots there are, and how many attempts may wait outside. The health of the service and the
    `size` of the pacer may reduce the slots; one is always left. `attempt` makes the next attempt of a job.

    Attributes:
        is_sending: whether attempts are started: False after a stop.
        waits: what the next attempt waits for.
    """

    def __init__(
        self,
        options: PipelineOptions,
        backlog: Backlog,
        monitor: HealthMonitor,
        pacer: Pacer,
        attempt: Callable[[Delivery], Coroutine[None, None, None]],
    ) -> None:
        self.is_sending = False
        self.waits = Waits()
        self._slots, self._most_outside = options.concurrency, options.most_outside
        self._backlog = backlog
        self._monitor = monitor
        self._pacer = pacer
        self._attempt = attempt
        self._running: set[asyncio.Task[None]] = set()
        self._outside: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        monitor.on_change = pacer.on_change = self._changed.set

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Start attempts until cancelled. Every attempt passes these four gates in this order."""
        self.is_sending = True
        try:
            while True:
                self.waits.next = Wait.SLOT
                await self._free_slot()
                self.waits.next = Wait.BACKLOG
                await self._backlog.ready()
                self.waits.next = Wait.HEALTH
                await self._monitor.may_send()
                self.waits.next = Wait.PACER
                await self._pacer.acquire()
                self._start(group, self._backlog.take())
        finally:
            self.is_sending = False

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - the drain cancels what does not end in time
        """Give the attempts in flight `timeout` seconds to end, then cancel them."""
        attempts = self._running | self._outside
        if attempts:
            await asyncio.wait(attempts, timeout=timeout)
        for attempt in attempts:
            attempt.cancel()

    @property
    def has_room_outside(self) -> bool:
        """Whether another attempt may wait outside the slots."""
        return len(self._outside) < self._most_outside

    def leave_slot(self, attempt: asyncio.Task[None]) -> None:
        """Let an attempt wait outside the slots, so that another one may start."""
        self._outside.add(attempt)
        self._free(attempt)

    async def _free_slot(self) -> None:
        while len(self._running) >= self.most:
            self._changed.clear()
            await self._changed.wait()

    @property
    def in_flight(self) -> int:
        """How many attempts are sent and not answered."""
        return len(self._running) + len(self._outside)

    @property
    def most(self) -> int:
        """How many attempts may have a slot now."""
        most, by_health, by_pace = self._slots, self._monitor.health.max_in_flight, self._pacer.size
        if by_health is not None and by_health < most:
            most = by_health
        return min(most, by_pace)

    def _start(self, group: asyncio.TaskGroup, delivery: Delivery) -> None:
        attempt = group.create_task(self._attempt(delivery))
        self._running.add(attempt)
        self._pacer.in_flight = len(self._running)
        attempt.add_done_callback(self._free)

    def _free(self, attempt: asyncio.Task[None]) -> None:
        """Free the slot of an attempt that ended or left it."""
        if attempt.done():
            self._outside.discard(attempt)
        self._running.discard(attempt)
        self._pacer.in_flight = len(self._running)
        self._changed.set()
