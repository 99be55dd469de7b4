"""Messages between the coordinator and a sender process, both ours, over a private pair of sockets."""

import asyncio
import pickle
import socket
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple, Self

from ingestor.api.search import Question
from ingestor.model.reply import Reply

_LENGTH_BYTES = 8
_REPLY_FIELDS = tuple(field.name for field in fields(Reply))
_values_of = attrgetter(*_REPLY_FIELDS)


class Opened(NamedTuple):
    """A sender's first word: it is ready, or why it can't be."""

    problem: Exception | None


class Attempt(NamedTuple):
    """An attempt to make."""

    number: int
    token: str
    request_id: str
    body: bytes


class Asked(NamedTuple):
    """A question to ask, which changes nothing."""

    number: int
    question: Question


class Renewal(NamedTuple):
    """A request to look for newer credentials."""

    number: int


class Ping(NamedTuple):
    """A request to show that it still works."""

    number: int


class Replied(NamedTuple):
    """What came of an attempt: a reply's values, since a plain tuple is cheapest to send."""

    number: int
    values: tuple[object, ...]

    @classmethod
    def of(cls, number: int, reply: Reply) -> Self:
        """Pack a reply."""
        return cls(number, _values_of(reply))

    def reply(self) -> Reply:
        """Unpack the reply."""
        return Reply(**dict(zip(_REPLY_FIELDS, self.values, strict=True)))  # type: ignore[arg-type]  # as packed


class Answered(NamedTuple):
    """What came of a question, and the body of its answer."""

    number: int
    replied: Replied
    body: bytes

    def reply(self) -> Reply:
        """Unpack the reply."""
        return self.replied.reply()


class Said(NamedTuple):
    """The answer to a renewal (whether newer credentials were found) or a ping."""

    number: int
    yes: bool


Request = Attempt | Asked | Renewal | Ping
Answer = Replied | Answered | Said
Message = object
"""One of the above, or the options that a sender begins with."""


class Channel(asyncio.Protocol):
    """One end. What is sent in one turn of the loop goes as one frame: its length, then a pickled list.

    `on_message` is called for each message that comes, `on_end` once the other end is gone.
    """

    def __init__(self, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._came = bytearray()
        self._going: list[Message] = []
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, end: socket.socket, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> Self:
        """Take one end of a connected pair."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_end), sock=end)
        return channel

    def send(self, message: Message) -> None:
        """Send a message; one to an end that is gone is lost without a word."""
        self._going.append(message)
        if len(self._going) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self) -> None:
        """Let go of the other end, whatever is under way."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._came += data
        while len(self._came) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._came[:_LENGTH_BYTES])
            if len(self._came) < end:
                return
            frame = bytes(self._came[_LENGTH_BYTES:end])
            del self._came[:end]
            for message in pickle.loads(frame):  # noqa: S301 - our own process wrote it, on a socket without a name
                self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio.Protocol."""
        self._on_end()

    def _flush(self) -> None:
        going, self._going = self._going, []
        frame = pickle.dumps(going, pickle.HIGHEST_PROTOCOL)
        self._transport.write(len(frame).to_bytes(_LENGTH_BYTES) + frame)
