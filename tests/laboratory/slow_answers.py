"""A service without a limit that answers some requests late or never, or becomes slow for all."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from ingestor.policy.attempt_timeout import AttemptTimeout
from ingestor.simulator.limiter_spec import parse_limiter
from tests.laboratory.cases import UNLIMITED
from tests.laboratory.oracle import MACHINE
from tests.laboratory.outcome import default_control
from tests.laboratory.simulation import Client, Late, Make, Service, Simulation

_LONGEST = 60.0  # the default of --timeout
_BEGIN, _END = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class SlowAnswers:
    """Which answers are late, and the share of the plain rate that is required."""

    label: str
    late: Late
    required: float
    latency: float = 0.03


@dataclass(frozen=True, slots=True)
class Answered:
    """The share that was answered, of what is answered where no answer is late; and attempts for each answer."""

    slow: SlowAnswers
    seed: int
    share: float
    attempts: float
    most_in_flight: int

    @property
    def is_missed(self) -> bool:
        return self.share < self.slow.required


def try_slow_answers(slow: SlowAnswers, seed: int, make: Make = default_control, machine: float = MACHINE) -> Answered:
    """Run a service whose answers are late, and the same service without late ones."""
    client = send_for_a_minute(Service(latency=slow.latency, late=slow.late), seed, make, machine)
    plain = send_for_a_minute(Service(latency=slow.latency), seed, make, machine)
    share = client.accepted_rate(_BEGIN, _END) / plain.accepted_rate(_BEGIN, _END)
    return Answered(slow, seed, share, client.sent / sum(client.accepted), client.most_in_flight)


def send_for_a_minute(service: Service, seed: int, make: Make = default_control, machine: float = MACHINE) -> Client:
    """Send to a service without a limit, with retry tokens: what is given up may be sent again."""
    client = Client(make(0.0), machine=machine, timeout=AttemptTimeout(_LONGEST), longest=_LONGEST)
    Simulation(parse_limiter(UNLIMITED).make(Random(seed)), [client], service, seed=seed).run(_END)
    return client


def all_slow_answers() -> Iterator[SlowAnswers]:
    """Yield slow and hung answers with the shares that are required of them."""
    for latency in (0.03, 0.3):
        yield SlowAnswers("2 % take 0 to 3 s", Late(0.02, 0.0, 3.0), 0.90, latency)
        yield SlowAnswers("0.2 % are never answered", Late(0.002), 0.90, latency)
        yield SlowAnswers("1 % are never answered", Late(0.01), 0.90, latency)
        yield SlowAnswers("5 % are never answered", Late(0.05), 0.70, latency)
