"""Limits that fall and rise, and several clients on one limit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ingestor.simulator.limiters import TokenBucket
from tests.laboratory.oracle import MACHINE
from tests.laboratory.outcome import default_control
from tests.laboratory.simulation import Client, Make, Service, Simulation

_BURST = 0.2  # seconds of the limit
_WITHIN_FALL, _WITHIN_RISE = 5.0, 10.0
_SPAN = 3.0  # seconds over which a change counts as followed
_AFTER = 50.0  # seconds that are simulated after a change


@dataclass(frozen=True, slots=True)
class Change:
    """A limit that becomes another, attempts a second, some seconds after the beginning."""

    before: float
    after: float
    latency: float = 0.03
    at: float = 30.0

    @property
    def is_fall(self) -> bool:
        return self.after < self.before

    @property
    def limit(self) -> float:
        """How many seconds it may take until the change is followed."""
        return _WITHIN_FALL if self.is_fall else _WITHIN_RISE

    @property
    def label(self) -> str:
        word = "falls" if self.is_fall else "rises"
        return f"{self.before:.0f}/s {word} to {self.after:.0f}/s, {1000 * self.latency:g} ms"


@dataclass(frozen=True, slots=True)
class Followed:
    """How a change was followed: after how many seconds, and which share was refused in the 20 s after it."""

    change: Change
    seed: int
    within: float
    refused: float
    client: Client = field(repr=False)

    @property
    def is_missed(self) -> bool:
        return self.within > self.change.limit


def try_change(change: Change, seed: int, make: Make = default_control, burst: float = _BURST) -> Followed:
    """Run a change. It is followed once 90 % of the new limit are accepted for 3 s.

    After a fall, refusals must also be at most a tenth of the new limit.
    """

    def limit(now: float) -> float:
        return change.after if now - began >= change.at else change.before

    client = Client(make(0.0), machine=MACHINE)
    simulation = Simulation(TokenBucket(limit, burst), [client], Service(latency=change.latency), seed=seed)
    began = simulation.epoch
    simulation.run(change.at + _AFTER)
    within = next(
        (tenth / 10 for tenth in range(int(10 * (_AFTER - _SPAN))) if _follows(client, change, tenth)), _AFTER
    )
    return Followed(change, seed, within, client.refused_share(change.at, change.at + 20), client)


def _follows(client: Client, change: Change, tenth: int) -> bool:
    begin = change.at + tenth / 10
    refused = client.refused_rate(begin, begin + _SPAN)
    return client.accepted_rate(begin, begin + _SPAN) >= 0.9 * change.after and (
        not change.is_fall or refused <= 0.1 * change.after
    )


def all_changes() -> Iterator[Change]:
    """Yield falls to a sixth and rises to three times."""
    for rate, latency in ((500.0, 0.03), (2000.0, 0.03), (120.0, 0.03), (500.0, 0.2), (500.0, 0.005)):
        yield Change(rate, rate / 6, latency)
        yield Change(rate / 3, rate, latency)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Several clients on one limit, attempts a second. Each starts some seconds after the one before."""

    clients: int
    rate: float
    apart: float = 0.0
    latency: float = 0.03

    @property
    def label(self) -> str:
        return f"{self.clients} clients on {self.rate:g}/s, {self.apart:g} s apart"


@dataclass(frozen=True, slots=True)
class Shared:
    """What the clients got in the last 15 s of the first minute in which all send.

    `jain` is Jain's fairness index: 1 where all get the same, 1/n where one of n gets everything.
    """

    sharing: Sharing
    seed: int
    jain: float
    used: float
    refused: float

    @property
    def is_missed(self) -> bool:
        return self.jain < 0.9 or self.used < 0.93


def try_sharing(sharing: Sharing, seed: int, make: Make = default_control) -> Shared:
    """Run several clients for a minute after the last one started."""
    starts = [number * sharing.apart for number in range(sharing.clients)]
    clients = [Client(make(start), starts=start, machine=MACHINE) for start in starts]
    simulation = Simulation(TokenBucket(sharing.rate, _BURST), clients, Service(latency=sharing.latency), seed=seed)
    begin, end = starts[-1] + 45, starts[-1] + 60
    simulation.run(end)
    each = [client.accepted_rate(begin, end) for client in clients]
    refused = sum(client.refused_rate(begin, end) for client in clients)
    return Shared(sharing, seed, jain(each), sum(each) / sharing.rate, refused / max(1e-9, refused + sum(each)))


def jain(shares: list[float]) -> float:
    """Return Jain's fairness index of what each got."""
    return sum(shares) ** 2 / max(1e-9, len(shares) * sum(share * share for share in shares))


def all_sharings() -> Iterator[Sharing]:
    """Yield two, four and eight clients, at the same time and one after the other."""
    for rate in (500.0, 100.0, 2000.0):
        for clients in (2, 4, 8):
            yield from (Sharing(clients, rate, apart) for apart in (0.0, 5.0))
