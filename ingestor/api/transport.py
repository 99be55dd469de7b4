"""HTTP: the only module that uses aiohttp's client. None of its exceptions leaves this module.

It decides what exactly-once depends on: whether a byte of the request may have left (`Fault.sent_nothing`).
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Self

import aiohttp
from yarl import URL

from ingestor.api.options import proxy_for
from ingestor.api.wire import HttpResponse, TransportFailure, response_limit, unpack
from ingestor.model.reply import Fault
from ingestor.model.text import one_line

CONNECT_TIMEOUT = 10.0
"""Seconds to make a connection, TLS included; half of the attempt's time if that is less."""

_AUTOMATIC = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})


class Transport:
    """A pool of connections to one service.

    Attempts are never repeated, redirects never followed, cookies never kept, certificates always verified (against
    the system's store, or SSL_CERT_FILE). HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured; .netrc is not.

    Args:
        url: an address of the service; all requests go to its host.
        connections: the most that are open at once: one for each attempt in flight, and one to spare for probes.
        timeout: seconds for one attempt, from connecting to the last byte of the answer.

    Raises UsageError for a malformed proxy in the environment.
    """

    def __init__(self, url: URL, *, connections: int, timeout: float) -> None:
        self._url = url
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(CONNECT_TIMEOUT, timeout / 2))
        self._proxy = proxy_for(url)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        secure = self._url.scheme == "https"
        context = await asyncio.to_thread(ssl.create_default_context) if secure else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            timeout=self._timeout,
            proxy=self._proxy,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> HttpResponse | TransportFailure:
        """Send one request and return its answer, or the reason why there is none. Raises only cancellation."""
        begun, limit = time.perf_counter(), response_limit(body)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                content = await _read(response.content, limit)
                if encoding := response.headers.get("Content-Encoding"):
                    content = unpack(content, encoding, limit)
                return HttpResponse(response.status, response.headers, content, _elapsed_ms(begun))
        except (aiohttp.ClientError, OSError) as error:
            return TransportFailure(fault_of(error), _detail(error), _elapsed_ms(begun))


def fault_of(error: Exception) -> Fault:
    """Return how an attempt failed. An error that is not known means that the request may have been carried out."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Fault.DNS
        case aiohttp.ClientSSLError():
            return Fault.TLS
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.ClientHttpProxyError():
            return Fault.REFUSED
        case TimeoutError():
            return Fault.TIMEOUT
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return Fault.GARBLED
        case _:
            return Fault.RESET


async def _read(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """Read a body, or its first `limit` bytes: a connection with more to read is closed."""
    first = await stream.readany()
    if stream.at_eof():
        return first[:limit]
    content = bytearray(first)
    while len(content) < limit and (chunk := await stream.readany()):
        content += chunk
    return bytes(content[:limit])


def _detail(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return "No complete answer came in time."
    if isinstance(error, aiohttp.ClientResponseError):
        return one_line(error.message)
    return one_line(str(error)) or type(error).__name__


def _elapsed_ms(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
