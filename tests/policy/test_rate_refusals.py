"""What a volley of refusals does to the rate: of attempts that were sent before the first refusal was heard of."""

from collections import deque
from collections.abc import Sequence

import pytest

from ingestor.policy.rate import RateController
from ingestor.policy.rate_course import CAUTION


def flying_at(rate: float, latency: float) -> tuple[RateController, list[float]]:
    """Return a controller that has come to a rate, and when each attempt was sent that is still in flight."""
    controller, flying, now, left = RateController(rate, 0.0), deque[float](), 0.0, 3 * latency
    while left > 0:
        now += 1 / controller.rate
        while flying and flying[0] + latency <= now:
            sent_at = flying.popleft()
            controller.accepted(sent_at + latency, sent_at)
        flying.append(now)
        controller.sent(now, len(flying))
        left -= controller.rate == rate and 1 / rate
    return controller, list(flying)


def answer(controller: RateController, volley: Sequence[float], latency: float, accepted_every: int) -> list[float]:
    """Refuse a volley but for every so manieth attempt, 0 for none; return the rate after each answer."""
    rates = []
    for number, sent_at in enumerate(volley, 1):
        if accepted_every and number % accepted_every == 0:
            controller.accepted(sent_at + latency, sent_at)
        else:
            controller.throttled(sent_at + latency, sent_at)
        rates.append(controller.rate)
    return rates


def proven(volley: Sequence[float], accepted_every: int) -> float:
    """Return the rate at which a volley was accepted, by a cautious reading; one attempt of it counts in any case."""
    accepted = len(volley) // accepted_every if accepted_every else 0
    return CAUTION * max(1, accepted) / (volley[-1] - volley[0])


@pytest.mark.parametrize("accepted_every", [0, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("latency", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("rate", [30.0, 300.0, 2000.0])
def test_however_many_of_a_volley_are_refused_at_least_half_of_what_it_proves_is_kept(
    rate: float, latency: float, accepted_every: int
) -> None:
    """The first refusal cuts by a guess. Those behind it cut to what is accepted among them, not one by one.

    Half: the last few refusals count alone where they tell of a limit far lower, and so few may be out by as much.
    """
    controller, volley = flying_at(rate, latency)
    rates = answer(controller, volley, latency, accepted_every)
    assert min(rates) >= 0.5 * min(rates[0], proven(volley, accepted_every))


@pytest.mark.parametrize("accepted_every", [0, 2, 3, 5, 10, 50])
@pytest.mark.parametrize(("rate", "latency"), [(100.0, 1.0), (300.0, 0.2), (2000.0, 0.1), (2000.0, 1.0)])
def test_the_end_of_a_long_volley_leaves_the_rate_at_what_it_proves(
    rate: float, latency: float, accepted_every: int
) -> None:
    controller, volley = flying_at(rate, latency)
    rates = answer(controller, volley, latency, accepted_every)
    assert rates[-1] >= 0.9 * min(rates[0], proven(volley, accepted_every))


@pytest.mark.parametrize("heard", [1, 5, 30])
def test_what_is_heard_of_a_volley_after_its_epoch_changes_nothing(heard: int) -> None:
    controller, volley = flying_at(300.0, 0.2)
    answer(controller, volley[:heard], 0.2, 0)
    later = volley[-1] + 0.2
    controller.sent(later)
    controller.accepted(later + 0.001, later)
    rate = controller.rate
    for sent_at in volley[heard:]:
        controller.throttled(later + 0.002, sent_at)
        assert controller.rate == rate
