"""One sender process, as its coordinator sees it."""

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from itertools import count

from ingestor.api.options import TargetOptions
from ingestor.api.search import Question
from ingestor.api.senders.channel import (
    Answer,
    Answered,
    Asked,
    Attempt,
    Channel,
    Message,
    Opened,
    Ping,
    Renewal,
    Replied,
    Request,
    Said,
)
from ingestor.api.wire import new_request_id
from ingestor.model.errors import IngestorError
from ingestor.model.reply import Fault, Reply

_MODULE = "ingestor.api.senders.child"
_GRACE = 1.0  # seconds for a process to leave by itself; one that hangs does not


class SenderError(IngestorError):
    """A sender process can't be started, or none can be kept running."""


class Sender:
    """A process that makes attempts. `start` comes first, and `close` last, whatever happened between.

    Where the process dies, whatever it was asked is answered: attempts with the fault LOST. `in_flight` is how many
    attempts it is making, `was_fruitless` whether it died of the first ones, before any came to an end.
    """

    def __init__(self, options: TargetOptions) -> None:
        self.in_flight = 0
        self.was_fruitless = False
        self._answers = 0
        self._options = options
        self._numbers = count()
        self._pending: dict[int, asyncio.Future[Answer | None]] = {}
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._channel: Channel | None = None
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None before it is started."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises IngestorError where it can't be."""
        ours, theirs = socket.socketpair()
        self._channel = await Channel.open(ours, self._take, self._end)
        with theirs:
            self._process = await _spawn(theirs)
        self._channel.send(self._options)
        opened = await self._opened
        if opened.problem is not None:
            raise opened.problem

    async def create(self, body: bytes, token: str) -> Reply:
        """Have one attempt made and return what came of it."""
        request_id, begun = new_request_id(), time.perf_counter()
        self.in_flight += 1
        try:
            answer = await self._request(Attempt(next(self._numbers), token, request_id, body))
        finally:
            self.in_flight -= 1
        if not isinstance(answer, Replied):
            return _lost(request_id, begun)
        self._answers += 1
        return answer.reply()

    async def ask(self, question: Question) -> tuple[Reply, bytes] | None:
        """Have a question asked; return what came of it and the body of the answer, None where the process died."""
        answer = await self._request(Asked(next(self._numbers), question))
        return (answer.reply(), answer.body) if isinstance(answer, Answered) else None

    async def renew(self) -> bool:
        """Let it look for newer credentials; False where there are none, or no process any more."""
        answer = await self._request(Renewal(next(self._numbers)))
        return isinstance(answer, Said) and answer.yes

    @property
    def is_gone(self) -> bool:
        """Whether the process is no longer there to be asked."""
        return self._gone.is_set()

    async def dead(self, patience: float) -> None:
        """Wait until the process is gone, or has not answered a ping for `patience` seconds."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(patience):
                    await self._request(Ping(next(self._numbers)))
            except TimeoutError:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._gone.wait()

    async def close(self) -> None:
        """End the process and wait for it. Attempts that it still makes may be carried out.

        Where this is cancelled, the process gets no grace: it is killed, so that none is ever left behind.
        """
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE):
                        await self._process.wait()
            finally:
                await _killed(self._process)

    async def _request(self, request: Request) -> Answer | None:
        """Return the answer to a request, None where the process is gone."""
        if self._channel is None or self._gone.is_set():
            return None
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._pending[request.number] = answer
        self._channel.send(request)
        try:
            return await answer
        finally:
            del self._pending[request.number]

    def _take(self, message: Message) -> None:
        if isinstance(message, Opened):
            self._opened.set_result(message)
        elif isinstance(message, Answer) and (asked := self._pending.get(message.number)) and not asked.done():
            asked.set_result(message)

    def _end(self) -> None:
        self._gone.set()
        self.was_fruitless = self.in_flight > 0 and not self._answers
        if not self._opened.done():
            self._opened.set_result(Opened(SenderError("A sender process ended while it was being started.")))
        for asked in self._pending.values():
            if not asked.done():
                asked.set_result(None)


async def _killed(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _lost(request_id: str, begun: float) -> Reply:
    return Reply(
        fault=Fault.LOST,
        message="The sender process that made this attempt died.",
        opc_client_request_id=request_id,
        latency_ms=(time.perf_counter() - begun) * 1000,
    )


async def _spawn(end: socket.socket) -> Process:
    """Start a process that holds `end`, in a session of its own: signals of the terminal are the coordinator's."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        _MODULE,
        str(end.fileno()),
        stdin=DEVNULL,
        stdout=DEVNULL,
        pass_fds=(end.fileno(),),
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
