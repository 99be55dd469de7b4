"""Several sender processes as one service: the port `Service` on several cores."""

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Collection
from contextlib import AsyncExitStack, suppress
from itertools import count
from operator import attrgetter
from typing import Self

from ingestor.api.ceiling import Ceiling
from ingestor.api.options import TargetOptions, check
from ingestor.api.search import Search, active_of, probe
from ingestor.api.sender_channel import Attempt, Channel, Message, Order, Replied
from ingestor.api.wire import new_request_id
from ingestor.model.errors import IngestorError
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Finding, Reply
from ingestor.model.request import Request
from ingestor.system.tasks import in_background

PING_TIMEOUT = 30.0
"""Seconds after which a sender that does not answer a ping is replaced."""

_MAX_FAILURES = 5  # processes in a row that can't be started, or that crash while they make attempts, before any reply
_FIRST_PAUSE = 0.25  # seconds before the next start; twice as long each time
_EXIT_TIMEOUT = 1.0  # seconds for a process to end by itself; then it is killed
_MODULE = "ingestor.api.sender_process"


class SenderError(IngestorError):
    """A sender process can't be started, or none can be kept running."""


class SenderPool:
    """Makes attempts in `count` processes. Use it as an async context manager.

    A process that dies, or does not answer a ping for `ping_timeout` seconds, is replaced; its attempts end with the
    fault LOST. Raises UsageError for options that are wrong. Entering raises IngestorError; so does an attempt, if
    no process can be kept running.
    """

    def __init__(self, options: TargetOptions, count: int, *, ping_timeout: float = PING_TIMEOUT) -> None:
        check(options)
        self._options = options
        self._ceiling = None if options.rate is None else Ceiling(options.rate)
        self._count = count
        self._ping_timeout = ping_timeout
        self._senders: list[Sender] = []
        self._failure: Exception | None = None
        self._changed = asyncio.Condition()
        self._opened = AsyncExitStack()

    @property
    def _alive(self) -> list["Sender"]:
        return [sender for sender in self._senders if not sender.is_gone]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            if self._ceiling is not None:
                opening.enter_context(self._ceiling)
            for _ in range(self._count):
                await opening.enter_async_context(in_background(self._keep()))
            await self._wait_for_senders(self._count)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._opened.aclose()

    async def send(self, request: Request) -> Reply:
        """Send one attempt from the sender that makes the fewest (see `Service.send`)."""
        sender = await self._sender()
        return (await sender.exchange(request))[0]

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries a token (see `Service.find`)."""
        return await Search(self._exchange, pace).find(token, experiment_id)

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:
        """List the experiments that take runs (see `Service.active_experiments`)."""
        return active_of(await Search(self._exchange, pace).experiments())

    async def probe(self) -> Reply:
        """Search for one experiment (see `Service.probe`)."""
        return await probe(self._exchange)

    async def renew_credentials(self) -> bool:
        """Renew the credentials of every sender (see `Service.renew_credentials`)."""
        return any(await asyncio.gather(*(sender.renew() for sender in self._senders)))

    async def _exchange(self, request: Request) -> tuple[Reply, bytes]:
        """Send a search; send it again if its sender died, because it changes nothing."""
        while True:
            sender = await self._sender()
            reply, body = await sender.exchange(request)
            if reply.fault is not Fault.LOST:
                return reply, body

    async def _sender(self) -> "Sender":
        """Return the sender with the fewest attempts, once there is one. Raises the reason why there is none."""
        while not (alive := self._alive):
            await self._wait_for_senders(1)
        return min(alive, key=attrgetter("in_flight"))

    async def _wait_for_senders(self, count: int) -> None:
        """Wait until there are `count` senders. Raises the reason why that is not possible."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure is not None or len(self._alive) >= count)
        if len(self._alive) < count and self._failure is not None:
            raise self._failure

    async def _keep(self) -> None:
        """Keep one sender running; if that fails, those who wait for a sender get the error."""
        try:
            await self._replace_forever()
        except Exception as error:  # noqa: BLE001 - any error
            self._failure = error
            await self._notify()

    async def _replace_forever(self) -> None:
        """Run one sender after the other. Raises IngestorError."""
        failures = 0
        while True:
            try:
                await self._run_one()
                failures = 0
            except SenderError:
                failures += 1
                if failures == _MAX_FAILURES:
                    raise
                await asyncio.sleep(_FIRST_PAUSE * 2 ** (failures - 1))

    async def _run_one(self) -> None:
        """Run a sender until it dies, and close it. Raises SenderError if too many made attempts without any reply."""
        sender = Sender(self._options, self._ceiling)
        try:
            await sender.start()
            self._senders.append(sender)
            await self._notify()
            await sender.wait_until_dead(self._ping_timeout)
        finally:
            with suppress(ValueError):  # it never started
                self._senders.remove(sender)
            await sender.close()
        if sender.was_fruitless:
            raise SenderError(
                f"{_MAX_FAILURES} sender processes in a row crashed before they returned an answer. Try --senders 0."
            )

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Sender:
    """A process that makes attempts under a shared ceiling. Call `start` first, and `close` last, also after an error.

    Attributes:
        in_flight: how many attempts it is making. If the process dies, they end with the fault LOST.
        was_fruitless: whether it died while it made attempts, and before any had a reply.
    """

    def __init__(self, options: TargetOptions, ceiling: Ceiling | None = None) -> None:
        self.in_flight = 0
        self.was_fruitless = False
        self._replies = 0
        self._options = options
        self._ceiling = ceiling
        self._numbers = count()
        self._pending: dict[int, asyncio.Future[object]] = {}
        self._gone = asyncio.Event()
        self._channel: Channel | None = None
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None before it is started."""
        return None if self._process is None else self._process.pid

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self._gone.is_set()

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises IngestorError if it can't be."""
        ours, theirs = socket.socketpair()
        self._channel = await Channel.open(ours, self._receive, self._end)
        with theirs:
            self._process = await _spawn(theirs, self._ceiling)
        problem = await self._carry_out(self._options)
        if problem is None:
            raise SenderError("A sender process ended during its start.")
        if isinstance(problem, IngestorError):
            raise problem

    async def exchange(self, request: Request) -> tuple[Reply, bytes]:
        """Make one attempt; return its reply, and the body of the answer to a search."""
        request_id, begun = new_request_id(), time.perf_counter()
        self.in_flight += 1
        try:
            answer = await self._carry_out(Attempt.of(request_id, request))
        finally:
            self.in_flight -= 1
        if not isinstance(answer, Replied):
            return _lost(request_id, begun), b""
        self._replies += 1
        return answer.reply(), answer.body

    async def renew(self) -> bool:
        """Renew its credentials; False if there are no newer ones, or the process is gone."""
        return await self._carry_out(Order.RENEW) is True

    async def wait_until_dead(self, ping_timeout: float) -> None:
        """Wait until the process is gone, or has not answered a ping for `ping_timeout` seconds."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(ping_timeout):
                    await self._carry_out(Order.PING)
            except TimeoutError:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(ping_timeout):
                    await self._gone.wait()

    async def close(self) -> None:
        """End the process and wait for its end. The service may still carry out its attempts.

        If this is cancelled, the process is killed at once, so that no process remains.
        """
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EXIT_TIMEOUT):
                        await self._process.wait()
            finally:
                if self._process.returncode is None:
                    self._process.kill()
                    await self._process.wait()

    async def _carry_out(self, order: object) -> object:
        """Return the answer to an order, None if the process is gone."""
        if self._channel is None or self._gone.is_set():
            return None
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        self._channel.send((number, order))
        try:
            return await answer
        finally:
            del self._pending[number]
            if answer.cancelled():
                self._channel.send((number, Order.CANCEL))

    def _receive(self, message: Message) -> None:
        number, answer = message
        if (waiting := self._pending.get(number)) and not waiting.done():
            waiting.set_result(answer)

    def _end(self) -> None:
        self._gone.set()
        self.was_fruitless = self.in_flight > 0 and not self._replies
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_result(None)


def _lost(request_id: str, begun: float) -> Reply:
    return Reply(
        fault=Fault.LOST,
        message="The sender process that made this attempt died.",
        opc_client_request_id=request_id,
        latency_ms=(time.perf_counter() - begun) * 1000,
    )


async def _spawn(end: socket.socket, ceiling: Ceiling | None) -> Process:
    """Start a process that has `end`, in its own session: signals of the terminal are for the coordinator."""
    descriptors = (end.fileno(),) if ceiling is None else (end.fileno(), ceiling.descriptor)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        _MODULE,
        *map(str, descriptors),
        stdin=DEVNULL,
        stdout=DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
