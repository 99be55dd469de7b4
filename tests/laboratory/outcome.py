"""What a control reaches on a case, against the oracle and the requirements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from ingestor.policy.send_control import SendControl
from tests.laboratory.cases import REFUSES_ALL, Case
from tests.laboratory.oracle import MACHINE, Best, best_constant_rate
from tests.laboratory.simulation import Client, Control, Make, Service, Simulation

MOST_IN_FLIGHT, FIRST_IN_FLIGHT = 1024, 64
"""The default of `--concurrency`: auto."""

_FEW = 30.0  # requests a second, for which the number of refusals counts, not their share


def default_control(now: float) -> Control:
    """Return the control of a run with default settings."""
    return SendControl(None, MOST_IN_FLIGHT, now, first_in_flight=FIRST_IN_FLIGHT)


Needs = Mapping[str, float]
"""What must be reached, by name: those in AT_LEAST at least, all others at most."""

AT_LEAST = frozenset({"accepted", "first_accepted", "jain"})


def missed(reached: Needs, needed: Needs) -> dict[str, float]:
    """Return what is reached where it is not what is needed."""
    return {
        name: reached[name]
        for name, need in needed.items()
        if (reached[name] < need if name in AT_LEAST else reached[name] > need)
    }


PLAIN: Needs = {"accepted": 0.97, "refused": 0.005, "first_accepted": 0.93, "first_refused": 0.01}
"""What must be reached on one token bucket of 50/s and more: shares of the limit, and of the attempts."""


def required(case: Case, best: Best) -> Needs:
    """Return what must be reached on a case: shares of the oracle's accepted attempts, and of the attempts.

    At a few requests a second, 6 refusals a minute count, more than any share.
    """
    few = 6 / 60 / case.rate if case.rate <= _FEW else 0.0
    if case.kind == REFUSES_ALL:
        return {"sent_a_minute": 60}
    if case.is_plain and not few:
        return PLAIN
    refused = few if case.is_plain else best.refused_share + 0.01 + few
    return {"accepted": 0.95, "refused": refused, "first_accepted": 0.88}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a control reached on a case with a seed. `client` is the client that it had."""

    case: Case
    seed: int
    best: Best
    reached: Needs
    client: Client = field(repr=False)

    @property
    def misses(self) -> Mapping[str, float]:
        """What is reached where a requirement is missed."""
        return missed(self.reached, required(self.case, self.best))


def try_case(case: Case, seed: int, make: Make = default_control, machine: float = MACHINE) -> Outcome:
    """Run a case with one client, whose machine makes so many attempts a second."""
    best, begin, end = best_constant_rate(case, machine), case.settled_after, case.end
    client = Client(make(0.0), machine=machine, stall=case.stall)
    service = Service(latency=case.latency, retry_after=case.retry_after, transit=case.transit)
    Simulation(case.spec.make(Random(seed)), [client], service, seed=seed).run(end)
    scale = max(best.accepted, 1e-9)
    reached = {
        "accepted": client.accepted_rate(begin, end) / scale,
        "refused": client.refused_share(begin, end),
        "first_accepted": client.accepted_rate(0, case.first_part) / scale,
        "first_refused": client.refused_share(0, case.first_part),
        "sent_a_minute": 60 * (client.accepted_rate(begin, end) + client.refused_rate(begin, end)),
    }
    return Outcome(case, seed, best, reached, client)
