"""A client that sends exactly the bytes of a test, over a real socket."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 20.0
"""Seconds after which a test stops waiting: far more than anything here takes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, its headers in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def document(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


async def ask(url: str, target: str = "/", method: str = "GET", host: str | None = None, **headers: str) -> Answer:
    """Send one request on a connection of its own. An underscore in a header's name is a hyphen."""
    address = urlsplit(url)
    sent = {"Host": address.netloc if host is None else host, "Connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
    return parse(await exchange(url, f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()))


async def exchange(url: str, data: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    reader, writer = await connect(url)
    async with asyncio.timeout(TIMEOUT):
        writer.write(data)
        try:
            return await reader.read()
        finally:
            writer.close()


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    address = urlsplit(url)
    async with asyncio.timeout(TIMEOUT):
        return await asyncio.open_connection(address.hostname, address.port)


def parse(data: bytes) -> Answer:
    """Read an answer that the end of the connection ends."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body.decode())
