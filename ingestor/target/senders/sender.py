"""One sender process, as its coordinator sees it."""

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from itertools import count
from typing import TypeVar

from ingestor.model.errors import IngestorError
from ingestor.model.reply import Fault, Reply
from ingestor.target.client import TargetOptions, new_request_id
from ingestor.target.senders.channel import Attempt, Channel, Message, Opened, Ping, Renewal, Replied, Said

_MODULE = "ingestor.target.senders.child"

T = TypeVar("T")


class SenderError(IngestorError):
    """A sender process can't be started, or none can be kept running."""


class Sender:
    """A process that makes attempts. `start` comes first, and `close` last, whatever happened between.

    Where the process dies, whatever it was asked is answered: attempts with the fault LOST.
    """

    def __init__(self, options: TargetOptions) -> None:
        self._options = options
        self._numbers = count()
        self._attempts: dict[int, asyncio.Future[Reply | None]] = {}
        self._questions: dict[int, asyncio.Future[bool]] = {}
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._channel: Channel | None = None
        self._process: Process | None = None

    @property
    def in_flight(self) -> int:
        """How many attempts it is making."""
        return len(self._attempts)

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
        number = next(self._numbers)
        answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._attempts[number] = answer
        self._send(Attempt(number, token, request_id, body))
        try:
            reply = await answer
        finally:
            del self._attempts[number]
        return _lost(request_id, begun) if reply is None else reply

    async def renew(self) -> bool:
        """Let it look for newer credentials; False where there are none, or no process any more."""
        return await self._ask(Renewal(next(self._numbers)))

    async def dead(self, patience: float) -> None:
        """Wait until the process is gone, or has not answered a ping for `patience` seconds."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(patience):
                    await self._ask(Ping(next(self._numbers)))
            except TimeoutError:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._gone.wait()

    async def close(self) -> None:
        """End the process and wait for it. Attempts that it still makes may be carried out."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    async def _ask(self, question: Renewal | Ping) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._questions[question.number] = answer
        self._send(question)
        try:
            return await answer
        finally:
            del self._questions[question.number]

    def _send(self, message: Message) -> None:
        if self._channel is None or self._gone.is_set():
            asyncio.get_running_loop().call_soon(self._end)
        else:
            self._channel.send(message)

    def _take(self, message: Message) -> None:
        match message:
            case Replied(number):
                _answer(self._attempts.get(number), message.reply())
            case Said(number, yes):
                _answer(self._questions.get(number), yes)
            case Opened():
                _answer(self._opened, message)

    def _end(self) -> None:
        self._gone.set()
        _answer(self._opened, Opened(SenderError("A sender process ended while it was being started.")))
        for attempt in self._attempts.values():
            _answer(attempt, None)
        for question in self._questions.values():
            _answer(question, answer=False)


def _answer(asked: asyncio.Future[T] | None, answer: T) -> None:
    """Answer whoever still waits."""
    if asked is not None and not asked.done():
        asked.set_result(answer)


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
