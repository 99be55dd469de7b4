"""`--rate N` at the service: processes that are stopped and continued do not catch up."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from signal import SIGCONT, SIGSTOP

import pytest
from aiohttp import web

from ingestor.simulator.sample import records
from tests.e2e.program import Program, Running
from tests.e2e.test_senders import senders_of

RATE = 100
_TICK = 0.01
STANDSTILL = 0.8
"""Seconds without a request after which as many attempts as possible wait in the stopped processes."""


class Arrivals:
    """A server that records when requests come, and how late this process is: then more come at once."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.lag = 0.0
        self._runs = count(1)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.at.append(time.monotonic())
        await request.read()
        found = {"run": {"info": {"run_id": f"r-{next(self._runs)}"}}}
        return web.json_response(found if "create" in request.path else {})

    async def watch(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(_TICK)
            self.lag = max(self.lag, time.monotonic() - begun - _TICK)

    @property
    def silence(self) -> float:
        return time.monotonic() - self.at[-1]

    @property
    def most_in_a_second(self) -> int:
        return max(sum(start <= at < start + 1.0 for at in self.at) for start in self.at)


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Arrivals, str]]:
    arrivals = Arrivals()
    watching = asyncio.create_task(arrivals.watch())
    runner = web.ServerRunner(web.Server(arrivals))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield arrivals, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        watching.cancel()
        await runner.cleanup()


def all_of(running: Running) -> list[int]:
    return [running.pid, *senders_of(running)]


def the_main_one(running: Running) -> list[int]:
    return [running.pid]


@pytest.mark.parametrize(("stopped", "senders"), [(senders_of, "2"), (all_of, "1"), (the_main_one, "0")])
async def test_no_second_has_more_than_the_ceiling_and_five_percent_after_a_standstill(
    program: Program, stopped: Callable[[Running], list[int]], senders: str
) -> None:
    async with recording() as (arrivals, url):
        command = ("run", "--tracking-uri", url, "--rate", str(RATE), "--senders", senders)
        running = await program.start(*command, program.write("runs.jsonl", records(220)))
        await running.until(lambda: len(arrivals.at) >= 50)
        for pid in (pids := stopped(running)):
            os.kill(pid, SIGSTOP)
        await running.until(lambda: arrivals.silence > STANDSTILL)
        for pid in pids:
            os.kill(pid, SIGCONT)
        ended = await running.end()
    assert ended.code == 0, ended.stderr
    assert len(arrivals.at) == 220
    assert arrivals.most_in_a_second <= 1.05 * RATE * (1 + arrivals.lag)
