"""What aiohttp's exceptions mean: the fault of an attempt, and its words.

Where no connection was made, nothing was sent (`unconnected`). Afterwards the request may have been carried out
(`unanswered`). Words never contain a password.
"""

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ingestor.api.proxy import Proxy
from ingestor.api.trust import SYSTEM, Trusted
from ingestor.model.reply import Fault
from ingestor.model.text import one_line

if TYPE_CHECKING:
    from ingestor.api.tls import Certificate

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_CUT = "Response payload is not completed"  # what aiohttp raises where a connection ends inside a body
_POINTER = re.compile(r"(?P<problem>[^\n]+?):?\n\n  (?P<line>b['\"].*['\"])\n  (?P<pointer> *)\^", re.DOTALL)
_START = "HTTP/"
_QUOTED = 80  # characters of an answer that a message quotes
_HANDSHAKE = "It may be a port for plain HTTP, or require another version of TLS or a client certificate"
_BAD_LINE = "Bad status line '"


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed, and why, in one printable line."""

    fault: Fault
    words: str


class Certificates:
    """Looks at certificates that were refused: at each one once, whatever number of connections it refuses.

    `trusted` says why they may be refused.
    """

    def __init__(self, trusted: Trusted) -> None:
        self.trusted = trusted
        self._seen: dict[tuple[str, int], Certificate | None] = {}
        self._looking = asyncio.Lock()

    async def of(self, url: URL, error: ssl.SSLCertVerificationError) -> "Certificate | None":
        """Return the certificate that a server shows, None if that fails. It is refused with this error."""
        from ingestor.api.tls import certificate_of  # noqa: PLC0415 - only a failure needs it

        which = address_of(url), error.verify_code
        async with self._looking:
            if which not in self._seen:
                self._seen[which] = await certificate_of(url.raw_host or "", url.port or 0)
            return self._seen[which]


async def unconnected(error: Exception, url: URL, proxy: Proxy | None, certificates: Certificates) -> Failure:
    """Return why there is no connection to `url`, through `proxy` if there is one. Nothing was sent."""
    if isinstance(error, aiohttp.ClientConnectorError):
        if proxy is None or (error.host, error.port) != (proxy.url.raw_host, proxy.url.port):
            return await _no_connection(error, url, certificates, is_direct=proxy is None)
        failure = await _no_connection(error, proxy.url, certificates)
        return _at(proxy, f"fails: {failure.words}")
    if proxy is None:
        return Failure(Fault.REFUSED, f"cannot connect to {address_of(url)}: {_words(error)}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _at(proxy, _refusal_by_proxy(error, url, proxy))
    return _at(proxy, f"does not connect to {address_of(url)}: {_words_of_tunnel(error)}")


def slow_connection(url: URL, proxy: Proxy | None, seconds: float) -> Failure:
    """Return the failure of an attempt that got no connection in time. Nothing was sent."""
    if proxy is not None:
        return _at(proxy, f"made no connection to {address_of(url)} in {seconds:g} seconds")
    return Failure(Fault.REFUSED, f"no connection to {address_of(url)} was made in {seconds:g} seconds")


def refused_by_proxy(proxy: Proxy) -> Failure:
    """Return the failure of an attempt whose answer is a proxy's 407. Nothing was sent to the service."""
    return _at(proxy, _refused_user(proxy))


def unanswered(error: Exception, url: URL, proxy: Proxy | None = None) -> Failure:
    """Return how an attempt failed after its connection to `url` was made. It may have been carried out.

    A `proxy` has forwarded it, and may be what failed.
    """
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(cause):
        # in TLS 1.3, the server ends the handshake after the client has begun to send
        return _refused_tls(cause, url, SYSTEM)
    failure = _broken(cause if isinstance(cause, ssl.SSLError) else error)
    if proxy is None:
        return failure
    words = f"through the proxy {proxy.display} ({proxy.variable}): {failure.words}"
    return Failure(failure.fault, one_line(words))


def _broken(error: Exception) -> Failure:
    match error:
        case TimeoutError():
            return Failure(Fault.TIMEOUT, "No complete answer came in time.")
        case aiohttp.ClientPayloadError() if str(error).startswith(_CUT):
            return Failure(Fault.GARBLED, "the connection ended before the answer was complete")
        case aiohttp.ClientPayloadError():
            return _malformed(str(error))
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return _refused_by_parser(error.message)
        case aiohttp.ServerDisconnectedError():
            return Failure(Fault.RESET, "the connection ended before an answer came")
        case _:
            return Failure(Fault.RESET, f"the connection broke: {_words(error)}")


def address_of(url: URL) -> str:
    """Return host and port."""
    host = url.raw_host or ""
    return f"[{host}]:{url.port}" if ":" in host else f"{host}:{url.port}"


async def _no_connection(
    error: aiohttp.ClientConnectorError, url: URL, certificates: Certificates, *, is_direct: bool = True
) -> Failure:
    """Return which step to a server failed; where the connection is not direct, a proxy is in between."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(Fault.DNS, f"the host name {url.raw_host} does not resolve: {_words(error.os_error)}")
    if isinstance(error, aiohttp.ClientSSLError):
        certificate, refused = None, error.os_error
        if is_direct and isinstance(refused, ssl.SSLCertVerificationError):
            certificate = await certificates.of(url, refused)
        return _refused_tls(refused, url, certificates.trusted, certificate)
    if url.scheme == "https" and isinstance(error.os_error, ConnectionResetError):
        return Failure(Fault.REFUSED, f"{address_of(url)} closed the connection during the TLS handshake. {_HANDSHAKE}")
    return Failure(Fault.REFUSED, f"cannot connect to {address_of(url)}: {_words(error.os_error)}")


def _refused_tls(error: OSError, url: URL, trusted: Trusted, certificate: "Certificate | None" = None) -> Failure:
    from ingestor.api.tls import reason  # noqa: PLC0415 - only a failure needs it

    return Failure(Fault.TLS, one_line(reason(error, url.raw_host or "", address_of(url), trusted, certificate)))


def _at(proxy: Proxy, words: str) -> Failure:
    return Failure(Fault.PROXY, one_line(f"the proxy {proxy.display} ({proxy.variable}) {words}"))


def _refusal_by_proxy(error: aiohttp.ClientHttpProxyError, url: URL, proxy: Proxy) -> str:
    if error.status == 407:
        return _refused_user(proxy)
    return f"refuses to connect to {address_of(url)}: {error.status} {error.message}"


def _refused_user(proxy: Proxy) -> str:
    if proxy.user is None:
        return f"requires a user and a password (407): write {proxy.variable} as http://USER:PASSWORD@host:port"
    return f"does not accept user and password (407): check them in {proxy.variable}"


def _words_of_tunnel(error: Exception) -> str:
    match error:
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return f"its answer is malformed: {_problem(error.message)}"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection"
        case _:
            return _words(error)


def _refused_by_parser(message: str) -> Failure:
    if not _is_http(message):
        hint = "; a port for TLS needs an https address" if r"b'\x15\x03" in message else ""
        return Failure(Fault.GARBLED, one_line(f"the answer is not HTTP; it begins with {_quoted(message)}{hint}"))
    return _malformed(message)


def _malformed(message: str) -> Failure:
    return Failure(Fault.MALFORMED, one_line(f"the service answers, but the answer is malformed: {_problem(message)}"))


def _is_http(message: str) -> bool:
    """Whether a refused answer began as HTTP: the parser in C points at where it stopped, the other quotes the line."""
    if found := _POINTER.search(message):
        if "Expected HTTP/" not in found["problem"]:
            return True
        stop = len(found["pointer"]) - len("b'")
        return stop > len(_START) or found["line"][2 : 2 + stop] != _START[:stop]
    line = message.partition(_BAD_LINE)[2]
    return not line or line.startswith(_START)


def _problem(message: str) -> str:
    """Return what a parser objects to, without its drawing."""
    found = _POINTER.search(message)
    if found is None:
        text = message.removeprefix("400, message:").strip()[: 2 * _QUOTED]
        return text if " " in text else f"a chunk of its body begins with {text}"
    if "Expected HTTP/" in found["problem"]:
        return (
            _quoted(message)
            if not _is_http(message)
            else f"more follows than its Content-Length says: {_quoted(message)}"
        )
    return f"{found['problem'].strip()}: {_quoted(message)}"


def _quoted(message: str) -> str:
    """Return the line that a parser objects to."""
    found = _POINTER.search(message)
    line = found["line"][2:-1] if found else message.partition(_BAD_LINE)[2].removesuffix("'")
    return line[:_QUOTED]


def _words(error: BaseException) -> str:
    """Return why the operating system or aiohttp failed, each reason once."""
    if isinstance(error, ssl.SSLError):  # its errno is not one of the operating system
        return one_line((getattr(error, "reason", None) or str(error)).replace("_", " ").lower())
    text = str(error)
    numbers = dict.fromkeys(int(number) for number in _ERRNO.findall(text))
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        numbers = {error.errno: None}
    known = [os.strerror(number).lower() for number in numbers]
    return one_line(" and ".join(known) or getattr(error, "strerror", None) or text) or type(error).__name__
