"""One scenario: the program against the simulator over sockets, measured at the service."""

import asyncio
import json
import resource
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.server import Simulator
from tests.bench.rate_scenarios import Scenario

SLICE = 0.5
"""Seconds of one count."""

_POLL_SECONDS = 0.05
_BUSY = 0.004  # timers that are later than this, in seconds, show a busy machine
_TIMEOUT = 20.0
_NGINX_PORT = 18_429


@dataclass(frozen=True, slots=True)
class Measured:
    """What the service counted, a slice at a time from the first request on, and what it cost.

    `unlimited` is what was accepted a second in the scenario without a limit; None if that was not run. `attempts` is
    the number of requests for each created run. `sender_cpu` and `service_cpu` are shares of a core. `late` is by how
    many seconds the service's timers were late.
    """

    scenario: Scenario
    accepted: Sequence[int]
    refused: Sequence[int]
    shares: Sequence[int]
    unlimited: float | None
    attempts: float
    most_in_flight: int
    sender_cpu: float
    service_cpu: float
    late: float

    def goodput(self, start: float, end: float) -> float | None:
        """Return the used share of the limit between two seconds; None if there is none to compare with."""
        allowed = self.scenario.allowed(start, end, self.unlimited)
        return None if allowed is None else _sum(self.accepted, start, end) / allowed

    def accepted_rate(self, start: float, end: float) -> float:
        """Return what was accepted a second between two seconds."""
        return _sum(self.accepted, start, end) / (end - start)

    def refused_share(self, start: float, end: float) -> float:
        """Return the share of requests that got a 429 between two seconds."""
        refused = _sum(self.refused, start, end)
        return refused / max(1, refused + _sum(self.accepted, start, end))

    @property
    def is_bound_by_cpu(self) -> bool:
        """Whether the machine may have been slower than the limit."""
        return (
            self.late > _BUSY
            or max(self.sender_cpu, self.service_cpu) > 0.85
            or self.sender_cpu + self.service_cpu > 1.6
        )


def _sum(slices: Sequence[int], start: float, end: float) -> int:
    return sum(slices[round(start / SLICE) : round(end / SLICE)])


def nginx_is_there() -> bool:
    """Whether nginx is installed."""
    return shutil.which("nginx") is not None


async def measure(scenario: Scenario, records: Path, scratch: Path, unlimited: float | None) -> Measured:
    """Run a scenario to its end."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(scenario.service))
        url = await stack.enter_async_context(_nginx(scenario, simulator.url, scratch)) if scenario.nginx else None
        senders = [await _start(scenario, url or simulator.url, records, scratch, n) for n in range(scenario.processes)]
        before, begun = _cpu(), time.monotonic()
        accepted, refused, late = await _watch(
            scenario, simulator, _refusals_of_nginx(scratch) if scenario.nginx else None
        )
        service_cpu = (_cpu()[0] - before[0]) / (time.monotonic() - begun)
        for sender in senders:
            await asyncio.wait_for(sender.wait(), _TIMEOUT)
        sender_cpu = (_cpu()[1] - before[1]) / scenario.seconds / scenario.processes
    counts = simulator.statistics
    return Measured(
        scenario,
        accepted,
        refused,
        [_created(scratch / f"{n}.json") for n in range(scenario.processes)],
        unlimited,
        counts.requests / max(1, counts.run_count),
        counts.max_in_flight,
        sender_cpu,
        service_cpu,
        late,
    )


async def _start(scenario: Scenario, url: str, records: Path, scratch: Path, number: int) -> asyncio.subprocess.Process:
    command = [
        *(sys.executable, "-m", "ingestor", "run", str(records)),
        *("--endpoint", url, "--auth", "none", "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY),
        *("--state", str(scratch / f"state-{number}"), "--batch", f"sender-{number}"),
        *("--time-budget", str(scenario.seconds + 2), "--drain-timeout", "5", "--progress", "off", "--output", "json"),
        *(("--concurrency", str(scenario.concurrency)) if scenario.concurrency else ()),
        *(("--rate", str(scenario.rate)) if scenario.rate else ()),
        *(() if scenario.service.retry_tokens else ("--no-retry-tokens",)),
    ]
    with (scratch / f"{number}.json").open("wb") as summary, (scratch / f"{number}.log").open("wb") as messages:
        return await asyncio.create_subprocess_exec(*command, stdout=summary, stderr=messages)


async def _watch(
    scenario: Scenario, simulator: Simulator, refusals: "_Tail | None"
) -> tuple[list[int], list[int], float]:
    """Count responses from the first on, change the service when it is due, and return how late timers were."""
    statuses = simulator.statistics.statuses
    deadline = time.monotonic() + _TIMEOUT
    while not statuses[200] and time.monotonic() < deadline:  # noqa: ASYNC110 - the simulator has no event for it
        await asyncio.sleep(_POLL_SECONDS / 5)
    begun, accepted, refused = time.monotonic(), [0], [0]
    late, polls, changes = 0.0, 0, _changes(scenario, simulator)
    for number in range(1, round(scenario.seconds / SLICE) + 1):
        while (left := begun + number * SLICE - time.monotonic()) > 0:
            due = time.monotonic() + min(left, _POLL_SECONDS)
            await asyncio.sleep(min(left, _POLL_SECONDS))
            late, polls = late + time.monotonic() - due, polls + 1
            while changes and time.monotonic() - begun >= changes[0][0]:
                changes.pop(0)[1]()
        accepted.append(statuses[200])
        refused.append(statuses[429] if refusals is None else refusals.count())
    return _differences(accepted), _differences(refused), late / max(1, polls)


def _changes(scenario: Scenario, simulator: Simulator) -> list[tuple[float, Callable[[], None]]]:
    """Return when the service changes, and what then happens."""
    limits = scenario.limits if scenario.service.rate else ()
    changes: list[tuple[float, Callable[[], None]]] = [
        *((at, partial(simulator.set_rate, limit)) for limit, at in limits if at),
        *((at, partial(simulator.set_latency, latency)) for latency, at in scenario.latencies if at),
    ]
    return sorted(changes, key=lambda change: change[0])


def _differences(totals: Sequence[int]) -> list[int]:
    return [two - one for one, two in pairwise(totals)]


def _cpu() -> tuple[float, float]:
    """Return the CPU seconds of this process and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _created(summary: Path) -> int:
    return int(json.loads(summary.read_text().splitlines()[-1])["counts"]["created"])


class _Tail:
    """Counts 429s in an access log of one status a line, as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = self._count = 0

    def count(self) -> int:
        with self._path.open() as log:
            log.seek(self._read)
            self._count += sum(line.strip() == "429" for line in log.readlines())
            self._read = log.tell()
        return self._count


def _refusals_of_nginx(scratch: Path) -> _Tail:
    return _Tail(scratch / "access.log")


@asynccontextmanager
async def _nginx(scenario: Scenario, upstream: str, scratch: Path) -> AsyncIterator[str]:
    """Run nginx before the service, with the `limit_req` zones of the scenario; yield its address."""
    zones = "\n  ".join(
        f"limit_req_zone $server_port zone=zone{number}:1m rate={rate};"
        for number, (rate, _) in enumerate(scenario.nginx)
    )
    limits = "\n      ".join(f"limit_req zone=zone{number} {how};" for number, (_, how) in enumerate(scenario.nginx))
    (scratch / "nginx.conf").write_text(
        f"""
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log {scratch}/error.log;
events {{ worker_connections 2048; }}
http {{
  log_format status "$status"; access_log {scratch}/access.log status;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
  {zones}
  limit_req_status 429;
  upstream service {{ server {upstream.removeprefix("http://")}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{_NGINX_PORT}; keepalive_requests 1000000;
    location / {{
      {limits}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://service;
    }}
  }}
}}
"""
    )
    (scratch / "access.log").touch()
    nginx = await asyncio.create_subprocess_exec("nginx", "-c", str(scratch / "nginx.conf"), "-p", str(scratch))
    try:
        await _until_it_listens()
        yield f"http://127.0.0.1:{_NGINX_PORT}"
    finally:
        nginx.terminate()
        await nginx.wait()


async def _until_it_listens() -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", _NGINX_PORT)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError("nginx does not listen")
