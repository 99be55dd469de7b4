"""Services with a limit on the requests in service, or with a queue; and a client with `SendControl`."""

from collections.abc import Callable
from heapq import heapreplace
from random import Random

from ingestor.policy.send_control import SendControl
from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.limiters import Limiter
from tests.laboratory.simulation import Client, Service, Simulation

AUTO_FIRST, AUTO_MOST = 64, 1024
"""As `--concurrency auto` has them."""


def limiter(text: str, seed: int = 1) -> Limiter:
    """Return a limiter as `--limiter` reads it."""
    return parse_limiter(text).make(Random(seed))


class Workers:
    """Serves so many requests at once, each for some seconds. Others wait in a queue; none is refused."""

    def __init__(self, count: int, seconds: float) -> None:
        self._seconds = seconds
        self._free_at = [0.0] * count

    def admit(self, now: float, in_service: int) -> float | None:
        done_at = max(now, self._free_at[0]) + self._seconds
        heapreplace(self._free_at, done_at)
        return done_at - now

    def retry_after(self, now: float) -> float:
        return 0.0


class Serial(Workers):
    """Carries out one request after the other, so many a second. The latency of the service is added to that."""

    def __init__(self, rate: float) -> None:
        super().__init__(1, 1 / rate)


class Run:
    """One client with SendControl against a service, on virtual time."""

    def __init__(
        self,
        limiter: Limiter,
        service: Service,
        *,
        ceiling: float | None = None,
        most: int = AUTO_MOST,
        first: int | None = AUTO_FIRST,
        machine: float = 2300.0,
        seed: int = 1,
    ) -> None:
        control = SendControl(ceiling, most, 0.0, first_in_flight=first)
        self.client = Client(control, machine=machine)
        self._simulation = Simulation(limiter, [self.client], service, seed=seed)

    def until(self, time: float, limiter: Limiter | None = None) -> "Run":
        """Let time pass, with another limiter from now on if one is given."""
        if limiter is not None:
            self._simulation.limiter = limiter
        self._simulation.run(time)
        return self

    def sizes(self, begin: int, end: int) -> list[int]:
        """Let time pass; return the size at each second."""
        return [self.until(float(time)).client.control.size for time in range(begin, end)]

    @property
    def in_flight(self) -> int:
        return self.client.in_flight

    def accepted(self, begin: float, end: float) -> float:
        """Return accepted attempts a second."""
        return self.client.accepted_rate(begin, end)

    def refused(self, begin: float, end: float) -> float:
        """Return the share of the attempts that were refused."""
        return self.client.refused_share(begin, end)


def slower_at(time: float, before: float, after: float) -> Callable[[float], float]:
    """Return a latency that changes at a time."""
    return lambda now: before if now < time else after
