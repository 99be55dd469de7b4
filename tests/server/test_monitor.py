"""What answers at each path, from a thread of its own, while the loop of the batch turns, and while it does not."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestor.model.activity import Phase
from ingestor.model.errors import UsageError
from ingestor.server.access import Access
from ingestor.server.address import TcpAddress
from ingestor.server.http import HttpServer
from ingestor.server.loop_watch import LoopWatch
from ingestor.server.measurements import Measurements
from ingestor.server.monitor import Monitor
from ingestor.server.readiness import Check, Readiness, readiness
from ingestor.server.status import Status
from ingestor.server.thread import ServerThread
from ingestor.system.tasks import in_background
from tests.server.client import Answer, ask, connect
from tests.server.status_example import STATUS

TOKEN = "a-token-that-nobody-guesses"
INTERVAL = 0.02


class Batch:
    """A batch that a test describes."""

    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.checks = {"service": Check(ok=True, reason="it answers", age=0.5)}
        self.asked_in: set[int] = set()
        self.drawn: list[int | None] = []
        self.since: list[float | None] = []

    @property
    def last_readiness(self) -> Readiness:
        return readiness(self.phase, "sending 10/s", **self.checks)

    def status(self, since: float | None) -> Status:
        self.asked_in.add(threading.get_ident())
        self.since.append(since)
        return replace(STATUS, phase=self.phase)

    def measurements(self) -> Measurements:
        self.asked_in.add(threading.get_ident())
        return Measurements(batch="b", version="1", python="3", started=1.0, phase=self.phase)

    def plots(self, step: int | None) -> Callable[[], str] | None:
        if step == 3600:
            return None
        self.drawn.append(step)
        return lambda: f"<figure>{step}</figure>"

    def find_runs(self, job_id: str) -> Awaitable[Sequence[Mapping[str, object]]]:
        async def find() -> Sequence[Mapping[str, object]]:
            return [{"outcome": "created", "run_id": "r1", "opc_request_id": "q1"}] if job_id == "j <1>" else []

        return find()


@asynccontextmanager
async def serving(batch: Batch, access: Access | None = None) -> AsyncIterator[str]:
    watch = LoopWatch(INTERVAL, longest_answer=0.5)

    def make(monitor: Monitor) -> HttpServer:
        return HttpServer(TcpAddress("127.0.0.1", 0), monitor.routes(), access or Access())

    async with in_background(watch.pulse(lambda: None)), ServerThread(batch, watch, make) as thread:
        yield thread.url


async def test_a_batch_that_turns_is_alive_and_ready_with_reasons_and_ages() -> None:
    async with serving(Batch()) as url:
        alive = await ask(url, "/livez")
        assert (alive.status, alive.body) == (200, "ok\n")
        ready = await ask(url, "/readyz")
        assert (ready.status, ready.headers["content-type"]) == (200, "application/json")
        assert ready.document["sentence"] == "sending 10/s"
        assert ready.document["checks"]["service"] == {"ok": True, "reason": "it answers", "age": 0.5}
        assert ready.document["checks"]["loop"]["ok"]


async def test_a_service_that_is_down_is_alive_and_not_ready() -> None:
    batch = Batch()
    batch.checks["service"] = Check(ok=False, reason="503: out of order", age=9.0)
    async with serving(batch) as url:
        assert (await ask(url, "/livez")).status == 200
        ready = await ask(url, "/readyz")
        assert ready.status == 503
        assert ready.document["ready"] is False
        assert ready.document["checks"]["service"]["reason"] == "503: out of order"


async def test_a_blocked_loop_is_reported_while_it_is_blocked() -> None:
    async with serving(Batch()) as url:
        seen: dict[str, tuple[int, str]] = {}

        def look() -> None:
            with closing(HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
                while seen.setdefault("livez", (200, ""))[0] == 200:
                    seen["livez"] = _get(connection, "/livez")
                seen["readyz"] = _get(connection, "/readyz")
                seen["status"] = _get(connection, "/status")

        assert (await ask(url, "/livez")).status == 200
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()  # the loop of this test is blocked until the thread has its answers
        assert seen["livez"][0] == 503
        assert "the event loop has been stuck for about" in seen["livez"][1]
        assert seen["readyz"][0] == 503
        assert json.loads(seen["readyz"][1])["checks"]["loop"]["ok"] is False
        assert seen["status"][0] == 503

        async with asyncio.timeout(10):
            while (await ask(url, "/livez")).status != 200:
                pass


def _get(connection: HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


async def test_metrics_and_status_are_made_in_the_loop_of_the_batch() -> None:
    batch = Batch()
    async with serving(batch) as url:
        metrics = await ask(url, "/metrics")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        names = {family.name for family in text_string_to_metric_families(metrics.body)}
        assert {"ingestor_records", "ingestor_build_info", "process_resident_memory_bytes"} <= names
        status = await ask(url, "/status")
        assert status.document["counts"]["created"] == STATUS.counts.created
        assert status.document["failures"][0]["reason"] == STATUS.failures[0].reason
        assert status.body.isascii(), "hostile text is escaped"
    assert batch.asked_in == {threading.get_ident()}


async def test_a_request_for_the_status_says_from_when_on_it_wants_history() -> None:
    batch = Batch()
    async with serving(batch) as url:
        assert (await ask(url, "/status?since=12.5")).status == 200
        assert (await ask(url, "/status")).status == 200
        assert batch.since == [12.5, None]


async def test_a_time_that_is_no_number_is_refused_and_stops_no_timer() -> None:
    async with serving(Batch()) as url:
        for query in ("since=x", "wait=y", "since=nan", "wait=nan", "wait=-nan"):
            assert (await ask(url, f"/status?{query}")).status == 400
        assert (await ask(url, "/status?wait=0.01")).status == 200


async def test_a_held_request_gets_the_end_at_once_and_an_idle_connection_does_not_delay_it() -> None:
    batch = Batch()
    async with serving(batch) as url:
        _, idle = await connect(url)
        first = asyncio.create_task(ask(url, "/status?wait=10"))
        second = asyncio.create_task(ask(url, "/status?wait=10"))
        while len(batch.since) < 1:
            probe = await ask(url, "/status?wait=0.01")
            assert probe.document["phase"] == "running"
        batch.phase = Phase.FINISHED
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    for answer in await asyncio.gather(first, second):
        assert answer.document["phase"] == "finished"
    idle.close()


async def test_a_page_that_was_between_two_requests_has_a_moment_to_get_the_end() -> None:
    batch = Batch()
    asked: list[asyncio.Task[Answer]] = []

    async with serving(batch) as url:
        await ask(url, "/status?wait=0.01")
        batch.phase = Phase.FINISHED
        once_more = partial(asyncio.create_task, ask(url, "/status?wait=1"))
        asyncio.get_running_loop().call_later(0.05, lambda: asked.append(once_more()))
    (answer,) = await asyncio.gather(*asked)
    assert answer.document["phase"] == "finished"


async def test_plots_are_drawn_once_a_second_whatever_number_of_pages_asks() -> None:
    batch = Batch()
    async with serving(batch) as url:
        answers = [await ask(url, "/plots?step=60") for _ in range(5)]
        assert {answer.body for answer in answers} == {"<figure>60</figure>"}
        assert answers[0].headers["content-type"] == "text/html; charset=utf-8"
        assert len(batch.drawn) == 1
        assert (await ask(url, "/plots")).body == "<figure>None</figure>"
        assert (await ask(url, "/plots?step=7")).body == "<figure>None</figure>"
        assert (await ask(url, "/plots?step=3600")).status == 404


async def test_a_job_is_looked_up_by_its_id() -> None:
    async with serving(Batch()) as url:
        found = await ask(url, "/runs?job_id=j%20%3C1%3E")
        assert found.status == 200
        assert found.document["runs"] == [{"outcome": "created", "run_id": "r1", "opc_request_id": "q1"}]
        missing = await ask(url, "/runs?job_id=other")
        assert (missing.status, missing.document["found"]) == (404, False)
        for target in ("/runs", "/runs?job_id=", f"/runs?job_id={'x' * 1001}"):
            assert (await ask(url, target)).status == 400


async def test_the_page_runs_only_its_own_script_and_style() -> None:
    async with serving(Batch()) as url:
        page = await ask(url)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
        nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
        assert policy["default-src"] == "'none'"
        assert f'nonce="{nonce}"' in page.body
        assert "unsafe" not in page.headers["content-security-policy"]
        assert f"'nonce-{nonce}'" not in (await ask(url)).headers["content-security-policy"], "new for each answer"


async def test_with_a_token_page_status_and_look_up_are_closed_and_probes_and_metrics_are_open() -> None:
    async with serving(Batch(), Access(TOKEN, required=True)) as url:
        for target in ("/", "/status", "/plots", "/runs?job_id=x"):
            assert (await ask(url, target)).status == 401, target
            assert (await ask(url, target, Authorization=f"Bearer {TOKEN}")).status in (200, 404), target
        for target in ("/livez", "/readyz", "/metrics"):
            assert (await ask(url, target)).status == 200, target
        form = await ask(url)
        assert "<form" in form.body
        assert TOKEN not in form.body


async def test_an_address_that_cannot_be_used_ends_the_session_before_it_begins() -> None:
    async with serving(Batch()) as url:
        port = urlsplit(url).port or 0
        watch = LoopWatch()
        taken = ServerThread(
            Batch(), watch, lambda it: HttpServer(TcpAddress("127.0.0.1", port), it.routes(), Access())
        )
        with pytest.raises(UsageError, match="address already in use"):
            async with taken:
                pass
