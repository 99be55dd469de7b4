"""The sender process: python -m ingestor.api.senders.child DESCRIPTOR. It makes the attempts that it is given.

It has one event loop, one session and one signer, and lives as long as its coordinator: where that is gone, nothing
more is sent.
"""

import asyncio
import os
import signal
import socket
import sys
from typing import NoReturn

from ingestor.api.client import HttpService, make_target
from ingestor.api.options import TargetOptions
from ingestor.api.search import Question
from ingestor.api.senders.channel import (
    Answered,
    Asked,
    Attempt,
    Channel,
    Message,
    Opened,
    Ping,
    Renewal,
    Replied,
    Said,
)
from ingestor.model.collector import collect_rarely
from ingestor.model.errors import IngestorError


class SenderProcess:
    """Answers its coordinator's messages; belongs to the task group that it is given."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._channel: Channel
        self._target: HttpService
        self._options: asyncio.Future[TargetOptions] = asyncio.get_running_loop().create_future()

    async def run(self, end: socket.socket) -> None:
        """Serve until the coordinator is gone, which ends the process."""
        self._channel = await Channel.open(end, self._take, _leave)
        options = await self._options
        try:
            self._target = make_target(options)
            async with self._target:
                self._channel.send(Opened(None))
                await asyncio.Event().wait()
        except IngestorError as error:
            self._channel.send(Opened(error))
            await asyncio.Event().wait()

    def _take(self, message: Message) -> None:
        match message:
            case Attempt():
                self._group.create_task(self._attempt(message))
            case Asked(number, question):
                self._group.create_task(self._ask(number, question))
            case Renewal(number):
                self._group.create_task(self._renew(number))
            case Ping(number):
                self._channel.send(Said(number, yes=True))
            case TargetOptions():
                self._options.set_result(message)

    async def _attempt(self, attempt: Attempt) -> None:
        reply = await self._target.send(attempt.body, attempt.token, attempt.request_id)
        self._channel.send(Replied.of(attempt.number, reply))

    async def _ask(self, number: int, question: Question) -> None:
        reply, body = await self._target.ask(question)
        self._channel.send(Answered(number, Replied.of(number, reply), body))

    async def _renew(self, number: int) -> None:
        self._channel.send(Said(number, await self._target.renew_credentials()))


async def serve(end: socket.socket) -> None:
    """Be a sender for whoever holds the other end."""
    async with asyncio.TaskGroup() as group:
        await SenderProcess(group).run(end)


def _leave() -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever stops the whole group means the coordinator, which drains
        signal.signal(number, signal.SIG_IGN)
    collect_rarely()
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
