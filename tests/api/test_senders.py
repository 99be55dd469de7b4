"""Sender processes: real ones, and what becomes of attempts when they die, hang or can't be started."""

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

from ingestor.api.endpoint import Endpoint, aidp
from ingestor.api.options import AuthKind, AuthOptions, TargetOptions
from ingestor.api.senders.channel import Attempt, Channel, Message, Replied
from ingestor.api.senders.pool import SenderPool
from ingestor.api.senders.sender import Sender, SenderError
from ingestor.model.errors import CredentialsError
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from tests.api.conftest import Serve

SECRET = "s3cr3t-t0ken"
NOBODY = AuthOptions(kind=AuthKind.NONE)


class Service:
    """Answers each request, or keeps it while it is `held`; counts them by connection and by authorization."""

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
        return web.json_response({"run": {"info": {"run_id": "r-1"}}})

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.waiting < count:  # noqa: ASYNC110 - other processes bring it about
                await asyncio.sleep(0.002)


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Service]:
    service = Service()
    async with serve(service) as base:
        service.endpoint = aidp(endpoint=str(base), platform_id="ocid1.x", workspace="ws")
        yield service
        service.open.set()


def options_of(service: Service, auth: AuthOptions = NOBODY) -> TargetOptions:
    return TargetOptions(endpoint=service.endpoint, auth=auth, connections=1, timeout=30.0)


async def test_attempts_are_spread_over_the_senders(service: Service, job: Job) -> None:
    async with SenderPool(options_of(service), 2) as pool:
        assert len(set(pool.pids)) == 2
        replies = await asyncio.gather(*(pool.create(job, stamped=True) for _ in range(40)))
    assert [reply.run_id for reply in replies] == ["r-1"] * 40
    assert len({reply.opc_client_request_id for reply in replies}) == 40
    assert sorted(service.connections.values()) == [20, 20], "each has one connection, and does half of the work"


async def test_what_a_dying_sender_was_making_is_lost_and_what_comes_after_is_made_by_its_replacement(
    service: Service, job: Job
) -> None:
    async with SenderPool(options_of(service), 1) as pool:
        service.open.clear()
        attempts = [asyncio.ensure_future(pool.create(job, stamped=True)) for _ in range(3)]
        await service.until_waiting(1)
        (victim,) = pool.pids
        os.kill(victim, signal.SIGKILL)
        replies = await asyncio.gather(*attempts)
        assert [(reply.fault, reply.status) for reply in replies] == [(Fault.LOST, None)] * 3
        assert all(reply.opc_client_request_id and reply.latency_ms > 0 for reply in replies)
        service.open.set()
        assert (await pool.create(job, stamped=True)).run_id == "r-1"
        assert victim not in pool.pids
        assert len(pool.pids) == 1


async def test_a_sender_that_shows_no_sign_of_life_is_replaced(service: Service, job: Job) -> None:
    async with SenderPool(options_of(service), 1, patience=0.5) as pool:
        (frozen,) = pool.pids
        os.kill(frozen, signal.SIGSTOP)
        assert (await pool.create(job, stamped=True)).fault is Fault.LOST
        assert (await pool.create(job, stamped=True)).run_id == "r-1"
        assert not is_running(frozen)


async def test_a_sender_that_is_only_slow_is_left_alone(service: Service, job: Job) -> None:
    service.open.clear()
    async with SenderPool(options_of(service), 1, patience=0.1) as pool:
        before = pool.pids
        attempt = asyncio.ensure_future(pool.create(job, stamped=True))
        await asyncio.wait({attempt}, timeout=0.5)
        assert not attempt.done()
        service.open.set()
        assert (await attempt).run_id == "r-1"
        assert pool.pids == before


async def test_an_attempt_that_is_cancelled_leaves_its_sender_fit_for_others(service: Service, job: Job) -> None:
    async with SenderPool(options_of(service), 1) as pool:
        service.open.clear()
        attempt = asyncio.ensure_future(pool.create(job, stamped=True))
        await service.until_waiting(1)
        attempt.cancel()
        await asyncio.wait({attempt})
        service.open.set()
        assert (await pool.create(job, stamped=True)).run_id == "r-1"


async def test_senders_end_with_their_pool(service: Service) -> None:
    async with SenderPool(options_of(service), 2) as pool:
        pids = pool.pids
        assert all(map(is_running, pids))
    assert not any(map(is_running, pids))


async def test_a_sender_that_is_being_ended_is_killed_where_nobody_can_wait_for_it(service: Service) -> None:
    sender = Sender(options_of(service))
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


async def test_credentials_that_are_missing_are_told_before_anything_is_sent(service: Service) -> None:
    pool = SenderPool(options_of(service, AuthOptions(kind=AuthKind.BEARER, bearer_token_file=Path("/nowhere"))), 2)
    with pytest.raises(CredentialsError, match="/nowhere"):
        await pool.__aenter__()
    assert pool.pids == []
    assert service.waiting == 0


async def test_senders_that_cannot_be_started_are_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("ingestor.api.senders.pool._FIRST_PAUSE", 0.0)
    with pytest.raises(SenderError, match="ended while it was being started"):
        await SenderPool(options_of(service), 1).__aenter__()


async def test_attempts_fail_loudly_where_no_sender_can_be_kept_running(
    service: Service, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.api.senders.pool._FIRST_PAUSE", 0.0)
    async with SenderPool(options_of(service), 1) as pool:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(SenderError):
            await until_it_raises(pool, job)


async def test_a_question_is_not_put_again_and_again_to_a_sender_that_just_died(service: Service) -> None:
    async with SenderPool(options_of(service), 1) as pool:
        (sender,) = pool._senders
        sender._gone.set()  # as in the moment in which its end was heard and nobody has cleared it away
        async with asyncio.timeout(60):
            assert (await pool.probe()).status == 200


async def test_senders_that_die_of_every_attempt_are_given_up(
    service: Service, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.api.senders.pool._FIRST_PAUSE", 0.0)
    async with SenderPool(options_of(service), 1) as pool:

        def kill() -> None:
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)

        service.on_request = kill
        with pytest.raises(SenderError, match="5 sender processes died"):
            await until_it_raises(pool, job)
    assert service.waiting == 5


async def test_a_stop_signal_for_the_whole_group_leaves_the_senders_to_their_coordinator(
    service: Service, job: Job
) -> None:
    async with SenderPool(options_of(service), 1) as pool:
        service.open.clear()
        attempt = asyncio.ensure_future(pool.create(job, stamped=True))
        await service.until_waiting(1)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pool.pids[0], number)
        service.open.set()
        assert (await attempt).run_id == "r-1"


async def test_credentials_reach_the_senders_by_no_command_line(service: Service, job: Job) -> None:
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr(SECRET))
    async with SenderPool(options_of(service, auth), 1) as pool:
        assert (await pool.create(job, stamped=True)).run_id == "r-1"
        assert SECRET.encode() not in shown_to_others(pool.pids[0])
    assert service.authorizations == {f"Bearer {SECRET}": 1}


async def test_every_sender_renews_its_credentials(service: Service, job: Job, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    auth = AuthOptions(kind=AuthKind.BEARER, bearer_token_file=file)
    async with SenderPool(options_of(service, auth), 2) as pool:
        file.write_text("new")

        async def renewed() -> bool:
            await pool.renew_credentials()
            service.authorizations.clear()
            await asyncio.gather(*(pool.create(job, stamped=True) for _ in range(8)))
            return service.authorizations == {"Bearer new": 8}

        async with asyncio.timeout(20):
            while not await renewed():  # noqa: ASYNC110 - a renewal of the last five seconds counts as done
                await asyncio.sleep(0.1)


async def until_it_raises(pool: SenderPool, job: Job) -> None:
    """Make attempts, which are lost at first."""
    while True:
        assert (await pool.create(job, stamped=True)).fault is Fault.LOST


def shown_to_others(pid: int) -> bytes:
    """Return what the system tells of a process: how it was called, and its environment."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def is_running(pid: int) -> bool:
    """Whether there is a process with this id that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


REPLIES = st.builds(
    Reply, status=st.integers(100, 599), message=st.text(), run_id=st.none() | st.text(), retry_after=st.floats(0, 1e9)
)
MESSAGES = st.builds(Attempt, st.integers(0), st.text(), st.text(), st.binary()) | st.builds(
    Replied.of, st.integers(0), REPLIES
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


@given(REPLIES)
def test_a_reply_comes_out_as_it_went_in(reply: Reply) -> None:
    assert Replied.of(7, reply).reply() == reply
