"""What answers at each path of `--listen`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from typing import Protocol

import msgspec

from ingestor.report.text import json_line
from ingestor.server.loop_watch import LoopStuckError, LoopWatch
from ingestor.server.measurements import Measurements
from ingestor.server.messages import HTML, JSON, Handler, Request, Response, Route, problem
from ingestor.server.page import page, sign_in
from ingestor.server.prometheus import CONTENT_TYPE, as_text
from ingestor.server.readiness import Readiness
from ingestor.server.status import Status

LONGEST_WAIT = 10.0
"""Seconds that a request for the status may be held (`wait`)."""

_LONGEST_ID = 1000  # characters of a job id in a look-up
_RECENTLY = 3.0  # seconds: a page that asked for the status so recently will ask again


class Monitored(Protocol):
    """A batch, as the server asks it. All but `last_readiness` and `find_runs` are called in the loop of the batch."""

    @property
    def last_readiness(self) -> Readiness:
        """What the loop last knew; from any thread."""
        ...

    def status(self, since: float | None) -> Status:
        """Return the status, with history from `since` on (all: None)."""
        ...

    def measurements(self) -> Measurements:
        """Return the counts and levels."""
        ...

    def plots(self, step: int | None) -> Callable[[], str] | None:
        """Return what draws the history at this resolution (the finest: None), in any thread; None if there is none."""
        ...

    def find_runs(self, job_id: str) -> Awaitable[Sequence[Mapping[str, object]]]:
        """Return what the journal has about a job; in the loop of the server."""
        ...


class Monitor:
    """The routes, and how they end. Made and used in the loop of the server."""

    def __init__(self, batch: Monitored, watch: LoopWatch) -> None:
        self._batch = batch
        self._watch = watch
        self._over = asyncio.Event()
        self._end_is_known = asyncio.Event()
        self._asked_at = -_RECENTLY
        self._drawn: tuple[int | None, float, str] | None = None

    def routes(self) -> Mapping[str, Route]:
        """Return what answers at which path."""
        return {
            "/": Route(handler=page, sign_in=sign_in),
            "/livez": Route(handler=self._livez, is_open=True),
            "/readyz": Route(handler=self._readyz, is_open=True),
            "/metrics": Route(handler=self._unless_stuck(self._metrics), is_open=True),
            "/status": Route(handler=self._unless_stuck(self._status)),
            "/plots": Route(handler=self._unless_stuck(self._plots)),
            "/runs": Route(handler=self._unless_stuck(self._runs)),
        }

    async def end(self, grace: float) -> None:
        """Answer all that wait for the end. A page that asked recently has `grace` seconds to ask once more."""
        self._over.set()
        if time.monotonic() - self._asked_at < _RECENTLY:
            try:
                await asyncio.wait_for(self._end_is_known.wait(), grace)
            except TimeoutError:
                return

    async def _livez(self, _request: Request) -> Response:
        if self._watch.is_stuck:
            return problem(503, f"the event loop has been stuck for about {self._watch.stuck_for:.0f} s")
        return Response(body=b"ok\n")

    async def _readyz(self, _request: Request) -> Response:
        known, stuck_for = self._batch.last_readiness, self._watch.stuck_for
        ready = known.ready and not self._watch.is_stuck
        checks = {name: asdict(check) for name, check in known.checks.items()}
        loop = {"ok": not self._watch.is_stuck, "reason": "the event loop of the batch turns", "age": stuck_for}
        if self._watch.is_stuck:
            loop["reason"] = "the event loop of the batch is stuck"
        body = {"ready": ready, "phase": known.phase, "sentence": known.sentence, "checks": {"loop": loop, **checks}}
        return _json(body, 200 if ready else 503)

    async def _metrics(self, _request: Request) -> Response:
        measured = await self._watch.ask(self._batch.measurements)
        return Response(body=as_text(measured, process=True), content_type=CONTENT_TYPE)

    async def _status(self, request: Request) -> Response:
        try:
            since = _number(request.query["since"]) if "since" in request.query else None
            wait = min(max(_number(request.query.get("wait", "0")), 0.0), LONGEST_WAIT)
        except ValueError:
            return problem(400, "since and wait must be numbers of seconds")
        if wait:
            self._asked_at = time.monotonic()
            await _until(self._over, wait)
            self._asked_at = time.monotonic()
        is_over = self._over.is_set()
        status = await self._watch.ask(lambda: self._batch.status(since))
        document = msgspec.to_builtins(status)
        if is_over:
            if "plots" in request.query:  # nobody can ask for them later
                document["plots"] = await self._drawing(request.query["plots"])
            self._end_is_known.set()
        return _json(document)

    async def _plots(self, request: Request) -> Response:
        drawing = await self._drawing(request.query.get("step", ""))
        if drawing is None:
            return problem(404, "there is no history yet")
        return Response(body=drawing.encode(), content_type=HTML)

    async def _drawing(self, step: str) -> str | None:
        """Draw at most once a second, whatever number of pages asks, and the end in any case."""
        wanted, now = int(step) if step in {"1", "60", "3600"} else None, time.monotonic()
        if self._drawn is None or self._drawn[0] != wanted or now - self._drawn[1] >= 1.0 or self._over.is_set():
            draw = await self._watch.ask(lambda: self._batch.plots(wanted))
            if draw is None:
                return None
            self._drawn = wanted, now, draw()
        return self._drawn[2]

    async def _runs(self, request: Request) -> Response:
        job_id = request.query.get("job_id", "")
        if not 0 < len(job_id) <= _LONGEST_ID:
            return problem(400, f"runs?job_id=ID: the id of a job, 1 to {_LONGEST_ID} characters")
        found = await self._batch.find_runs(job_id)
        return _json({"job_id": job_id, "found": bool(found), "runs": found}, 200 if found else 404)

    def _unless_stuck(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except LoopStuckError:
                return problem(503, "the event loop of the batch does not answer")

        return answer


def _number(text: str) -> float:
    """Return the number that a text means. Raises ValueError, also for NaN: a timer of NaN stops all timers."""
    number = float(text)
    if isnan(number):
        raise ValueError
    return number


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    return Response(status=status, body=json_line(body), content_type=JSON)
