"""The simulator as an HTTP server: a simulated workspace of an AI Data Platform, for tests."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Self

from aiohttp import web

from ingestor.model.errors import UsageError
from ingestor.simulator.api import Api
from ingestor.simulator.gate import SignatureVerifier, Throttle
from ingestor.simulator.options import FaultSchedule, InjectedFault, SimulatorOptions
from ingestor.simulator.runs import RunStore
from ingestor.simulator.statistics import Statistics
from ingestor.simulator.wire import (
    HTML,
    JSON,
    MAX_BODY,
    ApiError,
    HttpRequest,
    HttpResponse,
    RequestIds,
    headers_of,
    json_response,
    read_request,
    reset,
    send_half,
    send_malformed,
    wait_to_be_cancelled,
)

_BACKLOG = 1024
_GRACE = 0.05
"""Seconds that requests in flight have at the end."""
_STATISTICS_PATHS = frozenset({"/statistics", "/account"})
"""Where the statistics are. `/account` is the name of earlier versions."""
_PROXY_PAGE = HttpResponse(body=b"<html><body><h1>Welcome</h1></body></html>", content_type=HTML)
_ERRORS: Mapping[InjectedFault, tuple[int, str]] = {
    InjectedFault.ERROR_500: (500, "InternalServerError"),
    InjectedFault.ERROR_503: (503, "ServiceUnavailable"),
    InjectedFault.ERROR_409: (409, "IncorrectState"),
    InjectedFault.ERROR_429: (429, "TooManyRequests"),
}
_MORE_HEADERS: Mapping[InjectedFault, Mapping[str, str]] = {
    InjectedFault.LARGE_HEADER: {"X-Large": "x" * 8300},
    InjectedFault.MANY_HEADERS: {f"X-More-{number}": "x" for number in range(200)},
}


def _nothing_done(message: str) -> Mapping[InjectedFault | None, HttpResponse]:
    """Return the responses of the faults with which nothing is done."""
    return {
        **{fault: ApiError(*error, message).response() for fault, error in _ERRORS.items()},
        InjectedFault.HTML: HttpResponse(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", content_type=HTML),
        InjectedFault.RESET_BEFORE: HttpResponse(body=b""),  # never sent
    }


class Simulator:
    """A service on `host` while the `async with` block runs, at `url`. Port 0 selects a free one.

    `now` is the service's wall clock, in seconds since the epoch, for token life, rate, dates and Retry-After. Entering
    raises UsageError if the port is not free. `statistics` stay readable after the block.
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
        self.statistics = Statistics(store)
        self._api = Api(options, store, self.statistics)
        self._verifier = SignatureVerifier(options, now)
        self._throttle = Throttle(options, now)
        self._faults = FaultSchedule(options.faults, options.seed, options.faults_after)
        self._nothing_done = _nothing_done(options.fault_message)
        self._cached: HttpResponse | None = None
        self._jitter = Random(options.seed)  # noqa: S311 - a repeatable schedule is the point
        self._request_ids = RequestIds()
        self._latency = options.latency
        self._available = not options.unavailable

    async def __aenter__(self) -> Self:
        factory = partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=MAX_BODY)
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
        """Change the hidden limit, in requests a second; None removes it."""
        self._throttle.set_rate(rate)

    def set_latency(self, seconds: float) -> None:
        """Change how long every later request takes."""
        self._latency = seconds

    def set_available(self, available: bool) -> None:
        """Answer requests normally, or every request with 503."""
        self._available = available

    def clear_faults(self) -> None:
        """Inject no more faults."""
        self._faults = FaultSchedule({}, self._options.seed)

    async def _handle(self, connection: web.BaseRequest) -> web.StreamResponse:
        if connection.path in _STATISTICS_PATHS:
            return await self._show_statistics(connection)
        try:
            request = await read_request(connection)
        except ApiError as refusal:
            return self._respond(refusal.response(), connection.headers.get("opc-request-id"))
        self.statistics.arrived(request, self._api.operation(request.path))
        try:
            return await self._serve(connection, request)
        finally:
            self.statistics.ended()

    async def _serve(self, connection: web.BaseRequest, request: HttpRequest) -> web.StreamResponse:
        """Carry a request out at once; then wait, and inject the fault into the response.

        So the run exists even if the client stops waiting, as it may with the real service.
        """
        sent_id = request.headers.get("opc-request-id")
        try:
            wait = self._admit(request)
        except ApiError as refusal:
            return self._respond(refusal.response(), sent_id)
        fault = self._faults.draw()
        response = self._carry_out(request, fault)
        await self._delay(wait, fault)
        if fault is None or response.status != HTTPStatus.OK:
            return self._respond(response, sent_id)
        return await self._spoil(connection, response, sent_id, fault)

    def _admit(self, request: HttpRequest) -> float:
        """Return the seconds that the request waits in a queue."""
        if not self._available:
            raise ApiError(503, "ServiceUnavailable", "The service is unavailable.")
        self._verifier.check(request)
        return self._throttle.check(self.statistics.in_flight)

    def _carry_out(self, request: HttpRequest, fault: InjectedFault | None) -> HttpResponse:
        if fault is not None:
            self.statistics.faults[fault] += 1
        if fault in self._nothing_done:
            return self._nothing_done[fault]
        try:
            return self._api.answer(request)
        except ApiError as refusal:
            self.statistics.refused(refusal)
            return refusal.response()

    async def _delay(self, wait: float, fault: InjectedFault | None) -> None:
        seconds = wait + self._latency
        if self._options.jitter:
            seconds += self._jitter.uniform(0, self._options.jitter)
        if fault is InjectedFault.SLOW:
            seconds += self._options.slow + self._jitter.uniform(0, self._options.slow_jitter)
        if seconds:
            await asyncio.sleep(seconds)

    async def _spoil(
        self, connection: web.BaseRequest, response: HttpResponse, sent_id: str | None, fault: InjectedFault
    ) -> web.StreamResponse:
        match fault:
            case InjectedFault.RESET_BEFORE | InjectedFault.RESET_AFTER:
                return reset(connection)
            case InjectedFault.HANG:
                return await wait_to_be_cancelled()
            case InjectedFault.TRUNCATED:
                return await send_half(connection, response, self._headers(response, sent_id))
            case InjectedFault.MALFORMED:
                return send_malformed(connection, response, self._headers(response, sent_id))
            case _:
                return self._respond(self._replaced(connection, response, fault), sent_id)

    def _replaced(self, connection: web.BaseRequest, response: HttpResponse, fault: InjectedFault) -> HttpResponse:
        """Return what a proxy sends instead of a response."""
        match fault:
            case InjectedFault.HTML_OK:
                return _PROXY_PAGE
            case InjectedFault.SAME_RUN if self._api.operation(connection.path) == "runs/create":
                self._cached = self._cached or response
                return self._cached
            case InjectedFault.LARGE_HEADER | InjectedFault.MANY_HEADERS:
                return replace(response, headers={**response.headers, **_MORE_HEADERS[fault]})
            case _:
                return response

    def _respond(self, response: HttpResponse, sent_id: str | None) -> web.Response:
        return web.Response(status=response.status, body=response.body, headers=self._headers(response, sent_id))

    def _headers(self, response: HttpResponse, sent_id: str | None) -> dict[str, str]:
        self.statistics.statuses[response.status] += 1
        return headers_of(response, self._request_ids.answer_to(sent_id), self._now())

    async def _show_statistics(self, connection: web.BaseRequest) -> web.StreamResponse:
        if connection.query.get("runs") != "1":
            return web.Response(body=json_response(self.statistics.totals()).body, content_type=JSON)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(connection)
        for lines in self.statistics.run_lines():
            await response.write(lines)
        return response


async def serve(options: SimulatorOptions, host: str, port: int, ready: Callable[[str], None]) -> Statistics:
    """Run a simulator until it is cancelled or gets SIGINT or SIGTERM, and return its statistics.

    `ready` is called with its URL. Must run in the main thread, for the signals. Raises UsageError if the port is
    not free.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Simulator(options, host=host, port=port) as simulator:
            ready(simulator.url)
            await stop.wait()
            return simulator.statistics
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
