"""The rate controller: what it promises, whatever the service does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.controller import RateController
from ingestor.policy.rate.phases import Phase
from tests.policy.rate.client import Bucket, Client, share

ANSWERS = st.lists(
    st.tuples(st.floats(0, 2), st.sampled_from(["accepted", "refused", "pause"]), st.floats(0, 1)), max_size=300
)


def live(controller: RateController, answers: list[tuple[float, str, float]]) -> None:
    """Send attempts at any times, and give each any answer after any latency."""
    now = 0.0
    for gap, answer, latency in answers:
        sent_at = now + gap
        now = sent_at + latency
        controller.sent(sent_at)
        if answer == "accepted":
            controller.accepted(now, sent_at)
        else:
            controller.throttled(now, sent_at, 5.0 if answer == "pause" else None)


def closed(max_pause: float = 60.0) -> tuple[RateController, float]:
    """Return the controller of a client that has just seen the service close, and the time."""
    controller = RateController(None, 0.0, max_pause=max_pause)
    now = 0.0
    while not controller.is_closed:
        now += 0.1
        controller.sent(now)
        controller.throttled(now + 0.03, now)
    return controller, now + 0.03


@given(ceiling=st.floats(0.6, 10_000), answers=ANSWERS)
def test_the_rate_is_never_above_the_ceiling_nor_under_the_lowest_rate(
    ceiling: float, answers: list[tuple[float, str, float]]
) -> None:
    controller = RateController(ceiling, 0.0)
    for answer in answers:
        live(controller, [answer])
        assert min(ceiling, CONSTANTS.lowest_rate) <= controller.rate <= ceiling


def test_a_ceiling_is_reached_where_the_service_has_no_limit() -> None:
    controller = RateController(400.0, 0.0)
    client = Client(controller, lambda _now: True)
    client.run(20.0)
    assert controller.rate == 400.0
    assert share(client.accepted, 10, 20) == pytest.approx(400, rel=0.01)


@pytest.mark.parametrize("rate", [50.0, 500.0])
def test_a_bucket_is_used_nearly_fully_and_few_attempts_are_refused(rate: float) -> None:
    client = Client(RateController(None, 0.0), Bucket(rate))
    client.run(85.0)
    assert share(client.accepted, 25, 85) >= 0.97 * rate
    assert share(client.refused, 25, 85) <= 0.006 * rate


def test_refusals_at_random_leave_the_rate_at_its_ceiling() -> None:
    count = 0

    def accepts(_now: float) -> bool:
        nonlocal count
        count += 1
        return count * 7 % 25 != 0  # 4 %

    client = Client(RateController(1000.0, 0.0), accepts)
    client.run(40.0)
    assert share(client.sent, 20, 40) >= 0.98 * 1000


def test_a_limit_that_falls_to_a_sixth_is_found_within_five_seconds() -> None:
    bucket = Bucket(600.0)
    client = Client(RateController(None, 0.0), bucket)
    client.run(30.0)
    bucket.rate = 100.0
    client.run(60.0)
    assert share(client.accepted, 35, 60) >= 0.9 * 100
    assert share(client.refused, 35, 60) <= 0.03 * 100


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_the_way_down_to_a_limit_of_a_few_attempts_a_second_costs_few_refusals(rate: float) -> None:
    client = Client(RateController(None, 0.0), Bucket(rate, 1.0), 0.005)
    client.run(60.0)
    assert len(client.refused) <= 33
    assert share(client.accepted, 10, 60) >= 0.8 * rate


def test_a_limit_that_triples_is_found_within_ten_seconds() -> None:
    bucket = Bucket(200.0)
    client = Client(RateController(None, 0.0), bucket)
    client.run(30.0)
    bucket.rate = 600.0
    client.run(50.0)
    assert share(client.accepted, 40, 50) >= 0.9 * 600


@pytest.mark.parametrize("latency", [0.005, 0.03, 0.3])
def test_a_service_that_refuses_everything_gets_at_most_one_attempt_a_second_after_ten_seconds(latency: float) -> None:
    client = Client(RateController(None, 0.0), lambda _now: False, latency)
    client.run(300.0)
    assert len(client.sent) < 120
    assert all(sum(second <= time < second + 1 for time in client.sent) <= 1 for second in range(10, 300))


def test_a_window_that_was_used_up_gets_few_attempts_until_it_ends_and_its_average_afterwards() -> None:
    used: dict[int, int] = {}

    def accepts(now: float) -> bool:
        window = int(now / 10)
        used[window] = used.get(window, 0) + 1
        return used[window] <= 3000

    client = Client(RateController(None, 0.0), accepts)
    client.run(90.0)
    assert share(client.accepted, 30, 90) >= 0.95 * 300
    assert share(client.refused, 30, 90) <= 0.01 * 300


def test_closures_while_no_limit_is_known_leave_a_rate_that_is_used() -> None:
    client = Client(RateController(None, 0.0), lambda now: now % 1.5 < 1)
    client.run(60.0)
    assert share(client.accepted, 30, 60) >= 30


def test_outside_of_a_closure_a_retry_after_delays_no_other_attempt() -> None:
    controller = RateController(None, 0.0)
    client = Client(controller, Bucket(300.0))
    client.run(20.0, retry_after=30.0)
    assert client.refused
    assert controller.resume_at < 20.0 - 5.0
    assert share(client.accepted, 10, 20) >= 0.9 * 300


@given(retry_after=st.floats(0, 1000), max_pause=st.floats(0, 100))
def test_within_a_closure_a_retry_after_delays_the_next_attempt_by_at_most_the_longest_pause(
    retry_after: float, max_pause: float
) -> None:
    controller, now = closed(max_pause)
    controller.sent(now + 1)
    before = controller.resume_at
    controller.throttled(now + 1.03, now + 1, retry_after)
    assert controller.resume_at == max(before, now + 1.03 + min(retry_after, max_pause))


def test_an_accepted_attempt_ends_a_closure_at_once() -> None:
    controller, now = closed()
    controller.sent(now + 1)
    controller.accepted(now + 1.03, now + 1)
    assert not controller.is_closed
    assert controller.resume_at <= now + 1.03


def test_answers_to_attempts_that_were_sent_before_the_service_closed_neither_end_nor_prolong_the_closure() -> None:
    controller, now = closed()
    before = controller.resume_at
    controller.accepted(now + 0.01, now - 0.02)
    controller.throttled(now + 0.02, now - 0.01, 30.0)
    assert controller.is_closed
    assert controller.resume_at == before


def test_refusals_of_attempts_that_were_sent_before_the_last_change_say_nothing() -> None:
    controller = RateController(None, 0.0)
    client = Client(controller, Bucket(300.0))
    while not client.refused or controller.rate > 400:
        client.run(client.now + 0.05)
    now, rate = client.now, controller.rate
    for number in range(100):  # four in a row at most: not closed
        controller.accepted(now, now - 10) if number % 4 == 0 else controller.throttled(now, now - 10)
    assert controller.rate == rate
    assert not controller.is_closed


def test_single_refusals_far_apart_leave_the_rate() -> None:
    controller = RateController(500.0, 0.0)
    count = 0

    def accepts(_now: float) -> bool:
        nonlocal count
        count += 1
        return count % 500 != 0

    client = Client(controller, accepts)
    client.run(30.0)
    assert controller.rate == 500.0


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    controller = RateController(None, 0.0)
    for number in range(1, 500):
        controller.sent(0.2 * number)
        controller.accepted(0.2 * number + 0.03, 0.2 * number)
    assert controller.rate == CONSTANTS.first_rate


def test_time_that_passes_in_tiny_steps_changes_nothing() -> None:
    """Attempts at one time, or nanoseconds apart, count as one step of the rate."""
    controller = RateController(None, 0.0)
    for number in range(1000):
        controller.sent(1e-9 * number)
        controller.accepted(1e-9 * number, 1e-9 * number)
    assert controller.rate == CONSTANTS.first_rate


@given(ANSWERS)
def test_equal_answers_give_equal_rates_whatever_the_clock_began_at(answers: list[tuple[float, str, float]]) -> None:
    one, other = RateController(None, 0.0), RateController(None, 0.0)
    live(one, answers)
    live(other, answers)
    assert (one.rate, one.resume_at) == (other.rate, other.resume_at)


def test_after_an_outage_of_an_hour_the_limit_is_found_within_a_minute() -> None:
    bucket = Bucket(300.0)
    client = Client(RateController(None, 0.0), lambda now: now > 3600 and bucket(now))
    client.run(3690.0)
    assert share(client.accepted, 3665, 3690) >= 0.95 * 300


@pytest.mark.parametrize("stall", [0.06, 0.1, 0.2])
@pytest.mark.parametrize("seconds", [0.3, 1.1])
def test_a_client_that_stalls_now_and_then_never_loses_the_limit(seconds: float, stall: float) -> None:
    """A stall fills the allowance, so nothing is known since; the estimate is then what was accepted at last."""
    client = Client(RateController(None, 0.0), Bucket(300.0))
    while client.now < 60:
        client.run(client.now + seconds)
        client.now += stall
    assert min(share(client.accepted, begin, begin + 5) for begin in range(10, 55, 5)) >= 0.6 * 300


def test_an_overload_where_nothing_is_known_since_the_allowance_filled_up_leaves_what_was_accepted_at_last() -> None:
    controller = RateController(None, 0.0)
    controller._noise.add(CONSTANTS.noise_sample, 0)
    controller._begin_hold(0.0, 0.0, 300.0, is_sure=False)
    controller._enter(Phase.RAMP, 1.0)
    controller._log.forget()
    for number in range(1, 100):
        now = 2.0 + number / 300
        if number % 3 == 0:
            controller.throttled(now, now)
        else:
            controller.accepted(now, now)
        if controller._phase is Phase.HOLD:
            break
    assert controller._phase is Phase.HOLD
    assert controller.rate >= 150
