"""HTTP: the only module that sends with aiohttp. None of its exceptions leaves this module.

It decides what exactly-once depends on: whether a byte of the request may have left (`Fault.sent_nothing`).
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from yarl import URL

from ingestor.api.ceiling import Ceiling
from ingestor.api.failures import (
    Certificates,
    Failure,
    refused_by_proxy,
    slow_connection,
    unanswered,
    unconnected,
)
from ingestor.api.proxy import Proxy
from ingestor.api.trust import client_context, trusted_by
from ingestor.api.wire import HttpResponse, TransportFailure, response_limit, unpack
from ingestor.model.reply import Fault
from ingestor.policy.ceiling import TOLERANCE

if TYPE_CHECKING:
    import ssl

    from ingestor.api.tls import Security

CONNECT_TIMEOUT = 10.0
"""Seconds to make a connection, TLS included; half of the attempt's time if that is less."""

LONGEST_HEADER = 64 * 1024
"""Bytes of one header of an answer that are accepted, with some to spare for its name. Also of the status line."""

MOST_HEADERS = 600
"""Headers of an answer that are accepted."""

_HEADERS = {
    "max_line_size": LONGEST_HEADER,
    "max_field_size": LONGEST_HEADER + 1024,  # the name has a part of it
    "max_headers": MOST_HEADERS,
}
_AUTOMATIC = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
_HELD = Failure(Fault.HELD, "the ceiling (--rate) was reached when the request was about to leave")


class Transport:
    """A pool of connections to one service.

    Attempts are never repeated, redirects never followed, cookies never kept, certificates always verified (see
    `trust`). .netrc is not read.

    Args:
        url: an address of the service; all requests go to its host.
        proxy: sends them there; None if nothing is in between.
        connections: the most that are open at once: one for each attempt in flight, and one to spare for probes.
        timeout: seconds for one attempt, from connecting to the last byte of the answer.
        ceiling: must admit each request right before it leaves; None admits all.
        ca_file: the certificates of the trusted authorities; None for those of the system.
    """

    def __init__(
        self,
        url: URL,
        proxy: Proxy | None = None,
        *,
        connections: int,
        timeout: float,
        ceiling: Ceiling | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._url = url
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(CONNECT_TIMEOUT, timeout / 2))
        self._proxy = proxy
        to_proxy = {} if proxy is None else proxy.headers
        self._ca_file = ca_file
        self._certificates = Certificates(trusted_by(ca_file))
        is_tunnel = url.scheme == "https"
        self._forwarder = None if is_tunnel else proxy
        self._own_headers, self._tunnel_headers = ({}, to_proxy) if is_tunnel else (to_proxy, {})
        self._request_class = aiohttp.ClientRequest if ceiling is None else _asking(ceiling)
        self._session: aiohttp.ClientSession
        self._connector: _Connector

    @property
    def security(self) -> "Security | None":
        """How the newest connection is protected; None without TLS, or without a connection."""
        from ingestor.api.tls import security_of  # noqa: PLC0415 - few commands ask

        return None if self._connector.secured is None else security_of(self._connector.secured)

    async def __aenter__(self) -> Self:
        proxy = self._proxy
        secure = "https" in {self._url.scheme, proxy and proxy.url.scheme}
        context = await asyncio.to_thread(client_context, self._ca_file) if secure else True
        self._connector = _Connector(limit=self._connections, ssl=context)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            timeout=self._timeout,
            request_class=self._request_class,
            proxy=None if proxy is None else proxy.url,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> HttpResponse | TransportFailure:
        """Send a request with a body, and return as `request` does."""
        return await self.request("POST", url, headers, body)

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes
    ) -> HttpResponse | TransportFailure:
        """Send one request and return its answer, or the reason why there is none. Raises only cancellation."""
        begun, limit = time.perf_counter(), response_limit(body)
        if self._own_headers:
            headers = {**headers, **self._own_headers}
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                proxy_headers=self._tunnel_headers,
            ) as response:
                if response.status == 407 and self._forwarder is not None:
                    refusal = refused_by_proxy(self._forwarder)
                    return TransportFailure(refusal.fault, refusal.words, _elapsed_ms(begun))
                content = await _read(response, limit)
                if encoding := response.headers.get("Content-Encoding"):
                    content = unpack(content, encoding, limit)
                return HttpResponse(response.status, response.headers, content, _elapsed_ms(begun))
        except _HeldError:
            failure = _HELD
        except _UnconnectedError as error:
            failure = await unconnected(error.cause, self._url, self._proxy, self._certificates)
        except aiohttp.ConnectionTimeoutError:
            failure = slow_connection(self._url, self._proxy, self._timeout.connect or 0.0)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            failure = unanswered(error, self._url, self._forwarder)
        return TransportFailure(failure.fault, failure.words, _elapsed_ms(begun))


class _UnconnectedError(Exception):
    """No connection was made."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _HeldError(Exception):
    """The ceiling does not admit the request now."""


class _Protocol(ResponseHandler):
    """Accepts large headers in every answer, also in that of a proxy to CONNECT."""

    def set_response_params(self, **options: Any) -> None:
        super().set_response_params(**{**options, **_HEADERS})


class _Connector(aiohttp.TCPConnector):
    """Makes connections. What fails here, a proxy's answer too, fails before the request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.secured: ssl.SSLObject | None = None
        """What protects the newest connection; None without TLS."""
        self._factory = partial(_Protocol, loop=self._loop)  # type: ignore[assignment]  # _Protocol is one

    async def _create_connection(self, req: aiohttp.ClientRequest, *args: Any) -> ResponseHandler:
        try:
            made = await super()._create_connection(req, *args)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _UnconnectedError(error) from error
        self.secured = None if made.transport is None else made.transport.get_extra_info("ssl_object")
        return made


def _asking(ceiling: Ceiling) -> type[aiohttp.ClientRequest]:
    """Return the class of requests that `ceiling` admits once they have a connection."""

    class AskingRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            self._asked_at = time.monotonic()
            if not ceiling.admit():
                conn.release()  # unused: another request takes it
                raise _HeldError
            return await super().send(conn)

        async def write_bytes(self, writer: Any, conn: aiohttp.connector.Connection, *args: Any) -> None:
            """Write the request: in a task of its own, before which this process may have been stopped for long."""
            is_late = time.monotonic() - self._asked_at > TOLERANCE
            if is_late and not ceiling.admit() and conn.protocol is not None:
                conn.protocol.set_exception(_HeldError())
            else:
                await super().write_bytes(writer, conn, *args)

    return AskingRequest


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body, or its first `limit` bytes: a connection with more to read is closed."""
    stream = response.content
    if stream.is_eof():  # all of it came with the headers
        return (await stream.readany())[:limit]
    content = bytearray()
    with _ending_with_its_connection(response):
        while len(content) < limit and (chunk := await stream.readany()):
            content += chunk
    return bytes(content[:limit])


@contextmanager
def _ending_with_its_connection(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Break off the body when the connection ends.

    The parser in C closes the connection at a chunk that violates HTTP, and lets its readers wait.
    """
    connection = response.connection
    closed = None if connection is None or connection.protocol is None else connection.protocol.closed
    if closed is None:
        yield
        return
    end = partial(_break_off, response.content)
    closed.add_done_callback(end)
    try:
        yield
    finally:
        closed.remove_done_callback(end)


def _break_off(stream: aiohttp.StreamReader, closed: asyncio.Future[None]) -> None:
    if not closed.cancelled():
        closed.exception()  # else asyncio logs that nobody asked for it
    if not stream.is_eof() and stream.exception() is None:
        stream.set_exception(aiohttp.ClientPayloadError("a chunk of its body is not one"))


def _elapsed_ms(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
