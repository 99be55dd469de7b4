"""The scenarios of the rate benchmark that run the program, over sockets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.options import InjectedFault, SimulatorOptions
from tests.laboratory.cases import Case
from tests.laboratory.oracle import best_constant_rate

Limits = Sequence[tuple[float | None, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A service with a limit, and processes that ingest records into it.

    Attributes:
        name: in the table and the picture.
        limits: pairs: requests a second that may be accepted, and the second from which that is so. None: as many as
            the scenario without a limit reached. They change the service's rate while it runs, if it has one.
        service: its options.
        seconds: how long it lasts.
        settled: the second from which the goodput and refusals count as settled.
        latencies: pairs: the latency, and the second from which it is so.
        processes: how many run at once.
        concurrency: `--concurrency` of each; None for the default.
        rate: `--rate` of each.
        nginx: lines of nginx's `limit_req` for zones in front of the service; empty for no nginx.
        since: the first pair of results starts at this second.
        most_refused: the targets for the share of 429s: from `since` on, and from `settled` on; None for no target.
        goodput: the targets for the used share of the limit, from the same two seconds on.
    """

    name: str
    limits: Limits
    service: SimulatorOptions
    seconds: float = 30.0
    settled: float = 15.0
    latencies: Sequence[tuple[float, float]] = ()
    processes: int = 1
    concurrency: int | None = None
    rate: float | None = None
    nginx: Sequence[tuple[str, str]] = ()
    since: float = 0.0
    most_refused: tuple[float | None, float | None] = (0.01, 0.005)
    goodput: tuple[float | None, float | None] = (0.93, 0.97)

    def limit_at(self, second: float) -> float | None:
        """Return the limit at a second."""
        return [limit for limit, start in self.limits if start <= second][-1]

    def allowed(self, start: float, end: float, unlimited: float | None) -> float | None:
        """Return how many requests are allowed between two seconds; None if it is not known."""
        edges = sorted({start, end, *(at for _, at in self.limits if start < at < end)})
        spans = [(self.limit_at(one) or unlimited, two - one) for one, two in pairwise(edges)]
        return None if None in dict(spans) else sum((limit or 0.0) * seconds for limit, seconds in spans)


_LATENCY = 0.03
_NO_LIMIT = Scenario(
    name="no limit",
    limits=[(None, 0.0)],
    service=SimulatorOptions(latency=_LATENCY),
    settled=10.0,
    goodput=(None, None),
    most_refused=(None, None),
)
"""What the machine makes: the scenarios after it are compared with it."""


def _of_kind(kind: str, rate: float, retry_after: int | None = None, *, seconds: float = 75.0) -> Scenario:
    """Return a kind of the laboratory at 30 ms. The best constant rate on virtual time is its limit."""
    case = Case(kind, rate, latency=_LATENCY, retry_after=retry_after)
    best = best_constant_rate(case)
    most = best.refused_share + 0.01
    service = SimulatorOptions(limiter=parse_limiter(case.text), latency=_LATENCY, seed=1)
    return Scenario(
        name=case.text + (f", Retry-After: {retry_after}" if retry_after else ""),
        limits=[(None if case.has_no_limit else best.accepted, 0.0)],
        service=service if retry_after is None else replace(service, retry_after=retry_after),
        seconds=seconds,
        settled=25.0,
        most_refused=(0.01, 0.005) if case.is_plain else (None, most),
        goodput=(0.93, 0.97) if case.is_plain else (0.88, 0.95),
    )


_BUCKET = "bucket:{rate:g}/s,burst=0.1"


def kinds(rate: float) -> Sequence[Scenario]:
    """Return the kinds of limiters that are run in real time, with a limit of so many requests a second."""
    return (
        _of_kind(_BUCKET, rate),
        _of_kind("tenants:{rate:g}/s,burst=0.1", rate),
        _of_kind("nodes:{rate:g}/s,nodes=4,burst=0.1", rate),
        _of_kind("nodes:{rate:g}/s,nodes=16,burst=0.1", rate),
        _of_kind("sliding:{rate:g}/s,window=1", rate),
        _of_kind("fixed:{rate:g}/s,window=1", rate),
        _of_kind("fixed:{rate:g}/s,window=10", rate),
        _of_kind("shed:0.5%", rate),
        _of_kind("shed:1%+" + _BUCKET, rate),
        _of_kind(_BUCKET, rate, 1),
        _of_kind("shed:0.5%", rate, 1),
    )


def _bucket(limit: float, burst: float, latency: float, *, seconds: float = 30.0) -> Scenario:
    return Scenario(
        name=f"{limit:,.0f}/s, burst {burst:g} s, {1000 * latency:g} ms",
        limits=[(limit, 0.0)],
        service=SimulatorOptions(rate=limit, burst=burst, latency=latency),
        seconds=seconds,
        settled=seconds / 2,
    )


_FALL = Scenario(
    name="300/s falls to 50/s",
    limits=[(300.0, 0.0), (50.0, 15.0)],
    service=SimulatorOptions(rate=300.0, burst=0.1, latency=0.05),
    seconds=36.0,
    since=15.0,
    settled=20.0,
    most_refused=(None, 0.01),
    goodput=(0.90, 0.95),
)
_RISE = Scenario(
    name="100/s rises to 300/s",
    limits=[(100.0, 0.0), (300.0, 12.0)],
    service=SimulatorOptions(rate=100.0, burst=0.1, latency=0.05),
    seconds=34.0,
    since=12.0,
    settled=22.0,
    goodput=(0.70, 0.95),
)
_TWO = Scenario(
    name="two processes on 400/s",
    limits=[(400.0, 0.0)],
    service=SimulatorOptions(rate=400.0, burst=0.1, latency=0.05),
    processes=2,
    seconds=60.0,
    settled=45.0,
    most_refused=(None, None),
    goodput=(0.90, 0.93),
)
_AT_ONCE = Scenario(
    name="20 at once, not a rate",
    limits=[(20 / 0.052, 0.0)],
    service=SimulatorOptions(concurrency=20, latency=0.05),
    settled=15.0,
    most_refused=(None, 0.01),
    goodput=(0.88, 0.95),
)
_CEILING = Scenario(
    name="--rate 200, no limit",
    limits=[(200.0, 0.0)],
    service=SimulatorOptions(latency=0.05),
    rate=200.0,
    seconds=12.0,
    settled=4.0,
)
BUCKETS = (
    _bucket(20.0, 1.0, 0.05, seconds=60.0),
    _bucket(300.0, 0.1, 0.005, seconds=60.0),
    _bucket(300.0, 1.0, 0.2),
    _bucket(1000.0, 1.0, 0.02),
    _bucket(2000.0, 0.1, 0.01, seconds=20.0),
    _FALL,
    _RISE,
    _TWO,
    _AT_ONCE,
    _CEILING,
)

_NGINX = Scenario(
    name="nginx 300/s, burst 30",
    limits=[(300.0, 0.0)],
    service=SimulatorOptions(latency=0.02),
    nginx=[("300r/s", "burst=30 nodelay")],
)
NGINX = (
    _NGINX,
    replace(
        _NGINX, name="nginx 300/s, no burst", nginx=[("300r/s", "")], goodput=(None, None), most_refused=(None, None)
    ),
    replace(_NGINX, name="nginx 300/s, queue of 150", nginx=[("300r/s", "burst=150")], most_refused=(None, 0.01)),
    replace(
        _NGINX,
        name="nginx 300/s, 200/s in the long run",
        nginx=[("300r/s", "burst=30 nodelay"), ("200r/s", "burst=1000 nodelay")],
        limits=[(300.0, 0.0), (200.0, 10.0)],
        seconds=60.0,
        settled=30.0,
        goodput=(0.88, 0.95),
        most_refused=(None, 0.01),
    ),
)


def _slow(name: str, goodput: float, service: SimulatorOptions) -> Scenario:
    return replace(
        _NO_LIMIT,
        name=name,
        service=service,
        seconds=40.0,
        settled=15.0,
        goodput=(None, goodput),
    )


def _faults(fault: InjectedFault, share: float, **others: float) -> SimulatorOptions:
    return replace(_NO_LIMIT.service, faults={fault: share}, **others)  # type: ignore[arg-type]  # slow, retry_tokens


ANSWERS = (
    _slow("2 % take 0 to 3 s", 0.90, _faults(InjectedFault.SLOW, 0.02, slow=0.0, slow_jitter=3.0)),
    _slow("0.2 % never answered", 0.90, _faults(InjectedFault.HANG, 0.002)),
    _slow("1 % never answered", 0.90, _faults(InjectedFault.HANG, 0.01)),
    _slow("5 % never answered", 0.70, _faults(InjectedFault.HANG, 0.05)),
    _slow("1 % never answered, no tokens", 0.80, _faults(InjectedFault.HANG, 0.01, retry_tokens=False)),
    _slow("2 % get 503", 0.90, _faults(InjectedFault.ERROR_503, 0.02)),
    replace(
        _slow("all take 3 s from 15 s on", 0.0, _NO_LIMIT.service),
        latencies=[(_LATENCY, 0.0), (3.0, 15.0)],
        settled=20.0,
    ),
)

PARTS: Mapping[str, Callable[[float], Sequence[Scenario]]] = {
    "plain": lambda _: (_NO_LIMIT,),
    "limiters": kinds,
    "buckets": lambda _: BUCKETS,
    "nginx": lambda _: NGINX,
    "hung": lambda _: ANSWERS,
}
"""The scenarios by the word that selects them, in the order in which they run."""

QUICK: Mapping[str, Callable[[float], Sequence[Scenario]]] = {
    "plain": lambda _: (replace(_NO_LIMIT, seconds=12.0, settled=6.0),),
    "limiters": lambda rate: [_of_kind("nodes:{rate:g}/s,nodes=4,burst=0.1", rate, seconds=35.0)],
    "buckets": lambda _: (_bucket(300.0, 0.1, 0.02, seconds=16.0), _FALL),
    "nginx": lambda _: (_NGINX,),
    "hung": lambda _: ANSWERS[2:3],
}
"""The same, in a few minutes."""
