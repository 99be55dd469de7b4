"""Messages between the coordinator and a sender process, both ours, over a private pair of sockets."""

import asyncio
import pickle
import socket
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from operator import attrgetter
from typing import NamedTuple, Self

from ingestor.model.reply import Reply
from ingestor.model.request import Operation, Request

_LENGTH_BYTES = 8
_REPLY_FIELDS = tuple(field.name for field in fields(Reply))
_values_of = attrgetter(*_REPLY_FIELDS)

Message = tuple[int, object]
"""An order and its number, or the answer to an order and the number of that order.

The orders are: TargetOptions, the first (its answer: True, or why the sender can't be ready), Attempt (Replied),
Order.RENEW (whether there are newer credentials), Order.PING (True), and Order.CANCEL, which has the number of the
order that it cancels, and gets no answer.
"""


class Order(Enum):
    """Orders without any content."""

    RENEW = "renew the credentials"
    PING = "show that the process still works"
    CANCEL = "stop an attempt and close its connection"


class Attempt(NamedTuple):
    """An attempt to make: a request's values, because strings and bytes are the cheapest to send."""

    request_id: str
    operation: str
    body: bytes
    token: str | None

    @classmethod
    def of(cls, request_id: str, request: Request) -> Self:
        """Pack a request."""
        return cls(request_id, request.operation.value, request.body, request.token)

    def request(self) -> Request:
        """Unpack the request, without `is_repeatable`, which only the coordinator uses."""
        return Request(Operation(self.operation), self.body, self.token)


class Replied(NamedTuple):
    """The result of an attempt: a reply's values, and the body of the answer to a search."""

    values: tuple[object, ...]
    body: bytes

    @classmethod
    def of(cls, reply: Reply, body: bytes) -> Self:
        """Pack a reply."""
        return cls(_values_of(reply), body)

    def reply(self) -> Reply:
        """Unpack the reply."""
        return Reply(**dict(zip(_REPLY_FIELDS, self.values, strict=True)))  # type: ignore[arg-type]  # as packed


class Channel(asyncio.Protocol):
    """One end. What is sent in one turn of the event loop goes as one frame: its length, then a pickled list.

    `on_message` is called for each message that arrives, `on_end` once the other end is gone.
    """

    def __init__(self, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._received = bytearray()
        self._unsent: list[Message] = []
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, end: socket.socket, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> Self:
        """Use one end of a connected pair of sockets."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_end), sock=end)
        return channel

    def send(self, message: Message) -> None:
        """Send a message; it is lost without an error if the other end is gone."""
        self._unsent.append(message)
        if len(self._unsent) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self) -> None:
        """Close at once; what is not sent yet is lost."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while len(self._received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES])
            if len(self._received) < end:
                return
            frame = bytes(self._received[_LENGTH_BYTES:end])
            del self._received[:end]
            for message in pickle.loads(frame):  # noqa: S301 - our own process wrote it, on a socket without a name
                self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio.Protocol."""
        self._on_end()

    def _flush(self) -> None:
        messages, self._unsent = self._unsent, []
        frame = pickle.dumps(messages, pickle.HIGHEST_PROTOCOL)
        self._transport.write(len(frame).to_bytes(_LENGTH_BYTES) + frame)
