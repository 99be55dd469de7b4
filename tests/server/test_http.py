"""The HTTP server, over real sockets: what it refuses, what it bounds, and how it ends."""

import asyncio
import resource
import socket
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingestor.model.errors import UsageError
from ingestor.server.access import Access
from ingestor.server.address import TcpAddress, UnixAddress
from ingestor.server.connection import Limits
from ingestor.server.http import HttpServer
from ingestor.server.messages import Request, Response, Route
from tests.server.client import ask, connect, exchange, parse

TOKEN = "a-token-that-nobody-guesses"
LOOPBACK = TcpAddress("127.0.0.1", 0)


async def hello(request: Request) -> Response:
    return Response(body=f"hello {request.query.get('name', 'you')}".encode())


async def fail(_request: Request) -> Response:
    raise RuntimeError("a secret of the program")


async def upload(request: Request) -> Response:
    body = b"".join([piece async for piece in request.pieces()])
    return Response(body=str(len(body)).encode())


async def hang(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


ROUTES = {
    "/": Route(handler=hello),
    "/open": Route(handler=hello, is_open=True),
    "/fail": Route(handler=fail, is_open=True),
    "/upload": Route(handler=upload, methods=frozenset({"POST"}), is_open=True),
    "/hang": Route(handler=hang, is_open=True),
}


@asynccontextmanager
async def serving(
    access: Access | None = None,
    routes: Mapping[str, Route] = ROUTES,
    names: frozenset[str] = frozenset(),
    limits: Limits | None = None,
) -> AsyncIterator[str]:
    async with HttpServer(LOOPBACK, routes, access or Access(), names=names, limits=limits) as server:
        yield server.url


async def test_a_route_answers_and_every_answer_has_the_headers_that_keep_other_sites_away() -> None:
    async with serving() as url:
        for target in ("/?name=a%20b", "/missing", "/fail"):
            answer = await ask(url, target)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert answer.headers["server"] == "ingestor"
        assert (await ask(url, "/?name=a%20b")).body == "hello a b"
        assert (await ask(url, "/missing")).status == 404


async def test_only_get_and_head_are_allowed_unless_a_route_says_otherwise() -> None:
    async with serving() as url:
        head = await ask(url, "/", "HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, "", "9")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            refused = await ask(url, "/", method)
            assert refused.status == 405
            assert refused.headers["allow"] == "GET, HEAD"
        assert (await ask(url, "/upload")).status == 405


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9464", "[::1]", "x.localhost", "named.example.com:1"])
async def test_own_hosts_are_answered(host: str) -> None:
    async with serving(names=frozenset({"named.example.com"})) as url:
        assert (await ask(url, host=host)).status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "named.example.com.evil.com", "evil.com:9464", ""])
async def test_a_foreign_host_is_refused_as_dns_rebinding_even_with_the_token(host: str) -> None:
    async with serving(Access(TOKEN), names=frozenset({"named.example.com"})) as url:
        for target in ("/", "/open"):
            refused = await ask(url, target, host=host, Authorization=f"Bearer {TOKEN}")
            assert refused.status == 403
            assert "--listen-name" in refused.body


async def test_two_hosts_are_not_http() -> None:
    async with serving() as url:
        data = await exchange(url, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example.com\r\n\r\n")
        assert parse(data).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example.com"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe"},
    ],
)
async def test_what_a_page_of_another_site_makes_a_browser_send_is_refused(headers: dict[str, str]) -> None:
    async with serving() as url:
        assert (await ask(url, **headers)).status == 403


async def test_own_pages_and_links_of_other_sites_are_answered() -> None:
    async with serving() as url:
        assert (await ask(url, Sec_Fetch_Site="same-origin", Origin=url.rstrip("/"))).status == 200
        assert (await ask(url, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")).status == 200


async def test_a_token_opens_what_is_protected_and_the_cookie_after_it() -> None:
    async with serving(Access(TOKEN)) as url:
        refused = await ask(url)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await ask(url, f"/?token={TOKEN}")).status == 401, "never in a query"
        assert (await ask(url, "/open")).status == 200
        admitted = await ask(url, Authorization=f"Bearer {TOKEN}")
        assert admitted.status == 200
        cookie = admitted.headers["set-cookie"].partition(";")[0]
        assert (await ask(url, Cookie=cookie)).status == 200
        assert "set-cookie" not in (await ask(url, Cookie=cookie)).headers
        assert "set-cookie" not in refused.headers


async def test_where_a_token_is_required_and_none_is_set_the_answer_says_so() -> None:
    async with serving(Access(required=True)) as url:
        refused = await ask(url, Authorization=f"Bearer {TOKEN}")
        assert refused.status == 403
        assert "none is set" in refused.body
        assert (await ask(url, "/open")).status == 200


async def test_a_fault_of_a_handler_shows_nothing_of_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    async with serving() as url:
        answer = await ask(url, "/fail")
        assert (answer.status, "secret" in answer.body) == (500, False)
        assert (await ask(url)).status == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"<script>alert(1)</script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_without_a_word_of_it(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async with serving() as url:
        answer = parse(await exchange(url, data))
        assert (answer.status, answer.body) == (400, "Bad Request\n")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert capfd.readouterr() == ("", "")


async def test_a_client_that_never_ends_its_request_is_closed_after_its_time() -> None:
    async with serving(limits=Limits(request_seconds=0.2, idle_seconds=600)) as url:
        for beginning in (b"", b"GET / HTTP/1.1\r\nHost: ", b"POST /upload HTTP/1.1\r\nContent-Length: 9\r\n\r\nxx"):
            reader, writer = await connect(url)
            writer.write(beginning)
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    await reader.read()
            writer.close()


async def test_a_client_that_does_not_read_its_answer_is_closed_after_its_time() -> None:
    async def large(_request: Request) -> Response:
        return Response(body=b"x" * 50_000_000)

    limits = Limits(request_seconds=0.2, idle_seconds=0.1)
    async with HttpServer(LOOPBACK, {"/": Route(handler=large)}, Access(), limits=limits) as server:
        reader, writer = await connect(server.url)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readline()
            while True:
                await asyncio.sleep(0.01)
                if not server._connections:
                    break
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(50_000_000)
        writer.close()


async def test_idle_connections_give_way_to_a_new_one_and_never_lock_it_out() -> None:
    async with serving(limits=Limits(connections=4)) as url:
        idle = [await connect(url) for _ in range(20)]
        assert (await ask(url)).status == 200
        async with asyncio.timeout(10):
            closed = await asyncio.gather(*[_is_closed(reader) for reader, _ in idle[:16]])
        assert all(closed), "the oldest ones were closed"
        for _, writer in idle:
            writer.close()


async def test_of_many_clients_that_come_at_once_as_many_are_closed_as_there_are_too_many() -> None:
    async with serving(limits=Limits(connections=4)) as url:
        address = urlsplit(url)
        clients = [
            socket.create_connection((address.hostname, address.port)) for _ in range(20)
        ]  # before the loop turns
        assert (await ask(url)).status == 200
        assert [_is_closed_now(client) for client in clients] == [True] * 17 + [False] * 3


def _is_closed_now(client: socket.socket) -> bool:
    with client:
        client.setblocking(False)
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


async def test_clients_leave_most_of_the_open_files_to_the_batch() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 2 * _open_files() + 200  # other tests of this process may keep some open
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    idle = []
    try:
        async with serving(limits=Limits(connections=1000)) as url:
            for _ in range(few // 4 + 10):
                idle.append(await connect(url))  # noqa: PERF401 - those before a failure are closed too
            assert (await ask(url)).status == 200
            async with asyncio.timeout(10):
                closed = await asyncio.gather(*[_is_closed(reader) for reader, _ in idle[:10]])
            assert all(closed), "clients keep a quarter of them"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for _, writer in idle:
            writer.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_requests_in_progress_are_not_closed_for_a_new_client() -> None:
    arrived = asyncio.Semaphore(0)
    go = asyncio.Event()

    async def slow(_request: Request) -> Response:
        arrived.release()
        await go.wait()
        return Response(body=b"done")

    async with serving(routes={"/": Route(handler=slow)}, limits=Limits(connections=3)) as url:
        asked = [asyncio.create_task(ask(url)) for _ in range(3)]
        for _ in asked:
            await arrived.acquire()
        reader, writer = await connect(url)
        assert await _is_closed(reader), "there is no room for it"
        writer.close()
        go.set()
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 3


async def test_it_ends_within_two_seconds_whatever_clients_do() -> None:
    async with serving() as url:
        connections = [await connect(url) for _ in range(5)]
        connections[1][1].write(b"GET /hang HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        connections[2][1].write(b"GET / HTTP/1.1\r\n")
        connections[3][1].write(b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nx")
        connections[4][1].write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await connections[4][0].readline()
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    for _, writer in connections:
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(url)


async def test_an_address_in_use_is_an_error_of_the_user_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--listen: can't listen on 127.0.0.1:{port}: address already in use"):
            async with HttpServer(TcpAddress("127.0.0.1", port), ROUTES, Access()):
                pass


async def test_a_socket_in_the_file_system_is_for_the_group_takes_any_host_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with HttpServer(UnixAddress(path), ROUTES, Access()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nHost: anything.example\r\nConnection: close\r\n\r\n")
        assert parse(await reader.read()).body == "hello you"
        writer.close()
    assert not path.exists()


async def test_the_socket_of_a_killed_process_is_replaced_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with HttpServer(UnixAddress(path), ROUTES, Access()):
        with pytest.raises(UsageError, match="address already in use"):
            async with HttpServer(UnixAddress(path), ROUTES, Access()):
                pass
    path.write_text("a file of the user")
    with pytest.raises(UsageError, match="file exists"):
        async with HttpServer(UnixAddress(path), ROUTES, Access()):
            pass
    assert path.read_text() == "a file of the user"
