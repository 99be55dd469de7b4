"""Holds every attempt back while the service is down, and finds out when it is up again."""

import asyncio
from collections.abc import Callable
from math import inf

from ingestor.model.events import BatchPaused, BatchResumed
from ingestor.model.ports import EventSink, Target
from ingestor.model.record import Job
from ingestor.model.reply import Reply
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.circuit import Circuit
from ingestor.policy.retry import is_failure_of_the_service, is_our_own_failure


class Breaker:
    """A circuit, fed with replies, that asks the service while it is in doubt.

    `give_up_after` is how many seconds of downtime are waited for; then `on_give_up` is called.
    """

    def __init__(
        self, target: Target, pacer: Pacer, sink: EventSink, give_up_after: float, on_give_up: Callable[[], None]
    ) -> None:
        self._target = target
        self._pacer = pacer
        self._sink = sink
        self._give_up_after = give_up_after
        self._on_give_up = on_give_up
        self._circuit = Circuit()
        self._now = asyncio.get_running_loop().time
        self._alarm = asyncio.Event()
        self._closed = asyncio.Event()
        self._closed.set()
        self.up_since = -inf
        """When the service came back from being down, on the loop's clock; minus infinity where it never was."""

    @property
    def uptime(self) -> float:
        """The loop's time without the time that the service was down: what a job's patience is measured in."""
        now = self._now()
        return now - self._circuit.downtime(now)

    @property
    def patience(self) -> int | None:
        """How many attempts may be in flight; None is as many as there are slots."""
        return 1 if self._circuit.is_half_open else None

    async def closed(self) -> None:
        """Wait while the service is down."""
        await self._closed.wait()

    def observe(self, job: Job, reply: Reply) -> None:
        """Learn from the reply to a job's attempt."""
        if is_our_own_failure(reply):
            return
        if is_failure_of_the_service(reply):
            self._circuit.failed(job.key, self._now())
        else:
            self._circuit.succeeded(self._now())
        if self._circuit.is_suspect:
            self._alarm.set()
        self._follow()

    async def run(self) -> None:
        """Ask the service whenever it is suspect or down, until it was down for too long."""
        while True:
            await self._alarm.wait()
            self._alarm.clear()
            if self._circuit.is_suspect:
                await self._ask()
            while self._circuit.is_open:
                patience = self._give_up_after - self._circuit.down_for(self._now())
                if patience <= 0:
                    self._on_give_up()
                    return
                await self._pause(min(self._circuit.interval, patience))
                await self._ask()

    async def _pause(self, seconds: float) -> None:
        self._sink.emit(BatchPaused("the service is down", seconds))
        await asyncio.sleep(seconds)

    async def _ask(self) -> None:
        await self._pacer.acquire()
        reply = await self._target.probe()
        if is_failure_of_the_service(reply):
            self._circuit.question_failed(self._now())
        else:
            self._circuit.question_answered()
        self._follow()

    def _follow(self) -> None:
        """Let attempts wait or go, as the circuit says."""
        if self._circuit.is_open:
            self._closed.clear()
            self._alarm.set()
        elif not self._closed.is_set():
            self.up_since = self._now()
            self._closed.set()
            self._sink.emit(BatchResumed())
