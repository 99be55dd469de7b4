"""Which proxy the environment names, and what is said where it fails."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from yarl import URL

from ingestor.api.proxy import proxy_for
from ingestor.api.transport import Transport
from ingestor.api.wire import HttpResponse, TransportFailure
from ingestor.model.errors import UsageError
from ingestor.model.reply import Fault
from tests.api.conftest import tls

HTTPS = URL("https://service.example/x")
HTTP = URL("http://service.example/x")
BODY = b"{}"


def chosen(url: URL, **environment: str) -> str | None:
    proxy = proxy_for(url, environment)
    return None if proxy is None else proxy.display


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up:1"}, "http://up:1"),
        ({"HTTPS_PROXY": "http://up:1", "all_proxy": "http://all:1"}, "http://up:1"),
        ({"all_proxy": "http://all:1", "ALL_PROXY": "http://up:1"}, "http://all:1"),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"http_proxy": "http://plain:1"}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example"}, "http://proxy.example:1080"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example:443"),
        ({"HTTPS_PROXY": "http://[::1]:3128/"}, "http://[::1]:3128"),
        ({}, None),
    ],
)
def test_the_first_variable_that_is_set_names_the_proxy(environment: Mapping[str, str], expected: str | None) -> None:
    assert (chosen(HTTPS, **environment) or "").removesuffix(":443") == (expected or "").removesuffix(":443")


def test_http_proxy_counts_in_upper_case_unless_a_cgi_server_may_have_set_it() -> None:
    assert chosen(HTTP, HTTP_PROXY="http://up:1") == "http://up:1"
    assert chosen(HTTP, HTTP_PROXY="http://up:1", REQUEST_METHOD="GET") is None
    assert chosen(HTTP, http_proxy="http://low:1", REQUEST_METHOD="GET") == "http://low:1"


@pytest.mark.parametrize(
    ("host", "excluded"),
    [
        ("service.example", "service.example"),
        ("service.example", "other, service.example"),
        ("service.example", "other service.example"),
        ("SERVICE.example", "Service.EXAMPLE"),
        ("service.example", "example"),
        ("service.example", ".example"),
        ("service.example", "*.example"),
        ("service.example", ".service.example"),
        ("service.example.", "service.example"),
        ("service.example", "service.example."),
        ("service.example", "*"),
        ("service.example", "a, *"),
        ("service.example:8443", "service.example:8443"),
        ("service.example", "service.example:443"),
        ("a.service.example:8443", ".example:8443"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.9.9.9/8"),
        ("10.1.2.3:8443", "10.1.2.3:8443"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]", "2001:0db8:0::1"),
        ("[2001:db8::1]", "2001:db8::/32"),
        ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_names_hosts_domains_ports_and_networks(host: str, excluded: str, variable: str) -> None:
    url = URL(f"https://{host}/x")
    assert chosen(url, https_proxy="http://proxy:1") == "http://proxy:1"
    assert chosen(url, https_proxy="http://proxy:1", **{variable: excluded}) is None


@pytest.mark.parametrize(
    ("host", "excluded"),
    [
        ("service.example", ""),
        ("service.example", ","),
        ("service.example", "."),
        ("service.example", "ice.example"),
        ("myservice.example", "service.example"),
        ("service.example.org", "service.example"),
        ("service.example:8443", "service.example:443"),
        ("service.example", "service.example:8443"),
        ("service.example", "10.0.0.0/8"),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.30, 1.2.3, 10.1.2"),
        ("10.1.2.3", "10.1.2.3/64"),
        ("[2001:db9::1]", "2001:db8::/32, ::/128"),
        ("10.1.2.3", "::/0"),
    ],
)
def test_no_proxy_does_not_name_what_only_looks_similar(host: str, excluded: str) -> None:
    assert chosen(URL(f"https://{host}/x"), https_proxy="http://proxy:1", no_proxy=excluded) == "http://proxy:1"


def test_no_proxy_in_lower_case_wins() -> None:
    assert chosen(HTTPS, https_proxy="http://p:1", no_proxy="other", NO_PROXY="*") == "http://p:1"
    assert chosen(HTTPS, https_proxy="http://p:1", no_proxy="", NO_PROXY="*") is None


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_this_machine_needs_no_proxy(host: str) -> None:
    assert chosen(URL(f"http://{host}/x"), http_proxy="http://proxy:1", all_proxy="http://proxy:1") is None


def test_the_password_is_decoded_for_the_proxy_and_masked_for_people() -> None:
    proxy = proxy_for(HTTPS, {"HTTPS_PROXY": "http://me:p%40ss%3A1@proxy.example:3128"})
    assert proxy is not None
    assert (proxy.user, proxy.password, str(proxy.url)) == ("me", "p@ss:1", "http://proxy.example:3128")
    assert proxy.display == "http://me:********@proxy.example:3128"
    assert "p@ss" not in repr(proxy)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("socks5://me:s3cret@h:1", "names a SOCKS proxy, which is not supported"),
        ("socks5h://h:1", "names a SOCKS proxy, which is not supported"),
        ("ftp://me:s3cret@h:1", "is not the address of an HTTP proxy"),
        ("http://", "is not the address of an HTTP proxy"),
        ("http://me:s3cret@h:port", "is not the address of an HTTP proxy"),
        ("http://me:s3cret@[h:1", "is not the address of an HTTP proxy"),
        ("http://m%3Ae:s3cret@h:1", "the user's name for the proxy must not contain a colon"),
    ],
)
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_no_http_proxy_is_refused_without_showing_its_password(
    named: str, words: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, named)
    with pytest.raises(UsageError) as caught:
        proxy_for(HTTPS)
    assert str(caught.value).startswith(variable)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class ProxyServer:
    """Answers each request with the same bytes; keeps the head of the last one. Without an answer it makes a tunnel."""

    def __init__(self, answer: bytes | None) -> None:
        self.head = b""
        self.port = 0
        self.done = asyncio.Event()
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        if self._answer is None:
            await self._tunnel(reader, writer)
        else:
            writer.write(self._answer)
        writer.close()
        self.done.set()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(self.head.split()[1].rpartition(b":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
    writer.close()


@asynccontextmanager
async def proxy(answer: bytes | None = None) -> AsyncIterator[ProxyServer]:
    it = ProxyServer(answer)
    server = await asyncio.start_server(it, "127.0.0.1", 0)
    async with server:
        it.port = server.sockets[0].getsockname()[1]
        yield it
        async with asyncio.timeout(20):
            await it.done.wait()


async def post(url: URL) -> HttpResponse | TransportFailure:
    async with Transport(url, proxy_for(url), connections=1, timeout=20) as transport:
        return await transport.post(url, {"authorization": "for the service"}, BODY)


REFUSALS = {
    b"HTTP/1.1 407 Go away\r\n\r\n": "does not accept user and password (407): check them in https_proxy",
    b"HTTP/1.1 403 Forbidden\r\n\r\n": "refuses to connect to service.example:443: 403 Forbidden",
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n": "refuses to connect to service.example:443: 502 Bad Gateway",
    b"HTTP/1.1 abc\r\n\r\n": "does not connect to service.example:443: its answer is malformed: Invalid status code: "
    "HTTP/1.1 abc",
    b"": "does not connect to service.example:443: it closed the connection",
}


@pytest.mark.parametrize(("answer", "words"), REFUSALS.items())
async def test_nothing_is_sent_through_a_proxy_that_refuses_and_its_words_are_not_those_of_the_service(
    answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(answer) as it:
        monkeypatch.setenv("https_proxy", f"http://me:s3cret@127.0.0.1:{it.port}")
        result = await post(HTTPS)
    assert isinstance(result, TransportFailure), result
    assert result.fault is Fault.PROXY
    assert result.fault.sent_nothing
    assert result.detail == f"the proxy http://me:********@127.0.0.1:{it.port} (https_proxy) {words}"
    assert it.head.startswith(b"CONNECT service.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:s3cret") in it.head
    assert b"for the service" not in it.head


async def test_a_proxy_that_wants_a_password_says_how_to_write_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(b"HTTP/1.1 407 Authentication Required\r\n\r\n") as it:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{it.port}")
        result = await post(HTTPS)
    assert isinstance(result, TransportFailure), result
    assert result.detail.endswith(
        "requires a user and a password (407): write HTTPS_PROXY as http://USER:PASSWORD@host:port"
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "fails: cannot connect to 127.0.0.1:1: connection refused"),
        ("nosuch.invalid:3128", "fails: the host name nosuch.invalid does not resolve:"),
    ],
)
@pytest.mark.parametrize("url", [HTTP, HTTPS])
async def test_nothing_is_sent_where_the_proxy_is_not_reached(
    address: str, words: str, url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", f"http://me:s3cret@{address}")
    result = await post(url)
    assert isinstance(result, TransportFailure), result
    assert result.fault is Fault.PROXY
    assert result.detail.startswith(f"the proxy http://me:********@{address} (all_proxy) {words}")


ANSWERS_TO_A_PLAIN_REQUEST = {
    b"HTTP/1.1 407 Authentication Required\r\n\r\n": (
        Fault.PROXY,
        (
            "the proxy PROXY (http_proxy) requires a user and a password (407): write http_proxy as "
            "http://USER:PASSWORD@host:port"
        ),
    ),
    b"": (Fault.RESET, "through the proxy PROXY (http_proxy): the connection ended before an answer came"),
    b"SSH-2.0-x\r\n": (
        Fault.GARBLED,
        "through the proxy PROXY (http_proxy): the answer is not HTTP; it begins with SSH-2.0-x",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS_TO_A_PLAIN_REQUEST.items())
async def test_a_proxy_that_forwards_plain_requests_is_named_where_it_fails(
    answer: bytes, expected: tuple[Fault, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(answer) as it:
        address = f"http://127.0.0.1:{it.port}"
        monkeypatch.setenv("http_proxy", address)
        result = await post(HTTP)
    assert isinstance(result, TransportFailure), result
    assert (result.fault, result.detail.replace(address, "PROXY")) == expected


async def test_a_proxy_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("all_proxy", address)
        async with Transport(HTTPS, proxy_for(HTTPS), connections=1, timeout=0.2) as transport:
            tunnel = await transport.post(HTTPS, {}, BODY)
        async with Transport(HTTP, proxy_for(HTTP), connections=1, timeout=0.2) as transport:
            plain = await transport.post(HTTP, {}, BODY)
    assert isinstance(tunnel, TransportFailure)
    assert tunnel.fault is Fault.PROXY
    assert tunnel.detail == f"the proxy {address} (all_proxy) made no connection to service.example:443 in 0.1 seconds"
    assert isinstance(plain, TransportFailure)
    assert plain.fault is Fault.TIMEOUT
    assert plain.detail.startswith(f"through the proxy {address} (all_proxy): ")


@pytest.mark.parametrize("size", [8300, 65536])
async def test_the_answer_of_a_proxy_to_connect_may_have_large_headers(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(b"HTTP/1.1 503 Busy\r\nX: " + b"a" * size + b"\r\n\r\n") as it:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{it.port}")
        result = await post(HTTPS)
    assert isinstance(result, TransportFailure), result
    assert result.detail.endswith("refuses to connect to service.example:443: 503 Busy")


async def test_a_plain_request_goes_to_the_proxy_with_any_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(b"HTTP/1.1 204 No Content\r\n\r\n") as it:
        monkeypatch.setenv("http_proxy", f"http://me:p€ss@127.0.0.1:{it.port}")
        result = await post(HTTP)
    assert isinstance(result, HttpResponse), result
    assert it.head.startswith(b"POST http://service.example/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode("me:p€ss".encode()) in it.head


async def test_a_request_over_tls_goes_through_a_tunnel(
    tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = tls(tmp_path, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    url = URL(f"https://service.example:{server.sockets[0].getsockname()[1]}/x")
    async with server, proxy() as it:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{it.port}")
        result = await post(url)
    assert isinstance(result, TransportFailure), result
    assert result.fault is Fault.TLS, "the tunnel was made: the certificate is for 127.0.0.1"
    assert result.detail.startswith(f"the certificate of service.example:{url.port} is not for the host name")
