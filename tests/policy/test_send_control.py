"""The rate and the number in flight, joined: what each learns from an answer."""

from collections.abc import Callable
from random import Random

import pytest

from ingestor.policy.rate.controller import RateController
from ingestor.policy.send_control import SendControl
from ingestor.simulator.limiter_spec import parse_limiter
from tests.laboratory.simulation import Client, Control, Service, Simulation

MOST = 1024


class RateAlone:
    """The rate controller without a limit on the attempts in flight."""

    size = MOST

    def __init__(self, now: float) -> None:
        self._rate = RateController(None, now)

    @property
    def rate(self) -> float:
        return self._rate.rate

    @property
    def resume_at(self) -> float:
        return self._rate.resume_at

    def sent(self, now: float, in_flight: int) -> None:
        self._rate.sent(now)

    def accepted(self, now: float, sent_at: float) -> None:
        self._rate.accepted(now, sent_at)

    def throttled(self, now: float, sent_at: float, retry_after: float | None) -> None:
        self._rate.throttled(now, sent_at, retry_after)


def run(make: Callable[[float], Control], text: str, seed: int, latency: float = 0.03) -> Client:
    client = Client(make(0.0), machine=600.0)
    limiter = parse_limiter(text).make(Random(seed))
    Simulation(limiter, [client], Service(latency=latency), seed=seed).run(25.0)
    return client


def joined(now: float) -> SendControl:
    return SendControl(None, MOST, now)


@pytest.mark.parametrize(
    "text",
    [
        "bucket:300/s,burst=0.1",
        "bucket:300/s,burst=1",
        "tenants:300/s,burst=0.1",
        "nodes:400/s,nodes=4,burst=0.1",
        "fixed:300/s,window=1",
        "fixed:300/s,window=10",
        "sliding:300/s,window=1",
        "hot:10%,limit=15/s,burst=0.1+bucket:300/s,burst=0.1",
        "shed:5%",
        "shed:1%+fixed:300/s,window=1",
        "shed:5%+bucket:300/s,burst=1",
    ],
)
def test_a_limit_on_the_rate_is_not_mistaken_for_one_on_the_number_in_flight(text: str) -> None:
    """Every attempt is sent at the same time as without a limit on their number, and gets the same answer."""
    client, alone = run(joined, text, seed=1), run(RateAlone, text, seed=1)
    assert (client.accepted, client.refused) == (alone.accepted, alone.refused)


@pytest.mark.parametrize("latency", [0.005, 0.3])
@pytest.mark.parametrize("text", ["bucket:300/s,burst=0.1", "fixed:300/s,window=1"])
def test_it_is_not_mistaken_at_other_latencies(text: str, latency: float) -> None:
    client, alone = run(joined, text, 2, latency), run(RateAlone, text, 2, latency)
    assert (client.accepted, client.refused) == (alone.accepted, alone.refused)


def test_the_ceiling_holds_for_the_rate_and_the_most_for_the_number_in_flight() -> None:
    control = SendControl(20.0, 16, 0.0, first_in_flight=64)
    assert control.rate <= 20.0
    assert control.size == 16


def test_the_first_number_in_flight_is_a_beginning() -> None:
    assert SendControl(None, MOST, 0.0, first_in_flight=64).size == 64


def test_a_pause_is_not_longer_than_the_longest_one() -> None:
    control, now = SendControl(None, 64, 0.0, max_pause=3.0), 0.0
    while not control.is_closed and now < 60.0:
        control.sent(now, 1)
        now += 0.1
        control.throttled(now, now - 0.1, 50.0)
    assert control.is_closed
    sent_at = max(now, control.resume_at)
    control.sent(sent_at, 1)
    control.throttled(sent_at + 0.1, sent_at, 50.0)
    assert sent_at + 2.9 <= control.resume_at <= sent_at + 3.2


def with_eight_places(times: int) -> tuple[SendControl, float]:
    """Overload a service that takes 8 at once, time and again; return the control and the time."""
    control, now = SendControl(None, 64, 0.0), 0.0
    for _ in range(times):
        for level in range(1, 10):
            control.sent(now + level / 1000, level)
        control.throttled(now + 0.03, now + 0.009)
        for level in range(1, 9):
            control.accepted(now + 0.1 + level / 1000, now + level / 1000)
        now += 1.0
    return control, now


def test_a_refusal_above_the_number_that_was_found_is_not_blamed_on_the_rate() -> None:
    control, now = with_eight_places(5)
    rate = control.rate
    for _ in range(20):
        control.sent(now, 9)
        control.throttled(now + 0.03, now)
        now += 0.05
    assert control.size == 8
    assert control.rate >= rate
    assert not control.is_closed


def test_the_rate_grows_at_once_when_the_number_in_flight_turns_out_to_be_the_limit() -> None:
    """Until then, the rate was held for seconds under what it seemed to be limited to."""
    client = Client(joined(0.0))
    run = Simulation(parse_limiter("at-once:20").make(Random(2)), [client], Service(transit=0.0), seed=2)
    control, now = client.control, 0.0
    while control.size == MOST:
        rate, now = control.rate, now + 0.01
        run.run(now)
    run.run(now + 0.5)
    assert control.rate > 2 * rate


def test_refusals_at_no_more_than_the_number_that_was_found_are_blamed_on_the_rate() -> None:
    control, now = with_eight_places(5)
    for _ in range(20):
        control.sent(now, 3)
        control.throttled(now + 0.03, now)
        now += 0.05
    assert control.is_closed
