"""The noise: the share of attempts that is refused at any rate."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.noise import NoiseFloor

SAMPLE = CONSTANTS.noise_sample


def add(noise: NoiseFloor, sent: int, refused: int) -> None:
    """Record attempts one by one, the refused ones first."""
    for number in range(sent):
        noise.add(1, int(number < refused))


@pytest.mark.parametrize("share", [0.005, 0.02, 0.05])
def test_a_service_that_refuses_a_share_at_random_has_about_that_noise(share: float) -> None:
    noise, random = NoiseFloor(CONSTANTS), Random(1)
    for _ in range(CONSTANTS.noise_samples * SAMPLE):
        noise.add(1, random.random() < share)
    assert noise.lowest <= noise.mean
    assert noise.mean == pytest.approx(share, rel=0.3)
    assert noise.lowest == pytest.approx(share, rel=0.6)


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), max_size=30))
def test_noise_stays_within_its_bounds_and_the_lowest_sample_is_at_most_the_mean(runs: list[tuple[int, float]]) -> None:
    noise = NoiseFloor(CONSTANTS)
    for sent, share in runs:
        noise.add(sent, int(share * sent))
    assert CONSTANTS.least_noise <= noise.lowest <= CONSTANTS.most_noise
    assert CONSTANTS.least_noise <= noise.mean <= CONSTANTS.most_noise


def test_one_sample_with_more_refusals_raises_the_mean_and_not_the_lowest() -> None:
    noise = NoiseFloor(CONSTANTS)
    add(noise, SAMPLE, 4)
    lowest, mean = noise.lowest, noise.mean
    add(noise, SAMPLE, 40)
    assert noise.lowest == lowest
    assert noise.mean > 2 * mean


def test_old_samples_are_forgotten() -> None:
    noise = NoiseFloor(CONSTANTS)
    add(noise, SAMPLE, 0)
    for _ in range(CONSTANTS.noise_samples):
        add(noise, SAMPLE, SAMPLE // 20)
    assert noise.lowest > 0.04
