"""A client of the pacer in virtual time: it sends all that the pacer allows."""

import asyncio
from collections.abc import Callable, Coroutine

from ingestor.pipeline.pacer import Pacer
from ingestor.simulator.limiters import Limiter
from tests.support.memory import RecordingSink
from tests.support.virtual import loop_time, run_virtual

Refuses = Callable[[], bool]
LATENCY = 0.05


def willing() -> bool:
    return False


def refuses(limiter: Limiter) -> Refuses:
    return lambda: limiter.admit(loop_time(), 1) is None


class Client:
    """Sends as fast as the pacer allows, from a few hundred tasks; `started` is when each attempt started."""

    def __init__(
        self, ceiling: float | None = None, *, latency: float = LATENCY, tasks: int = 400, max_pause: float = 300.0
    ) -> None:
        self.sink = RecordingSink()
        self.pacer = Pacer(ceiling, self.sink, first_in_flight=64, max_pause=max_pause)
        self.started: list[float] = []
        self.refused: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self.latency: Callable[[], float] = lambda: latency
        self.retry_after: float | None = None
        self.tasks = tasks
        self._gate = asyncio.Lock()
        self._landed = asyncio.Event()

    async def send(self, seconds: float, refuses: Refuses = willing) -> None:
        tasks = [asyncio.ensure_future(self._serve(refuses)) for _ in range(self.tasks)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _serve(self, refuses: Refuses) -> None:
        while True:
            async with self._gate:
                while self.in_flight >= self.pacer.size:
                    self._landed.clear()
                    await self._landed.wait()
                await self.pacer.acquire()
                self.in_flight += 1
                self.pacer.in_flight = self.in_flight
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
            sent_at = loop_time()
            self.started.append(sent_at)
            refused = refuses()
            try:
                await asyncio.sleep(self.latency())
            finally:
                self.in_flight -= 1
                self.pacer.in_flight = self.in_flight
                self._landed.set()
            if refused:
                self.refused.append(sent_at)
            self.pacer.observe(throttled=refused, sent_at=sent_at, retry_after=self.retry_after if refused else None)

    def between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.started)


def virtual(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    return lambda: run_virtual(test())
