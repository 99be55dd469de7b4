"""A proxy on loopback that loses answers, or requests, on their way."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web


class Loss(Enum):
    """What is lost of an exchange; the client sees a broken connection."""

    REQUEST = auto()
    ANSWER = auto()
    LATE = auto()
    """The answer: the request is passed on a moment after the connection is broken."""


_LATE = 1.0  # seconds

Lose = Callable[[str, bytes], Loss | None]
"""Says what is lost of a request with this path and body."""


def nothing(path: str, body: bytes) -> None:
    """Lose nothing."""


class Proxy:
    """Passes requests on to `target`, an address, while the context lasts; `lose` may be changed meanwhile.

    `lost` counts what was lost: where it is the answer, the target has had the request by then.
    """

    def __init__(self, target: str, lose: Lose = nothing) -> None:
        self._target = target
        self.lose = lose
        self.lost = 0
        self._late: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._late:
            await asyncio.wait(self._late)
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        loss = self.lose(request.path, body)
        if loss is None:
            return await self._pass_on(request.raw_path, body, request)
        if loss is Loss.ANSWER:
            await self._pass_on(request.raw_path, body, request)
        elif loss is Loss.LATE:
            task = asyncio.create_task(self._pass_on_late(request.raw_path, body, request))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        self.lost += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _pass_on_late(self, path: str, body: bytes, request: web.BaseRequest) -> None:
        await asyncio.sleep(_LATE)
        await self._pass_on(path, body, request)

    async def _pass_on(self, path: str, body: bytes, request: web.BaseRequest) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with self._session.request(request.method, self._target + path, data=body, headers=headers) as answer:
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)
