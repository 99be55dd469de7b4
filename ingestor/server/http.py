"""A small HTTP server for this machine and its neighbours: few connections, strict limits, no foreign pages."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiohttp import web

from ingestor.model.errors import UsageError
from ingestor.server.access import Access
from ingestor.server.address import Address, TcpAddress, UnixAddress, is_own_host
from ingestor.server.connection import HEADERS, SILENT, Connection, Limits, spare_files
from ingestor.server.messages import Explain, Request, Response, Route, problem
from ingestor.server.unix_socket import UnixListener, unix_listener

_MOST_AT_ONCE = 100
"""Connections that wait to be accepted; all of them are accepted before the first one too many is closed."""
_SHUTDOWN = 0.5  # seconds that a request may take after the end; a second time to be cancelled


class HttpServer:
    """Answers at one address while the `async with` block runs, in the running event loop.

    Leaving the block takes about one second at most, whatever clients do.

    Args:
        address: where to listen. A socket in the file system gets mode 0660.
        routes: what answers at which path.
        access: who may use the routes that are not open.
        names: what a Host header may say besides IP addresses and localhost. A socket in the file system takes any.
        limits: what a client may use.
        option: how the user spells the option with the address, for messages.
        explain: makes an answer that says what is wrong with a request.
        answered: gets the status of every answer.
    """

    def __init__(  # noqa: PLR0913 - what is different for each server
        self,
        address: Address,
        routes: Mapping[str, Route],
        access: Access,
        *,
        names: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        option: str = "--listen",
        explain: Explain = problem,
        answered: Callable[[int], object] = int,
    ) -> None:
        self.address = address
        self._routes = routes
        self._access = access
        self._names = names
        self._limits = limits or Limits()
        self._option = option
        self._explain = explain
        self._answered = answered
        self._connections: dict[Connection, None] = {}
        self._listening: asyncio.Server | None = None
        self._socket_file: UnixListener | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises UsageError if the address can't be used."""
        self._manager = web.Server(self._handle, access_log=None, logger=SILENT)
        try:
            await self._listen(asyncio.get_running_loop())
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UsageError(f"{self._option}: can't listen on {self.address}: {reason.lower()}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.close()
        await self._manager.shutdown(_SHUTDOWN)
        for connection in list(self._connections):
            connection.abort()
        if self._socket_file is not None:
            self._socket_file.remove()

    @property
    def url(self) -> str:
        """The address for a browser; of a socket in the file system, its name."""
        return f"http://{self.address}/" if isinstance(self.address, TcpAddress) else str(self.address)

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        at_once = min(_MOST_AT_ONCE, spare_files())
        if isinstance(self.address, UnixAddress):
            self._socket_file = unix_listener(self.address)
            waiting = self._socket_file.socket
            self._listening = await loop.create_unix_server(self._connect, sock=waiting, backlog=at_once)
            return
        host = "127.0.0.1" if self.address.host == "localhost" else self.address.host  # IPv6 may be switched off
        self._listening = await loop.create_server(self._connect, host, self.address.port, backlog=at_once)
        port = self._listening.sockets[0].getsockname()[1]
        self.address = TcpAddress(self.address.host, port)

    def _connect(self) -> Connection:
        return Connection(self._manager, self._connections, self._limits)

    async def _handle(self, received: web.BaseRequest) -> web.StreamResponse:
        connection = received.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - `_connect` makes them all
        connection.begin()
        try:
            response = await self._answer(received)
        except Exception:  # noqa: BLE001 - a fault here must not end the batch, nor show a traceback to a client
            response = self._explain(500, "this is a fault of ingestor")
        finally:
            connection.end()
        self._answered(response.status)
        headers = {**HEADERS, **response.headers, "Content-Type": response.content_type}
        answer = web.Response(status=response.status, body=response.body, headers=headers)
        if headers.get("Connection") == "close" or not received.content.is_eof():  # the rest is no next request
            answer.force_close()
        return answer

    async def _answer(self, received: web.BaseRequest) -> Response:
        if (refusal := self._refusal(received)) is not None:
            return refusal
        route = self._routes.get(received.path)
        if route is None:
            return self._explain(404, f"there is nothing here; see {', '.join(self._routes)}")
        if received.method not in route.methods:
            return self._explain(405, "the method is not allowed", Allow=", ".join(sorted(route.methods)))
        request = Request(
            method=received.method,
            path=received.path,
            query={name: received.query.getone(name) for name in received.query},
            headers=received.headers,
            _content=received,
        )
        if not route.is_open and not self._access.admits(request.headers):
            return await self._unauthorized(route, request)
        response = await route.handler(request)
        if not route.is_open and "GET" in route.methods and self._access.has_token(request.headers):
            cookie = {"Set-Cookie": self._access.cookie()}
            return replace(response, headers={**response.headers, **cookie})
        return response

    def _refusal(self, received: web.BaseRequest) -> Response | None:
        """Refuse what a page of a foreign site can make a browser send."""
        host, origin = received.headers.get("Host"), received.headers.get("Origin")
        if isinstance(self.address, UnixAddress):
            return None
        if host is not None and not is_own_host(host, self._names):
            return self._explain(
                403, "the name in Host is not known: use an IP address, or declare it with --listen-name"
            )
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return self._explain(403, "requests of other sites are refused")
        site = received.headers.get("Sec-Fetch-Site", "none")
        is_navigation = received.headers.get("Sec-Fetch-Dest") == "document" and received.method in {"GET", "HEAD"}
        if site not in {"none", "same-origin"} and not is_navigation:
            return self._explain(403, "requests of other sites are refused")
        return None

    async def _unauthorized(self, route: Route, request: Request) -> Response:
        if not self._access.is_possible:
            return self._explain(
                403, f"{self._option} beyond this machine shows this only with a token, and none is set"
            )
        if route.sign_in is not None:
            return await route.sign_in(request)
        return self._explain(401, "a token is needed: Authorization: Bearer TOKEN", **{"WWW-Authenticate": "Bearer"})
