"""What a burst of refusals does to the rate: refusals of attempts that were sent before the first one was received."""

from collections import deque
from collections.abc import Sequence

import pytest

from ingestor.policy.rate import RateController
from ingestor.policy.rate_constants import CONSTANTS


def in_flight_at(rate: float, latency: float) -> tuple[RateController, list[float]]:
    """Return a controller that has reached a rate, and when each attempt was sent that is still in flight."""
    controller, in_flight, now, left = RateController(rate, 0.0), deque[float](), 0.0, 3 * latency
    while left > 0:
        now += 1 / controller.rate
        while in_flight and in_flight[0] + latency <= now:
            sent_at = in_flight.popleft()
            controller.accepted(sent_at + latency, sent_at)
        in_flight.append(now)
        controller.sent(now, len(in_flight))
        left -= controller.rate == rate and 1 / rate
    return controller, list(in_flight)


def answer(controller: RateController, burst: Sequence[float], latency: float, accepted_every: int) -> list[float]:
    """Refuse a burst but for each `accepted_every`th attempt, 0 for none; return the rate after each answer."""
    rates = []
    for number, sent_at in enumerate(burst, 1):
        if accepted_every and number % accepted_every == 0:
            controller.accepted(sent_at + latency, sent_at)
        else:
            controller.throttled(sent_at + latency, sent_at)
        rates.append(controller.rate)
    return rates


def proven(burst: Sequence[float], accepted_every: int) -> float:
    """Return the rate at which a burst was accepted, less the distance of a hold; one attempt counts in any case."""
    accepted = len(burst) // accepted_every if accepted_every else 0
    return (1 - CONSTANTS.hold_below) * max(1, accepted) / (burst[-1] - burst[0])


@pytest.mark.parametrize("accepted_every", [0, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("latency", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("rate", [30.0, 300.0, 2000.0])
def test_at_least_half_of_what_a_burst_proves_is_kept_however_many_of_it_are_refused(
    rate: float, latency: float, accepted_every: int
) -> None:
    """The first refusal cuts by a guess. Those after it cut to what is accepted among them, not one by one.

    Half: the last few refusals count alone where they show a far lower limit, and so few may be wrong by as much.
    """
    controller, burst = in_flight_at(rate, latency)
    rates = answer(controller, burst, latency, accepted_every)
    assert min(rates) >= 0.5 * min(rates[0], proven(burst, accepted_every))


@pytest.mark.parametrize("accepted_every", [0, 2, 3, 5, 10, 50])
@pytest.mark.parametrize(("rate", "latency"), [(100.0, 1.0), (300.0, 0.2), (2000.0, 0.1), (2000.0, 1.0)])
def test_the_end_of_a_long_burst_leaves_the_rate_at_what_it_proves(
    rate: float, latency: float, accepted_every: int
) -> None:
    controller, burst = in_flight_at(rate, latency)
    rates = answer(controller, burst, latency, accepted_every)
    assert rates[-1] >= 0.9 * min(rates[0], proven(burst, accepted_every))


@pytest.mark.parametrize("received", [1, 5, 30])
def test_refusals_of_a_burst_that_arrive_after_its_recovery_change_nothing(received: int) -> None:
    controller, burst = in_flight_at(300.0, 0.2)
    answer(controller, burst[:received], 0.2, 0)
    later = burst[-1] + 0.2
    controller.sent(later)
    controller.accepted(later + 0.001, later)
    rate = controller.rate
    for sent_at in burst[received:]:
        controller.throttled(later + 0.002, sent_at)
        assert controller.rate == rate
