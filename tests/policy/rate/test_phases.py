"""The rate over time in each phase."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.phases import Growth, Hold, quick_hold, reach_of, sure_hold

ESTIMATES = st.floats(CONSTANTS.lowest_rate, 100_000)
SECONDS = st.floats(0, 1000)
DURATIONS = st.floats(0.05, CONSTANTS.longest_hold)


@given(ESTIMATES, DURATIONS, SECONDS, SECONDS)
def test_a_hold_rises_and_stays_a_little_under_the_estimate(
    estimate: float, duration: float, one: float, other: float
) -> None:
    hold = Hold(estimate, duration, True, CONSTANTS)
    earlier, later = hold.rate_after(min(one, other)), hold.rate_after(max(one, other))
    assert (1 - CONSTANTS.below) * estimate <= earlier * (1 + 1e-9)
    assert earlier <= later * (1 + 1e-9)
    assert later < estimate


@given(ESTIMATES, DURATIONS, SECONDS, SECONDS)
def test_a_ramp_rises_from_the_estimate_to_its_reach(
    estimate: float, duration: float, one: float, other: float
) -> None:
    hold = Hold(estimate, duration, True, CONSTANTS)
    earlier, later = hold.ramp_rate_after(min(one, other), 0.03), hold.ramp_rate_after(max(one, other), 0.03)
    assert estimate <= earlier <= later <= (1 + hold.reach) * estimate * (1 + 1e-9)
    assert hold.ramp_rate_after(hold.ramp_seconds(0.03), 0.03) == pytest.approx((1 + hold.reach) * estimate)


@given(ESTIMATES, DURATIONS, st.floats(0, 10))
def test_a_ramp_lasts_until_its_first_answers(estimate: float, duration: float, latency: float) -> None:
    assert Hold(estimate, duration, True, CONSTANTS).ramp_seconds(latency) >= latency


@given(ESTIMATES, ESTIMATES)
def test_the_reach_is_larger_at_low_rates_and_bounded(one: float, other: float) -> None:
    low, high = reach_of(min(one, other), CONSTANTS), reach_of(max(one, other), CONSTANTS)
    assert CONSTANTS.reach <= high <= low <= CONSTANTS.largest_reach


@given(rate=ESTIMATES, seconds=st.floats(0, 10), latency=st.floats(0, 10), closure=st.floats(0, 100))
def test_growth_never_slows_the_rate_and_is_small_within_one_latency(
    rate: float, seconds: float, latency: float, closure: float
) -> None:
    growth = Growth(float("inf"), CONSTANTS)
    assert rate <= growth.rate_after(rate, seconds, latency, closure)
    assert growth.rate_after(rate, latency, latency, closure) <= 1.2215 * rate  # e to the power of 0.2


def test_growth_over_a_known_limit_begins_slowly_and_doubles_its_gain() -> None:
    growth = Growth(CONSTANTS.first_gain, CONSTANTS)
    first = growth.rate_after(1000.0, 0.1, 0.03, 0.0)
    for _ in range(10):
        growth.rate_after(1000.0, CONSTANTS.gain_doubling, 0.03, 0.0)
    assert first < 1030
    assert growth.rate_after(1000.0, 0.1, 0.03, 0.0) > 1400


def test_growth_over_a_known_limit_gets_faster_more_slowly_where_a_second_has_few_attempts() -> None:
    """The gain doubles in the time of 12 attempts: 2.4 seconds at 5/s."""
    growth = Growth(CONSTANTS.first_gain, CONSTANTS)
    for _ in range(48):
        growth.rate_after(5.0, 0.05, 0.03, 0.0)
    assert growth.rate_after(5.0, 1.0, 0.03, 0.0) == pytest.approx(5.0 * exp(2 * CONSTANTS.first_gain))


@given(estimate=ESTIMATES, cost=st.floats(-10, 1000), closure=st.floats(0, 600))
def test_a_hold_is_longer_after_an_expensive_ramp_and_a_long_closure_and_bounded(
    estimate: float, cost: float, closure: float
) -> None:
    hold = sure_hold(estimate, cost, closure, CONSTANTS)
    assert hold.is_sure
    assert CONSTANTS.hold <= hold.seconds <= CONSTANTS.longest_hold
    assert hold.seconds <= sure_hold(estimate, cost + 1, closure + 1, CONSTANTS).seconds


def test_a_hold_costs_its_share_of_refusals() -> None:
    """Three refusals at 50/s: 0.45 % of the hold's attempts."""
    hold = sure_hold(50.0, 3.0, 0.0, CONSTANTS)
    assert 3.0 / (50.0 * hold.seconds) == pytest.approx(CONSTANTS.budget)


def test_a_hold_under_an_estimate_that_is_not_sure_lasts_until_it_can_be_measured_again() -> None:
    assert quick_hold(500.0, 0.3, 0.0, CONSTANTS).seconds == pytest.approx(0.3)
    hold = quick_hold(5.0, 0.3, 0.0, CONSTANTS)
    assert hold.estimate * hold.seconds == pytest.approx(CONSTANTS.sure)
    assert not hold.is_sure
