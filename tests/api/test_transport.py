import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from yarl import URL

from ingestor.api.failures import unanswered
from ingestor.api.transport import Transport
from ingestor.api.wire import HttpResponse, TransportFailure, response_limit
from ingestor.model.reply import Fault
from tests.api.conftest import Serve, tls
from tests.support.addresses import free_port

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"run_name":"x"}'
LONG_ENOUGH_TO_CONNECT = 1.0
"""Seconds, on a busy machine too."""


@asynccontextmanager
async def raw_server(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[URL]:
    """A server that runs `talk` after it has read a whole request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(BODY)
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    async with server:
        yield URL(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", encoded=True)


async def post(
    url: URL, seconds: float = 10.0, headers: dict[str, str] | None = None
) -> HttpResponse | TransportFailure:
    async with Transport(url, connections=2, timeout=seconds) as transport:
        return await transport.post(url, headers or {}, BODY)


def saying(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return talk


def answered(result: HttpResponse | TransportFailure) -> HttpResponse:
    assert isinstance(result, HttpResponse), result
    return result


def broken(result: HttpResponse | TransportFailure) -> TransportFailure:
    assert isinstance(result, TransportFailure), result
    assert result.detail
    assert result.detail.isprintable()
    assert result.latency_ms >= 0
    return result


async def test_an_answer_comes_with_status_headers_body_and_latency() -> None:
    head = b"HTTP/1.1 429 Slow down\r\nopc-request-id: A/B\r\nContent-Length: 2\r\n\r\n"
    async with raw_server(saying(head, b"{}")) as url:
        answer = answered(await post(url))
    assert (answer.status, answer.headers["OPC-Request-Id"], answer.body) == (429, "A/B", b"{}")
    assert answer.latency_ms > 0


async def test_a_request_goes_out_unchanged_and_without_headers_of_the_library(serve: Serve) -> None:
    seen: list[web.BaseRequest] = []
    bodies: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        bodies.append(await request.read())
        return web.Response()

    async with serve(handler) as base:
        url = URL(f"{base.origin()}/a%2Fb%20c/%C3%BC?x=%2F", encoded=True)
        await post(url, headers={"authorization": "me", "host": "other.example", "content-length": str(len(BODY))})
    assert seen[0].raw_path == "/a%2Fb%20c/%C3%BC?x=%2F"
    assert bodies == [BODY]
    names = {name.lower(): value for name, value in seen[0].headers.items()}
    assert names == {"authorization": "me", "host": "other.example", "content-length": str(len(BODY))}


async def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve) -> None:
    paths: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serve(handler) as base:
        answer = answered(await post(base / "x"))
    assert (answer.status, answer.headers["Location"], paths) == (307, "/elsewhere", ["/x"])


async def test_cookies_are_not_kept(serve: Serve) -> None:
    cookies: list[str | None] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with serve(handler) as base:
        url = base.with_host("localhost")  # no cookie jar keeps an IP address's
        async with Transport(url, connections=1, timeout=10) as transport:
            for _ in range(2):
                answered(await transport.post(url, {}, BODY))
    assert cookies == [None, None]


async def test_nothing_is_sent_to_a_host_that_does_not_resolve() -> None:
    assert broken(await post(URL("http://nosuch.invalid/x"))).fault is Fault.DNS


async def test_nothing_is_sent_to_a_closed_port() -> None:
    assert broken(await post(URL(f"http://127.0.0.1:{free_port()}/x"))).fault is Fault.REFUSED


async def test_nothing_is_sent_where_no_connection_is_made_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            result = broken(await post(URL(f"http://127.0.0.1:{address[1]}/x"), seconds=0.1))
    assert result.fault is Fault.REFUSED


async def test_nothing_is_sent_to_a_server_with_an_untrusted_certificate(tmp_path: Path, key: RSAPrivateKey) -> None:
    async with raw_server(saying(), tls(tmp_path, key)[0]) as url:
        assert broken(await post(url)).fault is Fault.TLS


async def test_nothing_is_sent_to_a_server_with_an_expired_certificate(
    tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, file = tls(tmp_path, key, datetime.now(UTC) - timedelta(days=1))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with raw_server(saying(), context) as url:
        assert broken(await post(url)).fault is Fault.TLS


async def test_nothing_is_sent_to_a_server_without_tls() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        result = await post(URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"))
    assert broken(result).fault is Fault.TLS


async def test_ssl_cert_file_names_the_trusted_certificates(
    tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, file = tls(tmp_path, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with raw_server(saying(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"), context) as url:
        assert answered(await post(url)).status == 204


async def test_a_server_that_closes_before_its_answer_may_have_carried_out_the_request() -> None:
    async with raw_server(saying()) as url:
        assert broken(await post(url)).fault is Fault.RESET


async def test_a_request_may_be_carried_out_where_the_connection_is_reset() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with raw_server(talk) as url:
        assert broken(await post(url)).fault is Fault.RESET


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"SSH-2.0-OpenSSH_9.6\r\n\x1b[2J\r\n\r\n",
        b"\x16\x03\x01\x00\xee\r\n\r\n",
        b"<html>\r\n\r\n",
    ],
    ids=["cut-body", "cut-chunk", "ssh", "tls", "page"],
)
async def test_a_request_may_be_carried_out_where_the_answer_is_cut_or_not_http(head: bytes) -> None:
    async with raw_server(saying(head)) as url:
        assert broken(await post(url)).fault is Fault.GARBLED


async def test_a_request_may_be_carried_out_where_no_answer_comes() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(talk) as url:
        result = broken(await post(url, seconds=LONG_ENOUGH_TO_CONNECT))
    assert (result.fault, result.detail) == (Fault.TIMEOUT, "No complete answer came in time.")


async def test_an_answer_that_stops_halfway_is_a_timeout() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await reader.read()

    async with raw_server(talk) as url:
        assert broken(await post(url, seconds=LONG_ENOUGH_TO_CONNECT)).fault is Fault.TIMEOUT


async def test_an_endless_answer_is_cut_and_its_connection_is_not_used_again() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with raw_server(talk) as url, Transport(url, connections=1, timeout=10) as transport:
        for _ in range(2):
            assert answered(await transport.post(url, {}, BODY)).body == b"x" * response_limit(BODY)


async def test_the_transport_never_repeats_an_attempt() -> None:
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.readuntil(BODY)
        requests += 1

    async with raw_server(talk) as url, Transport(url, connections=1, timeout=10) as transport:
        answered(await transport.post(url, {}, BODY))
        assert broken(await transport.post(url, {}, BODY)).fault is Fault.RESET
    assert requests == 2


async def test_connections_are_kept_and_bounded(serve: Serve) -> None:
    peers: set[object] = set()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with serve(handler) as base, Transport(base, connections=3, timeout=10) as transport:
        await asyncio.gather(*(transport.post(base, {}, BODY) for _ in range(30)))
    assert 1 <= len(peers) <= 3


async def test_cancellation_goes_through() -> None:
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()

    async with raw_server(talk) as url, Transport(url, connections=1, timeout=10) as transport:
        attempt = asyncio.create_task(transport.post(url, {}, BODY))
        await begun.wait()
        attempt.cancel()
        await asyncio.wait([attempt])
        assert attempt.cancelled()


@pytest.mark.parametrize(
    "error", [aiohttp.ClientError(), OSError(), aiohttp.ClientOSError(), aiohttp.ServerDisconnectedError()]
)
def test_an_unknown_error_counts_as_possibly_carried_out(error: Exception) -> None:
    assert not unanswered(error, URL("https://h.example")).fault.sent_nothing


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP"])
async def test_a_compressed_answer_is_decompressed(serve: Serve, encoding: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"content"), headers={"Content-Encoding": encoding})

    async with serve(handler) as base:
        assert answered(await post(base / "x")).body == b"content"


async def test_an_answer_in_many_pieces_is_read_whole() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(300):
            writer.write(b"x" * 1000)
            await writer.drain()
            await asyncio.sleep(0)

    async with raw_server(talk) as url:
        assert answered(await post(url)).body == b"x" * 300_000
