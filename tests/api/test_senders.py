"""Real sender processes, and what happens to attempts when they die, hang or can't be started."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingestor.api.options import AuthOptions, Endpoint, TargetOptions, aidp
from ingestor.api.sender_channel import Attempt, Channel, Message, Replied
from ingestor.api.senders import Sender, SenderError, SenderPool
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from tests.api.conftest import Serve

SECRET = "s3cr3t-t0ken"
NOBODY = AuthOptions(kind=AuthKind.NONE)


class Server:
    """Answers each request once it is `open`; counts requests by connection and by authorization."""

    def __init__(self) -> None:
        self.endpoint: Endpoint
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0
        self.on_request: Callable[[], object] = lambda: None
        self.connections = Counter[object]()
        self.authorizations = Counter[str]()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        self.connections[request.transport.get_extra_info("peername")] += 1
        self.authorizations[request.headers.get("authorization", "")] += 1
        self.waiting += 1
        self.on_request()
        await self.open.wait()
        return web.json_response({"run": {"info": {"run_id": "r-1"}}, "experiments": []})

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.waiting < count:  # noqa: ASYNC110 - it depends on other processes
                await asyncio.sleep(0.002)


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[Server]:
    server = Server()
    async with serve(server) as base:
        server.endpoint = aidp(endpoint=str(base), platform_id="ocid1.x", workspace="ws")
        yield server
        server.open.set()


def options_of(server: Server, auth: AuthOptions = NOBODY) -> TargetOptions:
    return TargetOptions(endpoint=server.endpoint, auth=auth, connections=1, timeout=30.0)


def pids_of(pool: SenderPool) -> list[int]:
    """Return the processes that make attempts now."""
    return [sender.pid for sender in pool._alive if sender.pid is not None]


async def test_attempts_are_spread_over_the_senders(server: Server, create: Request) -> None:
    async with SenderPool(options_of(server), 2) as pool:
        assert len(set(pids_of(pool))) == 2
        replies = await asyncio.gather(*(pool.send(create) for _ in range(40)))
        assert [sender._replies for sender in pool._senders] == [20, 20], "each does half of the work"
    assert [reply.run_id for reply in replies] == ["r-1"] * 40
    assert len({reply.opc_client_request_id for reply in replies}) == 40
    assert len(server.connections) <= 4, "each has one connection, and one to spare for probes"


async def test_attempts_of_a_dying_sender_are_lost_and_later_ones_are_made_by_its_replacement(
    server: Server, create: Request
) -> None:
    async with SenderPool(options_of(server), 1) as pool:
        server.open.clear()
        attempts = [asyncio.ensure_future(pool.send(create)) for _ in range(3)]
        await server.until_waiting(1)
        (victim,) = pids_of(pool)
        os.kill(victim, signal.SIGKILL)
        replies = await asyncio.gather(*attempts)
        assert [(reply.fault, reply.status) for reply in replies] == [(Fault.LOST, None)] * 3
        assert all(reply.opc_client_request_id and reply.latency_ms > 0 for reply in replies)
        server.open.set()
        assert (await pool.send(create)).run_id == "r-1"
        assert victim not in pids_of(pool)
        assert len(pids_of(pool)) == 1


async def test_a_sender_that_does_not_answer_pings_is_replaced(server: Server, create: Request) -> None:
    async with SenderPool(options_of(server), 1, ping_timeout=0.5) as pool:
        (frozen,) = pids_of(pool)
        os.kill(frozen, signal.SIGSTOP)
        assert (await pool.send(create)).fault is Fault.LOST
        assert (await pool.send(create)).run_id == "r-1"
        assert not is_running(frozen)


async def test_a_sender_that_is_only_slow_is_not_replaced(server: Server, create: Request) -> None:
    server.open.clear()
    async with SenderPool(options_of(server), 1, ping_timeout=0.1) as pool:
        before = pids_of(pool)
        attempt = asyncio.ensure_future(pool.send(create))
        await asyncio.wait({attempt}, timeout=0.5)
        assert not attempt.done()
        server.open.set()
        assert (await attempt).run_id == "r-1"
        assert pids_of(pool) == before


async def test_a_cancelled_attempt_does_not_disturb_its_sender(server: Server, create: Request) -> None:
    async with SenderPool(options_of(server), 1) as pool:
        server.open.clear()
        attempt = asyncio.ensure_future(pool.send(create))
        await server.until_waiting(1)
        attempt.cancel()
        await asyncio.wait({attempt})
        server.open.set()
        assert (await pool.send(create)).run_id == "r-1"


async def test_a_cancelled_attempt_frees_the_connection_of_its_sender(server: Server, create: Request) -> None:
    """The sender has two connections. Were one still in use after a cancellation, the last attempts would wait."""
    async with SenderPool(options_of(server), 1) as pool:
        server.open.clear()
        for number in range(1, 6):
            attempt = asyncio.ensure_future(pool.send(create))
            await server.until_waiting(number)
            attempt.cancel()
            await asyncio.wait({attempt})
        server.open.set()
        async with asyncio.timeout(20):
            assert (await pool.send(create)).run_id == "r-1"


async def test_senders_end_with_their_pool(server: Server) -> None:
    async with SenderPool(options_of(server), 2) as pool:
        pids = pids_of(pool)
        assert all(map(is_running, pids))
    assert not any(map(is_running, pids))


async def test_a_sender_is_killed_where_its_closing_is_cancelled(server: Server) -> None:
    sender = Sender(options_of(server))
    await sender.start()
    frozen = sender.pid
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    ending = asyncio.create_task(sender.close())
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait({ending})
    assert ending.cancelled()
    assert not is_running(frozen)


async def test_missing_credentials_are_reported_before_anything_is_sent(server: Server) -> None:
    pool = SenderPool(options_of(server, AuthOptions(kind=AuthKind.BEARER, bearer_token_file=Path("/nowhere"))), 2)
    with pytest.raises(CredentialsError, match="/nowhere"):
        await pool.__aenter__()
    assert pids_of(pool) == []
    assert server.waiting == 0


async def test_senders_that_can_not_be_started_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("ingestor.api.senders._FIRST_PAUSE", 0.0)
    with pytest.raises(SenderError, match="ended during its start"):
        await SenderPool(options_of(server), 1).__aenter__()


async def test_attempts_raise_where_no_sender_can_be_kept_running(
    server: Server, create: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.api.senders._FIRST_PAUSE", 0.0)
    async with SenderPool(options_of(server), 1) as pool:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        os.kill(pids_of(pool)[0], signal.SIGKILL)
        with pytest.raises(SenderError):
            await until_it_raises(pool, create)


async def test_a_probe_is_not_sent_to_a_sender_that_has_just_died(server: Server) -> None:
    async with SenderPool(options_of(server), 1) as pool:
        (sender,) = pool._senders
        sender._gone.set()  # as after its end and before the pool removes it
        async with asyncio.timeout(60):
            assert (await pool.probe()).status == 200


async def test_senders_that_die_of_every_attempt_are_given_up(
    server: Server, create: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.api.senders._FIRST_PAUSE", 0.0)
    async with SenderPool(options_of(server), 1) as pool:

        def kill() -> None:
            for pid in pids_of(pool):
                os.kill(pid, signal.SIGKILL)

        server.on_request = kill
        with pytest.raises(SenderError, match="5 sender processes in a row crashed"):
            await until_it_raises(pool, create)
    assert server.waiting == 5


async def test_senders_that_die_of_every_probe_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestor.api.senders._FIRST_PAUSE", 0.0)
    async with SenderPool(options_of(server), 1) as pool:

        def kill() -> None:
            for pid in pids_of(pool):
                os.kill(pid, signal.SIGKILL)

        server.on_request = kill
        with pytest.raises(SenderError, match="5 sender processes in a row crashed"):
            await pool.probe()


async def test_a_probe_is_sent_again_where_its_sender_died(server: Server) -> None:
    async with SenderPool(options_of(server), 1) as pool:
        server.open.clear()
        probe = asyncio.ensure_future(pool.probe())
        await server.until_waiting(1)
        os.kill(pids_of(pool)[0], signal.SIGKILL)
        server.open.set()
        assert (await probe).status == 200


async def test_senders_ignore_a_stop_signal_for_the_whole_group(server: Server, create: Request) -> None:
    async with SenderPool(options_of(server), 1) as pool:
        server.open.clear()
        attempt = asyncio.ensure_future(pool.send(create))
        await server.until_waiting(1)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pids_of(pool)[0], number)
        server.open.set()
        assert (await attempt).run_id == "r-1"


async def test_credentials_are_not_in_a_senders_command_line_or_environment(server: Server, create: Request) -> None:
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr(SECRET))
    async with SenderPool(options_of(server, auth), 1) as pool:
        assert (await pool.send(create)).run_id == "r-1"
        assert SECRET.encode() not in shown_to_others(pids_of(pool)[0])
    assert server.authorizations == {f"Bearer {SECRET}": 1}


async def test_every_sender_renews_its_credentials(server: Server, create: Request, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token_file=file)
    async with SenderPool(options_of(server, auth), 2) as pool:
        file.write_text("new")

        async def renewed() -> bool:
            await pool.renew_credentials()
            server.authorizations.clear()
            await asyncio.gather(*(pool.send(create) for _ in range(8)))
            return server.authorizations == {"Bearer new": 8}

        async with asyncio.timeout(20):
            while not await renewed():  # noqa: ASYNC110 - a renewal of the last five seconds counts as done
                await asyncio.sleep(0.1)


async def until_it_raises(pool: SenderPool, create: Request) -> None:
    """Make attempts until one raises; all others are lost."""
    while True:
        assert (await pool.send(create)).fault is Fault.LOST


def shown_to_others(pid: int) -> bytes:
    """Return a process's command line and environment, as the system shows them."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def is_running(pid: int) -> bool:
    """Whether a process with this id exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Wire(asyncio.Transport):
    """Keeps the bytes that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


REPLIES = st.builds(
    Reply, status=st.integers(100, 599), message=st.text(), run_id=st.none() | st.text(), retry_after=st.floats(0, 1e9)
)
REQUESTS = st.builds(Request, st.sampled_from(Operation), st.binary(), st.none() | st.text())
MESSAGES = st.tuples(
    st.integers(0), st.builds(Attempt.of, st.text(), REQUESTS) | st.builds(Replied.of, REPLIES, st.binary())
)


@given(st.lists(st.lists(MESSAGES, min_size=1), max_size=5), st.lists(st.integers(1, 40)))
def test_messages_arrive_whole_and_in_order_however_the_socket_cuts_them(
    turns: list[list[Message]], cuts: list[int]
) -> None:
    async def sent() -> bytes:
        wire, channel = Wire(), Channel(lambda message: None, lambda: None)
        channel.connection_made(wire)
        for turn in turns:
            for message in turn:
                channel.send(message)
            await asyncio.sleep(0)
        return bytes(wire.written)

    came: list[Message] = []
    stream, reader = asyncio.run(sent()), Channel(came.append, lambda: None)
    for cut in cuts:
        reader.data_received(stream[:cut])
        stream = stream[cut:]
    reader.data_received(stream)
    assert came == [message for turn in turns for message in turn]


@given(REPLIES, REQUESTS)
def test_replies_and_requests_are_unpacked_as_they_were_packed(reply: Reply, sent: Request) -> None:
    assert Replied.of(reply, b"").reply() == reply
    assert Attempt.of("id", sent).request() == sent
