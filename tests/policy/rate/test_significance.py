"""The two tests on refusals: are they more than noise, and more than the additional attempts are worth?"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.significance import PriceTest, SequentialTest

NOISES = st.floats(CONSTANTS.least_noise, CONSTANTS.most_noise)
RATES = st.floats(CONSTANTS.lowest_rate, 100_000)


def overloads(share: float, noise: float, rate: float, attempts: int, seed: int = 1) -> int:
    """Return how often the test sees an overload, of a service that refuses a share; each time it starts again."""
    random, test, count = Random(seed), SequentialTest(CONSTANTS), 0
    for number in range(attempts):
        test.add(noise, float(number), is_refused=random.random() < share)
        if test.is_overload(rate):
            count += 1
            test = SequentialTest(CONSTANTS)
    return count


@given(noise=NOISES, rate=RATES)
def test_one_refusal_is_never_an_overload(noise: float, rate: float) -> None:
    test = SequentialTest(CONSTANTS)
    test.add(noise, 0.0, is_refused=True)
    assert not test.is_overload(rate)


@given(rate=st.floats(CONSTANTS.lowest_rate, 1000))
def test_four_refusals_in_a_row_are_an_overload_where_there_is_no_noise(rate: float) -> None:
    test = SequentialTest(CONSTANTS)
    for _ in range(4):
        test.add(CONSTANTS.least_noise, 0.0, is_refused=True)
    assert test.is_overload(rate)


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("rate", [50.0, 500.0])
def test_refusals_as_frequent_as_noise_are_an_overload_less_than_once_in_ten_holds(noise: float, rate: float) -> None:
    attempts = int(10 * CONSTANTS.hold * rate)
    assert sum(overloads(noise, noise, rate, attempts, seed) for seed in range(5)) <= 5


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.05])
def test_twenty_points_more_refusals_than_noise_are_an_overload_within_two_hundred_attempts(noise: float) -> None:
    assert all(overloads(noise + 0.2, noise, 500.0, 200, seed) for seed in range(20))


@given(noise=NOISES, refusals=st.lists(st.booleans(), max_size=200))
def test_a_run_ends_with_the_score_and_counts_its_own_attempts(noise: float, refusals: list[bool]) -> None:
    test, run = SequentialTest(CONSTANTS), list[bool]()
    for number, is_refused in enumerate(refusals):
        run = [*run, is_refused] if test.score else [is_refused]
        test.add(noise, float(number), is_refused=is_refused)
        assert test.score >= 0
        assert (test.sent, test.refused) == (len(run), sum(run))
        assert test.began == number + 1 - len(run)


@pytest.mark.parametrize(("share", "is_too_expensive"), [(0.0, False), (0.1, False), (0.4, True), (1.0, True)])
def test_additional_attempts_are_too_expensive_where_more_of_them_are_refused_than_the_price(
    share: float, *, is_too_expensive: bool
) -> None:
    random, price, noise, additional = Random(1), PriceTest(CONSTANTS), 0.01, 0.2
    for _ in range(2000):
        refused = random.random() < noise * (1 - additional) + share * additional
        price.add(noise, noise, additional, is_refused=refused)
    assert price.is_too_expensive(noise) == is_too_expensive


def test_the_cost_is_the_refusals_beyond_noise() -> None:
    price = PriceTest(CONSTANTS)
    for number in range(100):
        price.add(0.02, 0.01, 0.1, is_refused=number % 10 == 0)
    assert price.cost == pytest.approx(10 - 1)
