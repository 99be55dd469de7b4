"""One connection of a client: closed after its time, and for another one while it is idle."""

import asyncio
import logging
import resource
import sys
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from ingestor.server.messages import TEXT

CSP = (
    "default-src 'none'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The Content-Security-Policy of every answer; a page adds what it needs."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "ingestor",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer."""

SILENT = logging.getLogger("ingestor.server")
"""Where aiohttp writes: nowhere, because a mistake of a client is no event of the batch."""
SILENT.disabled = True

_LONGEST_LINE = 8190  # bytes of the request line, and of each header


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may use.

    Attributes:
        connections: how many may be open; at most a quarter of the files that the process may open, because a journal
            that can open none halts the batch. If one more comes, the one is closed that has been idle for longest.
        request_seconds: how long one request may take, from its first byte (or from the connection) to the last byte of
            the answer.
        idle_seconds: how long a connection may be idle between two requests.
    """

    connections: int = 64
    request_seconds: float = 30.0
    idle_seconds: float = 15.0

    def most_open(self) -> int:
        """Return how many connections may be open at present."""
        return min(self.connections, spare_files())


def spare_files() -> int:
    """Return how many files of this process its clients may use."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if files == resource.RLIM_INFINITY else files // 4


class Connection(web.RequestHandler):
    """A connection that is closed after its time, and that may be closed for another one while it is idle."""

    __slots__ = ("_all", "_ending", "_limits", "is_busy")

    def __init__(self, manager: web.Server, connections: "dict[Connection, None]", limits: Limits) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            access_log=SILENT,
            logger=SILENT,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            lingering_time=1.0,
            auto_decompress=False,  # who reads a body bounds what it becomes
        )
        self._all = connections
        self._limits = limits
        self.is_busy = False
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client, and give up the longest idle one if there are too many."""
        super().connection_made(transport)
        self._all[self] = None
        self._end_after(self._limits.request_seconds)
        if len(self._all) > self._limits.most_open():
            given_up = next((it for it in self._all if not it.is_busy), self)
            del self._all[given_up]  # now: of many clients that come at once, each replaces another one
            given_up.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self._all.pop(self, None)
        if self._ending is not None:
            self._ending.cancel()
        super().connection_lost(exc)

    def begin(self) -> None:
        """Record that a request arrived: now this connection is the last one to be closed for another."""
        self.is_busy = True
        if self._all.pop(self, True) is None:
            self._all[self] = None
        self._end_after(self._limits.request_seconds)

    def end(self) -> None:
        """Record that the answer is ready to be sent."""
        self.is_busy = False
        self._end_after(self._limits.request_seconds + self._limits.idle_seconds)

    def abort(self) -> None:
        """Close the connection now, whatever is unsent."""
        transport = self.transport
        if isinstance(transport, asyncio.Transport):
            transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - as above
        message: str | None = None,  # noqa: ARG002 - as above
    ) -> web.StreamResponse:
        """Answer what is not HTTP, without a word of it."""
        self.keep_alive(False)
        text = f"{HTTPStatus(status).phrase}\n"
        response = web.Response(status=status, text=text, headers={**HEADERS, "Content-Type": TEXT})
        response.force_close()
        return response

    def _end_after(self, seconds: float) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(seconds, self.abort)
