"""Several sender processes as one service: the port Target on as many cores as there are."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from ingestor.api.options import TargetOptions, check
from ingestor.api.search import PROBE, Question, Search
from ingestor.api.senders.sender import Sender, SenderError
from ingestor.api.wire import request_body
from ingestor.model.finding import Finding
from ingestor.model.ports import Pace
from ingestor.model.record import Job
from ingestor.model.reply import Reply

PATIENCE = 30.0
"""Seconds that a sender gets to show that it still works."""

_TRIES = 3
_FRUITLESS = 5  # processes that die one after the other of what they are asked, none of them with an answer
_FIRST_PAUSE = 0.5  # seconds before the next process is tried; twice as long each time


class SenderPool:
    """Has attempts made and questions asked in `count` processes. Use it as an async context manager.

    A process that dies, or shows no sign of life for `patience` seconds, is replaced; the attempts that it was making
    end with the fault LOST. Raises UsageError for options that are wrong; entering raises IngestorError, and so does an
    attempt once no process can be kept running.
    """

    def __init__(self, options: TargetOptions, count: int, *, patience: float = PATIENCE) -> None:
        self._options = options
        self._count = count
        self._patience = patience
        check(options)
        self._senders: list[Sender] = []
        self._failure: Exception | None = None
        self._changed = asyncio.Condition()
        self._opened = AsyncExitStack()

    @property
    def pids(self) -> list[int]:
        """The processes that make attempts now."""
        return [sender.pid for sender in self._alive if sender.pid is not None]

    @property
    def _alive(self) -> list[Sender]:
        return [sender for sender in self._senders if not sender.is_gone]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for _ in range(self._count):
                opening.push_async_callback(_end, asyncio.create_task(self._keep()))
            await self._until_there_are(self._count)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        """Have one attempt made by the sender that has the fewest (see `Target.create`)."""
        sender = await self._sender()
        return await sender.create(request_body(job, stamped=stamped), job.token)

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries a token (see `Target.find`)."""
        return await Search(self._options.endpoint, self._ask, pace).find(token, experiment_id)

    async def probe(self) -> Reply:
        """Search for one experiment (see `Target.probe`)."""
        reply, _ = await self._ask(Question(self._options.endpoint.search_experiments_url, PROBE))
        return reply

    async def renew_credentials(self) -> bool:
        """Let every sender look for newer credentials (see `Target.renew_credentials`)."""
        return any(await asyncio.gather(*(sender.renew() for sender in self._senders)))

    async def _ask(self, question: Question) -> tuple[Reply, bytes]:
        """Have a question asked, again where a sender dies of it: it changes nothing."""
        while True:
            sender = await self._sender()
            if (answer := await sender.ask(question)) is not None:
                return answer

    async def _sender(self) -> Sender:
        """Return the sender with the fewest attempts, once there is one. Raises what keeps them from being there."""
        while not (alive := self._alive):
            await self._until_there_are(1)
        return min(alive, key=_load)

    async def _until_there_are(self, count: int) -> None:
        """Wait for senders. Raises what keeps them from being there."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure is not None or len(self._alive) >= count)
        if len(self._alive) < count and self._failure is not None:
            raise self._failure

    async def _keep(self) -> None:
        """Keep one sender running, and let those who wait for one see what ends that."""
        try:
            await self._keep_all()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._failure = error
            await self._tell()

    async def _keep_all(self) -> None:
        """Keep one sender after the other. Raises IngestorError."""
        fruitless = 0
        while fruitless < _FRUITLESS:
            fruitless = fruitless + 1 if await self._keep_one() else 0
            await asyncio.sleep(_FIRST_PAUSE * 2 ** (fruitless - 1) if fruitless else 0.0)
        raise SenderError(f"{_FRUITLESS} sender processes died one after the other of the attempts they made.")

    async def _keep_one(self) -> bool:
        """Start a sender, have it make attempts until it dies, clear it away; say whether it died fruitless."""
        sender = await self._start()
        self._senders.append(sender)
        try:
            await self._tell()
            await sender.dead(self._patience)
        finally:
            self._senders.remove(sender)
            await sender.close()
        return sender.was_fruitless

    async def _start(self) -> Sender:
        for attempt in range(_TRIES - 1):
            try:
                return await _started(self._options)
            except SenderError:
                await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
        return await _started(self._options)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _load(sender: Sender) -> int:
    return sender.in_flight


async def _started(options: TargetOptions) -> Sender:
    """Start one process, and leave nothing behind where that fails."""
    async with AsyncExitStack() as on_error:
        sender = Sender(options)
        on_error.push_async_callback(sender.close)
        await sender.start()
        on_error.pop_all()
    return sender


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
