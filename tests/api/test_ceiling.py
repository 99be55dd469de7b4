"""The ceiling where requests leave: counted for all processes, right before the first byte."""

import asyncio
import fcntl
import os
import sys
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from subprocess import PIPE, Popen

import pytest
from aiohttp import web

from ingestor.api.ceiling import Ceiling
from ingestor.api.options import AuthOptions, TargetOptions, mlflow
from ingestor.api.senders import SenderPool
from ingestor.api.service import HttpService
from ingestor.api.transport import Transport
from ingestor.api.values import AuthKind
from ingestor.api.wire import HttpResponse, TransportFailure
from ingestor.model.reply import Fault, Presence
from ingestor.model.request import Request
from ingestor.policy.ceiling import TOLERANCE
from tests.api.conftest import Clock, Serve

NOBODY = AuthOptions(kind=AuthKind.NONE)


@pytest.fixture
def ceiling_of(clock: Clock) -> Iterator[Callable[[float], Ceiling]]:
    opened: list[Ceiling] = []

    def make(limit: float) -> Ceiling:
        opened.append(Ceiling(limit, now=clock).__enter__())
        return opened[-1]

    yield make
    for ceiling in opened:
        ceiling.__exit__()


CeilingOf = Callable[[float], Ceiling]


@pytest.mark.parametrize("limit", [1.0, 10.0, 20.0, 45.0, 100.0, 400.0])
@pytest.mark.parametrize("step", [0.0001, 0.003, 0.06])
def test_no_second_has_more_than_the_ceiling_and_five_percent(
    ceiling_of: CeilingOf, clock: Clock, limit: float, step: float
) -> None:
    ceiling, left = ceiling_of(limit), list[float]()
    for _ in range(int(4 / step)):
        if ceiling.admit():
            left.append(clock.time)
        clock.time += step
    most = max(bisect_left(left, start + 1.0) - number for number, start in enumerate(left))
    assert most <= max(limit, 1.05 * limit)
    assert len(left) >= 0.8 * 4 * min(limit, 1 / step)


def test_a_pause_saves_nothing_up(ceiling_of: CeilingOf, clock: Clock) -> None:
    ceiling = ceiling_of(100.0)
    assert ceiling.admit()
    clock.time += 3600.0
    assert sum(ceiling.admit() for _ in range(1000)) <= 4


def test_processes_share_one_count(ceiling_of: CeilingOf, clock: Clock) -> None:
    one = ceiling_of(20.0)
    others = [Ceiling(20.0, os.dup(one.descriptor), clock) for _ in range(3)]
    admitted = [ceiling.admit() for _ in range(5) for ceiling in (one, *others)]
    for ceiling in others:
        ceiling.__exit__()
    assert sum(admitted) == 1


def test_a_process_that_stands_still_with_the_lock_lets_nobody_wait(ceiling_of: CeilingOf) -> None:
    """The next request tries again; the lock ends with the process."""
    ceiling = ceiling_of(20.0)
    hold = f"import fcntl; fcntl.lockf({ceiling.descriptor}, fcntl.LOCK_EX); print(flush=True); input()"
    with Popen([sys.executable, "-c", hold], stdin=PIPE, stdout=PIPE, pass_fds=(ceiling.descriptor,)) as other:
        assert other.stdout is not None
        other.stdout.readline()
        begun = time.monotonic()
        assert not ceiling.admit()
        assert time.monotonic() - begun < 5.0
        other.kill()
    fcntl.lockf(ceiling.descriptor, fcntl.LOCK_EX)
    assert ceiling.admit()


class Arrivals:
    """A server that records when requests come."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.connections: set[object] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.at.append(time.monotonic())
        await request.read()
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        return web.json_response({"run": {"info": {"run_id": "r-1"}}} if "create" in request.path else {})


@pytest.fixture
async def arrivals(serve: Serve) -> AsyncIterator[tuple[Arrivals, str]]:
    it = Arrivals()
    async with serve(it) as base:
        yield it, str(base)


async def test_requests_whose_connections_open_at_once_do_not_leave_at_once(serve: Serve) -> None:
    it = Arrivals()
    async with serve(it) as base:
        with Ceiling(100.0) as ceiling:
            async with Transport(base, connections=60, timeout=20, ceiling=ceiling) as transport:
                replies = await asyncio.gather(*(transport.post(base, {}, b"{}") for _ in range(60)))
    answered = [reply for reply in replies if isinstance(reply, HttpResponse)]
    held = [reply.fault for reply in replies if isinstance(reply, TransportFailure)]
    assert set(held) == {Fault.HELD}
    assert len(answered) == len(it.at)
    duration = it.at[-1] - it.at[0]
    assert len(it.at) <= 100 * 1.05 * (duration + 0.03) + 1


async def test_a_request_that_is_held_leaves_its_connection_to_others(serve: Serve) -> None:
    it = Arrivals()
    async with serve(it) as base:
        with Ceiling(5.0) as ceiling:
            async with Transport(base, connections=1, timeout=20, ceiling=ceiling) as transport:
                async with asyncio.timeout(20):
                    while len(it.at) < 3:
                        await transport.post(base, {}, b"{}")
    assert len(it.connections) == 1
    assert all(later - sooner >= 0.15 for sooner, later in pairwise(it.at))


class Standstill(Ceiling):
    """Admits one request, and stops this process for a moment then."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.asked = 0

    def admit(self) -> bool:
        self.asked += 1
        time.sleep(2 * TOLERANCE)
        return self.asked == 1


async def test_a_request_asks_again_after_a_standstill_between_the_ceiling_and_its_first_byte(serve: Serve) -> None:
    it, ceiling = Arrivals(), Standstill()
    async with serve(it) as base, Transport(base, connections=1, timeout=20, ceiling=ceiling) as transport:
        reply = await transport.post(base, {}, b"{}")
    assert isinstance(reply, TransportFailure)
    assert reply.fault is Fault.HELD
    assert ceiling.asked == 2
    assert it.at == []


async def test_every_kind_of_request_asks_the_ceiling(arrivals: tuple[Arrivals, str], create: Request) -> None:
    it, base = arrivals
    options = TargetOptions(endpoint=mlflow(base), auth=NOBODY, connections=4, timeout=20.0, rate=0.001)
    async with HttpService(options) as service:
        assert (await service.probe()).status == 200
        for reply in (await service.send(create), await service.probe()):
            assert (reply.fault, reply.status) == (Fault.HELD, None)
    assert len(it.at) == 1


async def test_a_look_up_that_is_held_is_paced_again(arrivals: tuple[Arrivals, str]) -> None:
    it, base = arrivals
    paced: list[float] = []

    async def pace() -> None:
        paced.append(time.monotonic())
        await asyncio.sleep(0.02)

    options = TargetOptions(endpoint=mlflow(base), auth=NOBODY, connections=4, timeout=20.0, rate=5.0)
    async with HttpService(options) as service:
        await service.probe()
        finding = await service.find("token", "1", pace)
    assert finding.presence is Presence.ABSENT
    assert len(it.at) == 2
    assert paced


async def test_senders_share_the_ceiling(arrivals: tuple[Arrivals, str], create: Request) -> None:
    it, base = arrivals
    options = TargetOptions(endpoint=mlflow(base), auth=NOBODY, connections=8, timeout=20.0, rate=0.001)
    async with SenderPool(options, 2) as pool:
        replies = await asyncio.gather(*(pool.send(create) for _ in range(16)))
    assert len(it.at) == 1
    assert sorted(reply.fault or "answered" for reply in replies) == ["answered", *["held"] * 15]


async def test_without_a_ceiling_nothing_is_held(arrivals: tuple[Arrivals, str], create: Request) -> None:
    it, base = arrivals
    options = TargetOptions(endpoint=mlflow(base), auth=NOBODY, connections=8, timeout=20.0)
    async with HttpService(options) as service:
        replies = await asyncio.gather(*(service.send(create) for _ in range(100)))
    assert {reply.status for reply in replies} == {200}
    assert len(it.at) == 100
