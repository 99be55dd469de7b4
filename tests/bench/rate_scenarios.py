"""The scenarios of the rate benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A service with a limit, and processes that ingest records into it.

    Attributes:
        name: in the table and the picture.
        limits: pairs: requests a second (None: no limit), and the second from which that is so.
        seconds: how long it lasts.
        settled: the second from which the goodput and refusals count as settled.
        burst: how many seconds' worth of unused limit may be spent at once.
        latency: seconds that every response takes.
        in_flight: how many requests the service accepts at once; None is no limit.
        processes: how many run at once.
        concurrency: `--concurrency` of each.
        rate: `--rate` of each.
        nginx: the limit is nginx's `limit_req`, in front of the service.
        since: the first pair of results starts at this second.
        most_refused: the targets for the share of 429s: from `since` on, and from `settled` on.
        goodput: the targets for the used share of the limit, from the same two seconds on.
    """

    name: str
    limits: Sequence[tuple[float | None, float]]
    seconds: float = 30.0
    settled: float = 15.0
    burst: float = 0.1
    latency: float = 0.05
    in_flight: int | None = None
    processes: int = 1
    concurrency: int = 128
    rate: float | None = None
    nginx: bool = False
    since: float = 0.0
    most_refused: tuple[float, float] = (0.01, 0.005)
    goodput: tuple[float, float] = (0.93, 0.97)

    def limit_at(self, second: float) -> float | None:
        """Return the limit at a second."""
        return [limit for limit, start in self.limits if start <= second][-1]

    def allowed(self, start: float, end: float) -> float | None:
        """Return how many requests the limit allows between two seconds; None without a limit."""
        edges = sorted({start, end, *(at for _, at in self.limits if start < at < end)})
        spans = [(self.limit_at(one), two - one) for one, two in pairwise(edges)]
        if any(limit is None for limit, _ in spans):
            return None
        return sum((limit or 0.0) * seconds for limit, seconds in spans)


def _limit(limit: float, burst: float, latency: float, *, seconds: float = 30.0, concurrency: int = 128) -> Scenario:
    name = f"{limit:,.0f}/s, burst {burst:g} s, {1000 * latency:g} ms"
    settled = seconds / 2
    return Scenario(
        name=name,
        limits=[(limit, 0.0)],
        burst=burst,
        latency=latency,
        seconds=seconds,
        settled=settled,
        concurrency=concurrency,
    )


_FALL = Scenario(
    name="300/s falls to 50/s",
    limits=[(300.0, 0.0), (50.0, 15.0)],
    seconds=36.0,
    since=15.0,
    settled=20.0,
    most_refused=(0.03, 0.005),
    goodput=(0.90, 0.95),
)
_RISE = Scenario(
    name="100/s rises to 300/s",
    limits=[(100.0, 0.0), (300.0, 12.0)],
    seconds=34.0,
    since=12.0,
    settled=22.0,
    goodput=(0.70, 0.95),
)
_TWO = Scenario(
    name="two processes on 400/s", limits=[(400.0, 0.0)], processes=2, seconds=40.0, settled=20.0, goodput=(0.90, 0.95)
)
_NGINX = Scenario(name="nginx limit_req 300/s", limits=[(300.0, 0.0)], burst=0.1, latency=0.02, nginx=True)
_AT_ONCE = Scenario(
    name="20 at once, not a rate",
    limits=[(20 / 0.052, 0.0)],
    in_flight=20,
    seconds=20.0,
    settled=10.0,
    goodput=(0.80, 0.90),
)
_CEILING = Scenario(
    name="--rate 200, no limit", limits=[(200.0, 0.0)], burst=1e9, rate=200.0, seconds=12.0, settled=4.0
)

FULL = (
    _limit(20.0, 1.0, 0.05, seconds=60.0),
    _limit(300.0, 0.1, 0.005, seconds=60.0),
    _limit(300.0, 1.0, 0.2),
    _limit(1000.0, 1.0, 0.02),
    _limit(2000.0, 0.1, 0.01, seconds=20.0),
    _FALL,
    _RISE,
    _TWO,
    _NGINX,
    _AT_ONCE,
    _CEILING,
)
QUICK = (_limit(300.0, 0.1, 0.02, seconds=16.0), _FALL, _NGINX)
