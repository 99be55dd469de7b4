"""What is said where TLS fails: real servers with certificates that are wrong in one way each."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from ingestor.api.failures import unanswered
from ingestor.api.transport import Transport
from ingestor.api.wire import HttpResponse, TransportFailure
from ingestor.model.reply import Fault
from tests.support.certificates import DAY, NOW, Certificate, certificate

BODY = b"{}"
PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
ALERT_PROTOCOL_VERSION = b"\x15\x03\x01\x00\x02\x02\x46"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[URL]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield URL(f"https://{host}:{server.sockets[0].getsockname()[1]}/x")


async def failure_at(url: URL) -> TransportFailure:
    async with Transport(url, connections=1, timeout=20) as transport:
        failure = await transport.post(url, {}, BODY)
    assert isinstance(failure, TransportFailure), failure
    assert failure.fault.sent_nothing
    assert "ssl:" not in failure.detail
    assert "…" not in failure.detail
    return failure


async def distrust(shown: Certificate, folder: Path, host: str = "127.0.0.1") -> str:
    """Return what is said about a certificate, with ADDRESS for host and port."""
    async with serving(_answer, shown.context(folder), host) as url:
        failure = await failure_at(url)
    assert failure.fault is Fault.TLS
    return failure.detail.replace(f"{host}:{url.port}", "ADDRESS")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(BODY)
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def saying(words: bytes) -> Talk:
    """Answer the greeting of TLS with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(words)

    return talk


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Certificate], Path]:
    def trust(one: Certificate) -> Path:
        file = tmp_path / "ca.pem"
        file.write_bytes(one.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        return file

    return trust


Trusting = Callable[[Certificate], Path]


async def test_a_certificate_of_a_trusted_authority_is_accepted(tmp_path: Path, trusting: Trusting) -> None:
    root = certificate()
    trusting(root)
    context = certificate(issuer=root).context(tmp_path)
    async with serving(_answer, context) as url, Transport(url, connections=1, timeout=20) as transport:
        answer = await transport.post(url, {}, BODY)
    assert isinstance(answer, HttpResponse), answer


async def test_an_expired_certificate_is_named_with_its_last_day(tmp_path: Path, trusting: Trusting) -> None:
    expired = certificate(ends=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), begins=datetime(2025, 1, 1, tzinfo=UTC))
    trusting(expired)
    assert await distrust(expired, tmp_path) == (
        "the certificate of ADDRESS expired on 2026-01-02 03:04 UTC: renew it on the server, "
        "or set this machine's clock right"
    )


async def test_a_certificate_that_is_not_valid_yet_is_named_with_its_first_day(
    tmp_path: Path, trusting: Trusting
) -> None:
    begins = NOW + DAY
    early = certificate(begins=begins, ends=NOW + 2 * DAY)
    trusting(early)
    assert await distrust(early, tmp_path) == (
        f"the certificate of ADDRESS is not valid before {begins:%Y-%m-%d %H:%M} UTC: set this machine's clock right"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_wrong_host_name_is_shown_with_the_names_in_the_certificate(
    tmp_path: Path, trusting: Trusting, host: str
) -> None:
    other = certificate(("a.example", "*.b.example", "10.0.0.1", "c.example", "d.example", "e.example"))
    trusting(other)
    assert await distrust(other, tmp_path, host) == (
        f"the certificate of ADDRESS is not for the host name {host}. It is for a.example, *.b.example, c.example, "
        "d.example, e.example and 1 more. Check the address"
    )


async def test_a_self_signed_certificate_is_named_with_the_way_to_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert await distrust(certificate(), tmp_path) == (
        "the certificate of ADDRESS is self-signed. If you trust it, put it into a file, and name that file with "
        "--ca-file"
    )


async def test_an_unknown_authority_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert await distrust(certificate(issuer=certificate()), tmp_path) == (
        "the certificate of ADDRESS is signed by an unknown authority: CN=Root. If you trust it, put the certificate "
        "of that authority into a file, and name that file with --ca-file"
    )


async def test_another_authority_of_the_same_name_is_unknown(tmp_path: Path, trusting: Trusting) -> None:
    file = trusting(certificate())
    said = await distrust(certificate(issuer=certificate()), tmp_path)
    assert said == (
        f"the certificate of ADDRESS is signed by an unknown authority: CN=Root. SSL_CERT_FILE names {file}, which "
        "does not hold the certificate of that authority"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        (b" \n", "is empty"),
        (b"no certificate", "holds no certificate in PEM form"),
        ("directory", "cannot be read: Is a directory"),
    ],
)
async def test_a_file_of_certificates_that_is_unusable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | str | None, problem: str
) -> None:
    file = tmp_path / "trusted.pem"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    said = await distrust(certificate(), tmp_path)
    assert said.endswith(f"is self-signed. SSL_CERT_FILE names {file}, which {problem}")


async def test_plain_http_on_the_port_is_recognized() -> None:
    async with serving(saying(PLAIN)) as url:
        failure = await failure_at(url)
    assert failure.fault is Fault.TLS
    assert failure.detail == (
        f"127.0.0.1:{url.port} does not answer in TLS: is it a port for plain HTTP? "
        "Check scheme and port of the address"
    )


async def test_a_server_without_a_common_version_of_tls_is_recognized() -> None:
    async with serving(saying(ALERT_PROTOCOL_VERSION)) as url:
        failure = await failure_at(url)
    assert failure.fault is Fault.TLS
    assert failure.detail.startswith(f"127.0.0.1:{url.port} offers no version of TLS that is allowed")


@contextmanager
def requiring_a_certificate(folder: Path, shown: Certificate, version: ssl.TLSVersion) -> Iterator[URL]:
    """A server that wants a client certificate; it reads on after its refusal, so that the alert arrives."""
    context = shown.context(folder)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    context.load_verify_locations(folder / "server.pem")

    def refuse() -> None:
        connection, _ = listening.accept()
        with connection.dup() as raw:
            with suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1000):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse)
        thread.start()
        yield URL(f"https://127.0.0.1:{listening.getsockname()[1]}/x")
        thread.join()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (ssl.TLSVersion.TLSv1_3, "requires a client certificate, which is not supported"),
        (ssl.TLSVersion.TLSv1_2, "it may require a client certificate, which is not supported"),
    ],
)
async def test_a_server_that_requires_a_client_certificate_is_named(
    tmp_path: Path, trusting: Trusting, version: ssl.TLSVersion, words: str
) -> None:
    shown = certificate()
    trusting(shown)
    with requiring_a_certificate(tmp_path, shown, version) as url:
        failure = await failure_at(url)
    assert failure.fault is Fault.TLS
    assert words in failure.detail
    assert f"127.0.0.1:{url.port}" in failure.detail


def test_an_error_of_tls_in_an_answer_is_no_error_of_the_operating_system() -> None:
    error = aiohttp.ClientOSError(1, "[SSL: SSLV3_ALERT_BAD_RECORD_MAC]")
    error.__cause__ = ssl.SSLError(1, "[SSL: SSLV3_ALERT_BAD_RECORD_MAC] sslv3 alert bad record mac")
    failure = unanswered(error, URL("https://h.example"))
    assert failure.fault is Fault.RESET
    assert "alert bad record mac" in failure.words
    assert "not permitted" not in failure.words


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.parametrize("talk", [_close, _reset])
async def test_a_connection_that_ends_in_the_handshake_may_mean_that_the_service_is_down(talk: Talk) -> None:
    async with serving(talk) as url:
        failure = await failure_at(url)
    assert failure.fault is Fault.REFUSED
    assert failure.detail.startswith(f"127.0.0.1:{url.port} closed the connection during the TLS handshake.")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_refused_connection_names_address_and_reason_once(host: str, scheme: str) -> None:
    failure = await failure_at(URL(f"{scheme}://{host}:1/x"))
    assert failure.fault is Fault.REFUSED
    assert failure.detail == f"cannot connect to {host}:1: connection refused"


async def test_a_certificate_that_refuses_many_connections_is_looked_at_once(
    tmp_path: Path, trusting: Trusting
) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1  # after a handshake that succeeds: a look verifies nothing
        await reader.read()

    trusting(certificate())
    async with (
        serving(count, certificate().context(tmp_path)) as url,
        Transport(url, connections=4, timeout=20) as transport,
    ):
        failures = await asyncio.gather(*(transport.post(url, {}, BODY) for _ in range(12)))
    assert {it.detail.partition(" is ")[2] for it in failures if isinstance(it, TransportFailure)} == {
        f"self-signed. SSL_CERT_FILE names {tmp_path}/ca.pem, which does not hold it"
    }
    assert len(failures) == 12
    assert connections == 1
