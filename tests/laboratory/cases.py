"""The limiters that are tried: as texts for `--limiter`, so that `ingestor simulate` can run each of them too."""

from collections.abc import Iterator
from dataclasses import dataclass

from ingestor.simulator.limiter_spec import LimiterSpec, parse_limiter

_BUCKET = "bucket:{rate:g}/s,burst=0.1"

BASIC = (
    _BUCKET,
    "bucket:{rate:g}/s,burst=1",
    "tenants:{rate:g}/s,burst=0.1",
    "nodes:{rate:g}/s,nodes=4,burst=0.1",
    "nodes:{rate:g}/s,nodes=16,burst=0.1",
    "nodes:{rate:g}/s,nodes=4,burst=0.1,uneven",
    "sliding:{rate:g}/s,window=1",
    "sliding:{rate:g}/s,window=10",
    "sliding:{rate:g}/s,window=1,count-refused",
    "sliding:{rate:g}/s,window=10,count-refused",
    "fixed:{rate:g}/s,window=1",
    "fixed:{rate:g}/s,window=10",
    "fixed:{rate:g}/s,window=60",
    "hot:2%,limit={percent:g}/s,burst=0.1+" + _BUCKET,
    "hot:10%,limit={five_percent:g}/s,burst=0.1+" + _BUCKET,
    "leaky:{rate:g}/s,queue=0.1",
    "leaky:{rate:g}/s,queue=1",
    "at-once:20",
)
"""Limiters, each for any rate. A hot key takes half of what comes to it at the limit."""

SHED_ALONE = ("shed:0.1%", "shed:0.5%", "shed:2%", "shed:5%")
SHED_BEFORE = ("shed:1%", "shed:5%")
UNLIMITED, REFUSES_ALL = "shed:0%", "shed:100%"

KINDS = (
    *BASIC,
    *SHED_ALONE,
    *(f"{shed}+{kind}" for kind in BASIC for shed in SHED_BEFORE),
    UNLIMITED,
    REFUSES_ALL,
)
"""All kinds that are tried at 500/s and 30 ms."""

WITH_RETRY_AFTER = (*BASIC, "shed:0.5%")
"""Kinds that are also tried with `Retry-After: 1` on each 429."""

ELSEWHERE = (
    "bucket:{rate:g}/s,burst=1",
    "nodes:{rate:g}/s,nodes=4,burst=0.1",
    "fixed:{rate:g}/s,window=1",
    "fixed:{rate:g}/s,window=10",
    "sliding:{rate:g}/s,window=1",
    "tenants:{rate:g}/s,burst=0.1",
    "shed:5%",
    "shed:1%+bucket:{rate:g}/s,burst=1",
)
"""Kinds that are also tried at other rates and latencies, and with a client on a busy machine."""

RATES = (5.0, 20.0, 50.0, 2000.0)
LATENCIES = (0.005, 0.3)
STALL = 0.03
AT_ONCE = 0.02
"""The transit where a refusal takes no time, and an accepted request takes the latency."""
_SMALLEST_FOR_NODES = 100.0  # requests a second: at fewer, a node's bucket holds less than two


@dataclass(frozen=True, slots=True)
class Case:
    """A limiter, and where it is tried.

    Attributes:
        kind: the text of the limiter, for any rate.
        rate: its limit, requests a second.
        latency: of the service, seconds.
        retry_after: what each 429 says, seconds; None for nothing.
        stall: seconds that the client's event loop is late now and then.
        transit: the share of the latency that a request takes to the limiter; little where the service itself is slow.
    """

    kind: str
    rate: float = 500.0
    latency: float = 0.03
    retry_after: float | None = None
    stall: float = 0.0
    transit: float = 0.5

    @property
    def text(self) -> str:
        return self.kind.format(rate=self.rate, percent=self.rate / 100, five_percent=self.rate / 20)

    @property
    def spec(self) -> LimiterSpec:
        return parse_limiter(self.text)

    @property
    def label(self) -> str:
        after = f", Retry-After: {self.retry_after:g}" if self.retry_after else ""
        stall = f", {1000 * self.stall:g} ms late" if self.stall else ""
        transit = ", refused at once" if self.transit == AT_ONCE else ""
        return f"{self.text}, {1000 * self.latency:g} ms{after}{stall}{transit}"

    @property
    def has_rate(self) -> bool:
        """Whether a limiter of the case limits the rate."""
        return "{rate" in self.kind

    @property
    def is_plain(self) -> bool:
        """Whether the limiter is one token bucket."""
        return self.kind.startswith("bucket:") and "+" not in self.kind

    @property
    def has_no_limit(self) -> bool:
        """Whether the limiter refuses at any rate alike."""
        return self.kind.startswith("shed:") and "+" not in self.kind

    @property
    def settled_after(self) -> float:
        """From when a run counts as settled: after 25 s, or after three windows."""
        return max(25.0, 3 * self.spec.window)

    @property
    def first_part(self) -> float:
        """How long the first part is: a minute, or three windows of 10 s and more."""
        window = self.spec.window
        return 60.0 if window < 10 else 3 * window

    @property
    def end(self) -> float:
        """When a run ends: 50 s later, later where windows are long, and 5 minutes later where little is sent."""
        settled = self.settled_after
        if self.rate <= 30:
            return settled + 300
        return max(settled + 50, self.first_part, 3 * settled if self.spec.window >= 10 else 0)


def all_cases() -> Iterator[Case]:
    """Yield the cases of `make bench-rate`."""
    yield from (Case(kind) for kind in KINDS)
    yield from (Case(kind, retry_after=1.0) for kind in WITH_RETRY_AFTER)
    for kind in ELSEWHERE:
        for rate in RATES if "{rate" in kind else ():
            if rate >= _SMALLEST_FOR_NODES or not kind.startswith("nodes"):
                yield Case(kind, rate)
        yield from (Case(kind, latency=latency) for latency in LATENCIES)
        yield Case(kind, stall=STALL)
        yield Case(kind, transit=AT_ONCE)
