"""Answers with large headers, and answers that violate HTTP: from a raw server, with both parsers of aiohttp."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from ingestor.api.options import AuthOptions, TargetOptions, mlflow
from ingestor.api.service import HttpService
from ingestor.api.transport import Transport
from ingestor.api.values import AuthKind
from ingestor.api.wire import HttpResponse, TransportFailure
from ingestor.model.reply import Fault, Presence
from ingestor.model.request import Request

BODY = b'{"run_name":"x"}'
RUN = b'{"run":{"info":{"run_id":"r-1"}}}'
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(RUN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(RUN), RUN)
END = b"\r\n"
Parts = Sequence[bytes]


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[URL]:
    """A server that answers each request with these bytes, in packets of their own; then it closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02 if len(parts) > 1 else 0)
            writer.close()
        except (ConnectionError, asyncio.CancelledError):  # a client need not read on
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", encoded=True)


async def answer_of(*parts: bytes) -> HttpResponse | TransportFailure:
    async with answering(*parts) as url, Transport(url, connections=1, timeout=20) as transport:
        return await transport.post(url, {}, BODY)


@pytest.mark.parametrize(
    "headers",
    [
        b"X: " + b"a" * 8300 + b"\r\n",
        b"X: " + b"a" * 65536 + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (number, b"a" * 128) for number in range(500)),
        b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(8)),
    ],
    ids=["8300", "64 KiB", "500 headers", "64 KiB in total"],
)
async def test_large_headers_are_accepted(headers: bytes) -> None:
    answer = await answer_of(OK + headers + LENGTH + END + RUN)
    assert isinstance(answer, HttpResponse), answer
    assert (answer.status, answer.body) == (200, RUN)


MALFORMED: dict[str, Parts] = {
    "two lengths": (OK + LENGTH + LENGTH + END + RUN,),
    "two different lengths": (OK + LENGTH + b"Content-Length: 7\r\n" + END + RUN,),
    "length and chunks": (OK + LENGTH + CHUNKED + END + CHUNKS,),
    "chunks and length": (OK + CHUNKED + LENGTH + END + CHUNKS,),
    "length in words": (OK + b"Content-Length: many\r\n\r\n",),
    "negative length": (OK + b"Content-Length: -1\r\n\r\n",),
    "length too short": (OK + b"Content-Length: 5\r\n\r\n" + RUN,),
    "status in words": (b"HTTP/1.1 fine OK\r\n" + LENGTH + END + RUN,),
    "status too long": (b"HTTP/1.1 2000 OK\r\n" + LENGTH + END + RUN,),
    "no status": (b"HTTP/1.1\r\n" + LENGTH + END + RUN,),
    "version": (b"HTTP/2 200 OK\r\n" + LENGTH + END + RUN,),
    "zero byte": (OK + b"X: a\0b\r\n" + LENGTH + END + RUN,),
    "space in a name": (OK + b"X y: a\r\n" + LENGTH + END + RUN,),
    "no colon": (OK + b"Xy\r\n" + LENGTH + END + RUN,),
    "chunk size": (OK + CHUNKED + END + b"zz\r\n" + RUN + b"\r\n0\r\n\r\n",),
    "chunk too long": (OK + CHUNKED + END + b"2\r\n" + RUN + b"\r\n0\r\n\r\n",),
    "later chunk size": (OK + CHUNKED + END, b"zz\r\n" + RUN + b"\r\n0\r\n\r\n"),
    "second chunk size": (OK + CHUNKED + END + b"1\r\n{\r\n", b"zz\r\n" + RUN + b"\r\n0\r\n\r\n"),
    "endless header": (OK + b"X: " + b"a" * 200_000 + END + LENGTH + END + RUN,),
    "endless line": (OK + b"x" * 200_000,),
    "too many headers": (OK + b"X: a\r\n" * 2000 + LENGTH + END + RUN,),
}


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED.keys())
async def test_an_answer_that_violates_http_is_malformed_and_its_request_may_have_been_carried_out(
    parts: Parts,
) -> None:
    async with asyncio.timeout(5):  # it does not wait for the time limit of the attempt
        failure = await answer_of(*parts)
    assert isinstance(failure, TransportFailure), failure
    assert failure.fault is Fault.MALFORMED
    assert not failure.fault.sent_nothing
    assert failure.detail.startswith("the service answers, but the answer is malformed: ")
    assert failure.detail.isprintable()
    assert len(failure.detail) < 300


async def test_the_message_quotes_what_violates_http() -> None:
    failure = await answer_of(OK + b"Content-Length: many\r\n\r\n")
    assert isinstance(failure, TransportFailure)
    assert failure.detail.endswith("Invalid character in Content-Length: Content-Length: many")


async def test_a_greeting_of_tls_on_a_plain_connection_leads_to_the_advice_to_use_https() -> None:
    failure = await answer_of(b"\x15\x03\x01\x00\x02\x02\x46")
    assert isinstance(failure, TransportFailure)
    assert failure.fault is Fault.GARBLED
    assert failure.detail.endswith("a port for TLS needs an https address")


async def test_an_answer_that_ends_in_its_headers_shows_none_of_them() -> None:
    failure = await answer_of(OK + b"Set-Cookie: s3cret\r\nX")
    assert isinstance(failure, TransportFailure)
    assert (failure.fault, failure.detail) == (Fault.RESET, "the connection ended before an answer came")


async def test_attempts_look_ups_and_probes_have_the_same_fault(create: Request) -> None:
    async with answering(*MALFORMED["two lengths"]) as url:
        endpoint = mlflow(str(url.origin()))
        options = TargetOptions(endpoint=endpoint, auth=AuthOptions(kind=AuthKind.NONE), connections=1, timeout=20.0)
        async with HttpService(options) as service:
            finding = await service.find("token", "1", _at_once)
            replies = [await service.send(create), await service.probe(), finding.reply]
    assert finding.presence is Presence.UNDECIDED
    assert [reply.fault for reply in replies] == [Fault.MALFORMED] * 3


async def _at_once() -> None:
    """Wait for nothing."""


_PURE = """
import asyncio, sys
from tests.api.test_answers import MALFORMED, answer_of

async def main():
    for name in sys.argv[1:]:
        print(name, (await answer_of(*MALFORMED[name])).fault.name, sep=": ")

asyncio.run(main())
"""


def test_the_parser_in_python_refuses_with_the_same_fault() -> None:
    names = ["length and chunks", "length in words", "status in words", "zero byte", "chunk size", "later chunk size"]
    command = [sys.executable, "-c", _PURE, *names]
    environment = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == [f"{name}: MALFORMED" for name in names], done.stderr
