"""`POST /runs`, as its clients see it: over real sockets, friendly and hostile."""

import asyncio
import fcntl
import gzip
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, UnixConnector

from ingestor.model.acceptance import LARGEST
from ingestor.model.errors import UsageError
from ingestor.server.accept import Acceptor
from ingestor.server.access import Access
from ingestor.server.address import Address, TcpAddress, UnixAddress
from ingestor.server.unix_socket import unix_listener
from ingestor.sources.accepted import AcceptedRecords
from ingestor.sources.accepted_spool import AcceptedSpool
from tests.sources.standard_input import texts
from tests.support.records import SCOPE

LINES = {"Content-Type": "application/x-ndjson"}
A, B = b'{"job_id":"a"}\n', b'{"job_id":"b"}\n'
TOKEN = "a-token-of-more-than-16-characters"
ANY_PORT = TcpAddress("127.0.0.1", 0)


class Open:
    """A server that accepts records, its client, and what it has accepted."""

    def __init__(self, folder: Path, closing: AsyncExitStack) -> None:
        self.folder = folder
        self.socket = folder / "accept.sock"
        self.acceptor = Acceptor()
        self._closing = closing

    async def listen(self, address: Address | None = None, *, token: str | None = None) -> str:
        """Listen, and return the URL."""
        address = address or UnixAddress(self.socket)
        server = self.acceptor.server(address, Access(token))
        listening = await self._closing.enter_async_context(server)
        connector = UnixConnector(str(self.socket)) if isinstance(address, UnixAddress) else None
        client = ClientSession(connector=connector, timeout=ClientTimeout(20), auto_decompress=True)
        self.client = await self._closing.enter_async_context(client)
        return "http://localhost/" if isinstance(address, UnixAddress) else listening.url

    def receive(self, **options: Any) -> AcceptedRecords:
        """Let the server accept records."""
        accepted = AcceptedRecords(AcceptedSpool(self.folder, SCOPE, **options), SCOPE)
        self.acceptor.receiver = accepted
        return accepted

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection that ends with the test."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))

        async def close() -> None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

        self._closing.push_async_callback(close)
        return reader, writer

    async def post(
        self, body: Any, headers: Mapping[str, str] = LINES, url: str = "http://localhost/runs"
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Send a body; return status, answer and headers."""
        data = BytesIO(body) if isinstance(body, bytes) else body
        async with self.client.post(url, data=data, headers=headers) as response:
            assert response.content_type == "application/json"
            return response.status, await response.json(), response.headers

    def kept(self) -> list[bytes]:
        """Return the records that are on disk."""
        return texts(AcceptedSpool(self.folder, SCOPE).read())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as closing:
        yield Open(tmp_path, closing)


@pytest.fixture
async def open_server(server: Open) -> Open:
    """Listen on a socket in the file system, and accept records."""
    await server.listen()
    server.receive()
    return server


async def test_good_records_are_on_disk_when_the_answer_comes_and_bad_ones_are_in_it(open_server: Open) -> None:
    status, answer, _ = await open_server.post(A + b"[]\n" + B + b'{"x": 1}')
    assert open_server.kept() == [A.strip(), B.strip()]
    assert (status, answer["accepted"]) == (202, 2)
    assert [it["line"] for it in answer["rejected"]] == [2, 4]
    assert answer["rejected"][1]["reason"].startswith("'x': unknown field")


async def test_lines_and_requests_are_counted_by_what_became_of_them(open_server: Open) -> None:
    await open_server.post(A + b"[1]\n" + B)
    await open_server.post(b"[1]\n[2]\n")
    await open_server.post(A, headers={"Content-Type": "text/plain"})
    await open_server.post(A, url="http://localhost/elsewhere")
    counts = open_server.acceptor.counts
    assert (counts.accepted, counts.rejected) == (2, 3)
    assert counts.requests == {"2xx": 1, "429": 0, "4xx": 3, "5xx": 0}


async def test_one_record_is_accepted_as_json(open_server: Open) -> None:
    record = json.dumps({"job_id": "a", "tags": {"team": "vision"}}, indent=2)
    status, answer, _ = await open_server.post(record, {"Content-Type": "application/json; charset=utf-8"})
    assert (status, answer) == (202, {"accepted": 1, "rejected": []})


async def test_gzip_is_accepted(open_server: Open) -> None:
    status, answer, _ = await open_server.post(gzip.compress(A + B), {**LINES, "Content-Encoding": "gzip"})
    assert (status, answer) == (202, {"accepted": 2, "rejected": []})
    assert open_server.kept() == [A.strip(), B.strip()]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", {"accepted": 0, "rejected": [], "error": "the body has no record"}),
        (b"\n\n", {"accepted": 0, "rejected": [], "error": "the body has no record"}),
    ],
)
async def test_a_body_without_a_record_is_refused(open_server: Open, body: bytes, answer: object) -> None:
    assert (await open_server.post(body))[:2] == (400, answer)


async def test_a_body_without_a_good_record_is_refused_with_the_reasons(open_server: Open) -> None:
    status, answer, _ = await open_server.post(b"[]\nnull\n")
    assert (status, answer["accepted"], answer["error"]) == (400, 0, "no record was accepted")
    assert [it["line"] for it in answer["rejected"]] == [1, 2]
    assert open_server.kept() == []


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({}, 415, "Content-Type"),
        ({"Content-Type": "text/plain"}, 415, "Content-Type: application/x-ndjson"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "--data-binary"),
        ({**LINES, "Content-Encoding": "br"}, 415, "gzip"),
        ({**LINES, "Content-Encoding": "gzip"}, 400, "not valid gzip data"),
    ],
)
async def test_what_can_not_be_read_is_refused_with_advice(
    open_server: Open, headers: Mapping[str, str], status: int, word: str
) -> None:
    async with open_server.client.post(
        "http://localhost/runs", data=A, headers=headers, skip_auto_headers=["Content-Type"]
    ) as response:
        assert response.status == status
        assert word in (await response.json())["error"]


async def test_other_paths_and_methods_are_refused_as_json(open_server: Open) -> None:
    status, answer, _ = await open_server.post(A, url="http://localhost/else")
    assert (status, answer) == (404, {"error": "there is nothing here; see /runs"})
    async with open_server.client.get("http://localhost/runs") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["error"]


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1024 * 1024


@pytest.mark.parametrize("body", [lambda: bytes(LARGEST + 1), lambda: pieces(18)], ids=["with its length", "in chunks"])
async def test_a_body_that_is_too_large_is_refused(open_server: Open, body: Callable[[], Any]) -> None:
    status, answer, headers = await open_server.post(body())
    assert (status, headers["Connection"]) == (413, "close")
    assert answer["error"].startswith("the body has more than 16,777,216 bytes")


async def test_a_small_body_that_becomes_large_is_refused(open_server: Open) -> None:
    body = gzip.compress(bytes(20 * LARGEST), compresslevel=1)
    assert len(body) < LARGEST / 8
    status, answer, _ = await open_server.post(body, {**LINES, "Content-Encoding": "gzip"})
    assert (status, answer["error"].partition(":")[0]) == (413, "the body has more than 16,777,216 bytes")


async def test_a_client_that_waits_before_it_uploads_is_told_to_go_on_or_is_spared_the_upload(
    open_server: Open,
) -> None:
    def request(size: int) -> bytes:
        head = f"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n"
        return head.encode() + b"Content-Type: application/x-ndjson\r\n\r\n"

    reader, writer = await open_server.connect()
    writer.write(request(len(A)))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(A)
    assert (await reader.readline()).startswith(b"HTTP/1.1 202")
    reader, writer = await open_server.connect()
    writer.write(request(LARGEST + 1))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_until_the_state_directory_is_open_clients_are_asked_to_come_back(server: Open) -> None:
    await server.listen()
    status, answer, headers = await server.post(A)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "not accepted yet" in answer["error"]
    server.receive()
    assert (await server.post(A))[0] == 202


async def test_under_back_pressure_clients_are_asked_to_wait(server: Open) -> None:
    await server.listen()
    server.acceptor.receiver = AcceptedRecords(AcceptedSpool(server.folder, SCOPE), SCOPE, most_unfinished=1)
    assert (await server.post(A))[0] == 202
    status, answer, headers = await server.post(B)
    assert (status, headers["Retry-After"]) == (429, "5")
    assert "wait to be sent" in answer["error"]


async def test_a_full_disk_is_named(server: Open) -> None:
    await server.listen()
    server.receive(reserve=2**60)
    status, answer, headers = await server.post(A)
    assert (status, headers["Retry-After"]) == (507, "30")
    assert "disk of the state directory is full" in answer["error"]


async def test_why_records_are_refused_is_known_until_records_are_kept_again(server: Open) -> None:
    await server.listen()
    server.receive(reserve=2**60)
    assert (await server.post(A))[0] == 507
    known = [server.acceptor.counts.refused_because]
    server.receive()
    for body in (b"no record", A):
        await server.post(body)
        known.append(server.acceptor.counts.refused_because)
    assert known == ["the disk of the state directory is full"] * 2 + [None], "the second request writes nothing"


async def test_at_the_end_clients_are_refused_and_their_connections_closed(open_server: Open) -> None:
    assert isinstance(open_server.acceptor.receiver, AcceptedRecords)
    open_server.acceptor.receiver.finish()
    status, answer, headers = await open_server.post(A)
    assert (status, headers["Connection"]) == (503, "close")
    assert "the batch ends" in answer["error"]


async def test_one_connection_takes_many_requests(open_server: Open) -> None:
    reader, writer = await open_server.connect()
    for number in range(10):
        body = b'{"job_id":"%d"}' % number
        head = (
            f"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 202")
        assert json.loads(await reader.readline()) == {"accepted": 1, "rejected": []}


class Impatient(AcceptedRecords):
    @asynccontextmanager
    async def receiving(self, seconds: float) -> AsyncIterator[None]:
        async with super().receiving(seconds / 1000):
            yield


async def test_an_upload_that_takes_too_long_is_refused(server: Open) -> None:
    await server.listen()
    server.acceptor.receiver = Impatient(AcceptedSpool(server.folder, SCOPE), SCOPE)
    reader, writer = await server.connect()
    head = b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head + A)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    assert b"Connection: close" in await reader.read()
    assert server.acceptor.held == 0


async def test_an_upload_that_breaks_off_leaves_nothing_and_harms_nobody(open_server: Open) -> None:
    for _ in range(5):
        _, writer = await open_server.connect()
        head = b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head + A + b'{"job_id')
        await writer.drain()
        writer.close()
    assert (await open_server.post(B))[0] == 202
    assert open_server.kept() == [B.strip()]
    while open_server.acceptor.held:  # noqa: ASYNC110 - the server learns of it later
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"POST /runs HTTP/9.9\r\n\r\n",
        b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /runs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /runs HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"POST /" + b"r" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /runs HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "version", "length", "two lengths", "chunk", "headers", "path", "no host"],
)
async def test_what_is_no_http_is_refused_and_harms_nobody(open_server: Open, request_: bytes) -> None:
    reader, writer = await open_server.connect()
    writer.write(request_)
    assert b" 400 " in await reader.readline()
    assert (await open_server.post(A))[0] == 202
    assert open_server.kept() == [A.strip()]


async def test_all_bodies_together_use_bounded_memory(open_server: Open) -> None:
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b" " * 1024 * 1024
        await gate.wait()
        yield A

    posting = [asyncio.create_task(open_server.post(slow())) for _ in range(6)]
    done, _ = await asyncio.wait(posting, return_when=asyncio.FIRST_COMPLETED)
    assert open_server.acceptor.held <= 2 * LARGEST
    for task in done:
        status, answer, headers = await task
        assert (status, headers["Retry-After"]) == (429, "5")
        assert "large requests" in answer["error"]
    gate.set()
    statuses = [answer[0] for answer in await asyncio.gather(*posting)]
    assert statuses.count(202) >= 2
    assert open_server.acceptor.held == 0


async def test_a_token_is_required_where_one_is_set(server: Open) -> None:
    url = await server.listen(ANY_PORT, token=TOKEN) + "runs"
    server.receive()
    status, answer, headers = await server.post(A, url=url)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Bearer" in answer["error"]
    assert (await server.post(A, {**LINES, "Authorization": f"Bearer {TOKEN}x"}, url))[0] == 401
    status, _, headers = await server.post(A, {**LINES, "Authorization": f"Bearer {TOKEN}"}, url)
    assert (status, "Set-Cookie" in headers) == (202, False)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.com"}, {"Host": "example.com"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_pages_of_other_sites_can_send_nothing(server: Open, headers: Mapping[str, str]) -> None:
    url = await server.listen(ANY_PORT) + "runs"
    server.receive()
    status, answer, _ = await server.post(A, {**LINES, **headers}, url)
    assert status == 403
    assert answer["error"]
    assert server.kept() == []


async def test_the_socket_is_for_user_and_group_and_goes_away_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "accept.sock"
    async with Acceptor().server(UnixAddress(path), Access()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_socket_that_nobody_serves_is_replaced_and_one_that_is_served_is_not(tmp_path: Path) -> None:
    path = tmp_path / "accept.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        async with Acceptor().server(UnixAddress(path), Access()):
            pass
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(UsageError, match="--accept: can't listen on unix:"):
            await Acceptor().server(UnixAddress(path), Access()).__aenter__()
        assert path.is_socket()


async def test_two_processes_that_start_at_the_same_time_do_not_take_the_socket_from_each_other(tmp_path: Path) -> None:
    path = tmp_path / "accept.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as client:
        turn = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(turn, fcntl.LOCK_EX)
        second = asyncio.create_task(asyncio.to_thread(unix_listener, UnixAddress(path)))
        assert await asyncio.wait({second}, timeout=0.05) == (set(), {second})
        path.unlink()
        first.bind(str(path))
        first.listen()
        os.close(turn)
        with pytest.raises(OSError, match="Address already in use"):
            await second
        client.connect(str(path))


async def test_a_lock_that_another_program_holds_on_the_folder_delays_the_start_for_a_short_time_only(
    tmp_path: Path,
) -> None:
    turn = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)
    unix_listener(UnixAddress(tmp_path / "accept.sock"), longest_turn=0.02).socket.close()
    os.close(turn)


@pytest.mark.parametrize("mask", [0o000, 0o077])
async def test_the_mode_of_the_socket_does_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    path, before = tmp_path / "accept.sock", os.umask(mask)
    try:
        async with Acceptor().server(UnixAddress(path), Access()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert os.umask(mask) == mask
    finally:
        os.umask(before)


async def test_a_socket_that_another_process_put_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "accept.sock"
    with socket.socket(socket.AF_UNIX) as other:
        async with Acceptor().server(UnixAddress(path), Access()):
            path.unlink()
            other.bind(str(path))
        assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
async def test_what_is_no_socket_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "accept.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"--accept: can't listen on unix:.*: file exists"):
        await Acceptor().server(UnixAddress(path), Access()).__aenter__()
    assert path.is_symlink() or path.exists()
