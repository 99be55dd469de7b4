"""The sender process: python -m ingestor.api.sender_process DESCRIPTOR [CEILING].

It makes the attempts that it receives. It has one event loop, one session and one signer. It ends with its
coordinator: once that is gone, nothing more is sent.
"""

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from math import inf

from ingestor.api.ceiling import Ceiling
from ingestor.api.options import TargetOptions
from ingestor.api.sender_channel import Attempt, Channel, Message, Order, Replied
from ingestor.api.service import HttpService
from ingestor.api.wire import SEARCHES
from ingestor.model.errors import IngestorError
from ingestor.model.value import collect_rarely
from ingestor.system.limits import forbid_core_dumps
from ingestor.system.stops import STOPS, STOPS_NOTHING


class SenderProcess:
    """Carries out its coordinator's orders, in tasks of `group`.

    `ceiling` is the descriptor of the ceiling that it shares with the other senders.
    """

    def __init__(self, group: asyncio.TaskGroup, ceiling: int | None = None) -> None:
        self._group = group
        self._ceiling = ceiling
        self._attempts: dict[int, asyncio.Task[None]] = {}
        self._channel: Channel
        self._service: HttpService

    async def run(self, end: socket.socket) -> None:
        """Serve until the coordinator is gone, which ends the process."""
        self._channel = await Channel.open(end, self._receive, partial(os._exit, 0))
        await asyncio.Event().wait()

    def _receive(self, message: Message) -> None:
        number, order = message
        if order is Order.CANCEL:
            if (attempt := self._attempts.pop(number, None)) is not None:
                attempt.cancel()
            return
        task = self._group.create_task(self._carry_out(number, order))
        if isinstance(order, Attempt):
            self._attempts[number] = task

    async def _carry_out(self, number: int, order: object) -> None:
        match order:
            case Attempt():
                answer: object = await self._attempt(order)
            case Order.RENEW:
                answer = await self._service.renew_credentials()
            case TargetOptions():
                answer = await self._open(order)
            case _:
                answer = True
        self._attempts.pop(number, None)
        self._channel.send((number, answer))

    async def _attempt(self, attempt: Attempt) -> Replied:
        request = attempt.request()
        reply, body = await self._service.exchange(request, attempt.request_id)
        return Replied.of(reply, body if request.operation in SEARCHES else b"")

    async def _open(self, options: TargetOptions) -> bool | IngestorError:
        """Open the service, which stays open until the process ends; return the reason if that is not possible."""
        try:
            ceiling = None if self._ceiling is None else Ceiling(options.rate or inf, self._ceiling)
            self._service = await HttpService(options, ceiling=ceiling).__aenter__()
        except IngestorError as error:
            return error
        return True


async def serve(end: socket.socket, ceiling: int | None = None) -> None:
    """Run as the sender of the process at the other end of the socket."""
    async with asyncio.TaskGroup() as group:
        await SenderProcess(group, ceiling).run(end)


if __name__ == "__main__":
    forbid_core_dumps()
    for number in (*STOPS, *STOPS_NOTHING):  # the coordinator handles signals to the process group
        signal.signal(number, signal.SIG_IGN)
    collect_rarely()
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), *map(int, sys.argv[2:])))
