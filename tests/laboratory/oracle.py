"""The oracle: the best constant rate for the objective, which is accepted - 4 x refused attempts a second."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import heappop, heappush
from random import Random

from tests.laboratory.cases import Case
from tests.laboratory.simulation import Service

PRICE = 4.0
"""What one refusal costs, in accepted attempts."""

MACHINE = 2300.0
"""Attempts a second that a client's machine makes."""

_COARSE = tuple(number / 20 for number in range(8, 22))  # rates that are tried first, as shares of the limit
_FINE = tuple(number / 100 for number in (-4, -3, -2, -1, 1, 2, 3, 4))  # around the best of them
_SECONDS = 50.0  # that a rate is tried, at least
_WINDOWS = 4  # that a rate is tried, at least
_ATTEMPTS = 1500  # worth of the limit that a rate is tried, at least
_OVERLOAD = 2.0  # seconds of twice the limit at the beginning
_SEED = 7


@dataclass(frozen=True, slots=True, order=True)
class Best:
    """What a constant rate reaches. Best is what has the highest utility. All are a second."""

    utility: float
    rate: float
    accepted: float
    refused: float

    @property
    def refused_share(self) -> float:
        return self.refused / max(1e-9, self.accepted + self.refused)


def best_constant_rate(case: Case, machine: float = MACHINE) -> Best:
    """Search the best constant rate, to a percent of the limit or of what the machine makes."""
    return _search(replace(case, stall=0.0, retry_after=None), machine)


@cache
def _search(case: Case, machine: float) -> Best:
    top = case.rate if case.has_rate else machine
    coarse = max(_try(case, [share * top for share in _COARSE if share * top <= machine]))
    fine = _try(case, [rate for share in _FINE if 0 < (rate := coarse.rate + share * top) <= machine])
    return max(coarse, *fine)


def _try(case: Case, rates: Sequence[float]) -> Iterator[Best]:
    begin = case.settled_after
    end = begin + max(_SECONDS, _WINDOWS * case.spec.window, _ATTEMPTS / case.rate)
    for rate in rates:
        accepted, refused = constant_rate(case, rate, begin, end)
        yield Best(accepted - PRICE * refused, rate, accepted, refused)


def constant_rate(case: Case, rate: float, begin: float, end: float, seed: int = _SEED) -> tuple[float, float]:
    """Send at a constant rate; return the accepted and refused attempts a second from `begin` to `end`.

    The requests reach the limiter as in a `Simulation`: their ways vary. An overload at the beginning uses up what the
    limiter admits at once, so that a rate is best only if it can last.
    """
    random, service = Random(seed), Service()
    limiter, epoch = case.spec.make(random), 1000 + 60 * random.random()
    way, jitter = service.transit * case.latency, 2 * service.jitter
    sends = [*_overload(case), *(_OVERLOAD + number / rate for number in range(int((end - _OVERLOAD) * rate) + 1))]
    arrivals = sorted(at + way * (1 + jitter * (random.random() - 0.5)) for at in sends)
    counts = [0, 0]
    answers: list[float] = []  # when those in service are answered
    for at in arrivals:
        while answers and answers[0] <= at:
            heappop(answers)
        wait = limiter.admit(epoch + at, len(answers) + 1)
        if wait is not None:
            back = (1 - service.transit) * case.latency
            heappush(answers, at + wait + back * (1 + jitter * (random.random() - 0.5)))
        if at >= begin:
            counts[wait is None] += 1
    return counts[0] / (end - begin), counts[1] / (end - begin)


def _overload(case: Case) -> list[float]:
    """Return when the attempts of the beginning are sent: at twice the limit."""
    return [number / (2 * case.rate) for number in range(int(2 * case.rate * _OVERLOAD))]
