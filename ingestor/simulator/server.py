"""The simulator as an HTTP server: an AI Data Platform workspace that fits in a test."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Self

from aiohttp import web

from ingestor.model.errors import UsageError
from ingestor.simulator.answers import RequestIds
from ingestor.simulator.api import Api
from ingestor.simulator.exchange import HTML, Answer, ApiError, Call, json_answer
from ingestor.simulator.faults import FaultDice, InjectedFault
from ingestor.simulator.limits import Throttle, TokenBucket
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.runs import RunStore
from ingestor.simulator.signature import SignatureVerifier
from ingestor.simulator.statistics import Statistics
from ingestor.simulator.wire import LARGEST_BODY, break_off, headers_of, read_call, reset, wait_to_be_cancelled

_BACKLOG = 1024
_GRACE = 0.05
_PROXY_PAGE = Answer(body=b"<html><body><h1>Welcome</h1></body></html>", content_type=HTML)
_NOTHING_DONE: Mapping[InjectedFault | None, Answer] = {
    InjectedFault.ERROR_500: ApiError(500, "InternalServerError", "An injected fault.").answer(),
    InjectedFault.ERROR_503: ApiError(503, "ServiceUnavailable", "An injected fault.").answer(),
    InjectedFault.ERROR_409: ApiError(409, "IncorrectState", "An injected fault.").answer(),
    InjectedFault.HTML: Answer(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", content_type=HTML),
    InjectedFault.RESET_BEFORE: Answer(body=b""),  # never sent
}


class Simulator:
    """A service on `host`, there while the `async with` block runs. Port 0 takes a free one.

    `now` is the service's wall clock, in seconds since the epoch: token life, rate, dates and Retry-After go by
    it. Entering raises UsageError where the port can't be had. The account stays readable after the block.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options = options = options or SimulatorOptions()
        self._host, self._port = host, port
        self._now = now
        store = RunStore(honour_tokens=options.retry_tokens, token_life=options.token_life, now=now)
        self.account = Statistics(store)
        self._api = Api(options, store, self.account)
        self._doorkeeper = SignatureVerifier(options, now)
        self._bucket = TokenBucket(options.rate, options.burst, now)
        self._throttle = Throttle(self._bucket, options.concurrency, options.retry_after, now)
        self._dice = FaultDice(options.faults, options.seed)
        self._jitter = Random(options.seed)  # noqa: S311 - a repeatable schedule is the point
        self._request_ids = RequestIds()
        self._available = not options.unavailable

    async def __aenter__(self) -> Self:
        factory = partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=LARGEST_BODY)
        server = web.Server(self._handle, request_factory=factory, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"The simulator can't listen on {self._host}:{self._port}: {error.strerror}.") from error
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def set_rate(self, rate: float | None) -> None:
        """Change the hidden limit, in requests a second; None lifts it."""
        self._bucket.set_rate(rate)

    def set_available(self, available: bool) -> None:
        """Stop answering every request with 503, or begin to."""
        self._available = available

    def clear_faults(self) -> None:
        """Let no more requests suffer a fault."""
        self._dice = FaultDice({}, self._options.seed)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/account":
            return await self._show_account(request)
        try:
            call = await read_call(request)
        except ApiError as refusal:
            return self._respond(refusal.answer(), request.headers.get("opc-request-id"))
        self.account.arrived(call, self._api.operation(call.path))
        try:
            return await self._serve(request, call)
        finally:
            self.account.left()

    async def _serve(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Carry a request out at once, and only then let time pass and the answer go astray.

        So a client that gives up waiting leaves a run behind, as it may with the real service.
        """
        sent_id = call.headers.get("opc-request-id")
        try:
            self._admit(call)
        except ApiError as refusal:
            return self._respond(refusal.answer(), sent_id)
        fault = self._dice.draw()
        answer = self._carry_out(call, fault)
        await self._take_time(fault)
        if fault is None or answer.status != HTTPStatus.OK:
            return self._respond(answer, sent_id)
        return await self._lead_astray(request, answer, sent_id, fault)

    def _admit(self, call: Call) -> None:
        if not self._available:
            raise ApiError(503, "ServiceUnavailable", "The service is unavailable.")
        self._doorkeeper.check(call)
        self._throttle.check(self.account.in_flight)

    def _carry_out(self, call: Call, fault: InjectedFault | None) -> Answer:
        if fault is not None:
            self.account.faults[fault] += 1
        if fault in _NOTHING_DONE:
            return _NOTHING_DONE[fault]
        try:
            return self._api.answer(call)
        except ApiError as refusal:
            return refusal.answer()

    async def _take_time(self, fault: InjectedFault | None) -> None:
        seconds = self._options.latency
        if self._options.jitter:
            seconds += self._jitter.uniform(0, self._options.jitter)
        if fault is InjectedFault.SLOW:
            seconds += self._options.slow
        if seconds:
            await asyncio.sleep(seconds)

    async def _lead_astray(
        self, request: web.BaseRequest, answer: Answer, sent_id: str | None, fault: InjectedFault
    ) -> web.StreamResponse:
        match fault:
            case InjectedFault.RESET_BEFORE | InjectedFault.RESET_AFTER:
                return reset(request)
            case InjectedFault.HANG:
                return await wait_to_be_cancelled()
            case InjectedFault.TRUNCATED:
                return await break_off(request, answer, self._headers(answer, sent_id))
            case InjectedFault.HTML_OK:
                return self._respond(_PROXY_PAGE, sent_id)
            case _:
                return self._respond(answer, sent_id)

    def _respond(self, answer: Answer, sent_id: str | None) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=self._headers(answer, sent_id))

    def _headers(self, answer: Answer, sent_id: str | None) -> dict[str, str]:
        self.account.statuses[answer.status] += 1
        return headers_of(answer, self._request_ids.answer(sent_id), self._now())

    async def _show_account(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query.get("runs") != "1":
            return web.Response(body=json_answer(self.account.totals()).body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for lines in self.account.run_lines():
            await response.write(lines)
        return response


async def serve(options: SimulatorOptions, host: str, port: int, ready: Callable[[str], None]) -> Statistics:
    """Run a simulator until cancelled, SIGINT or SIGTERM, and return its account; `ready` is told its URL.

    Belongs in the main thread, for the signals. Raises UsageError where the port can't be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Simulator(options, host=host, port=port) as simulator:
            ready(simulator.url)
            await stop.wait()
            return simulator.account
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
