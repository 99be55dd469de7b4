"""A service that limits the requests in service, and refuses the others (429)."""

import pytest

from tests.laboratory.simulation import Service
from tests.policy.in_flight.services import Run, limiter

NEAR = 0.02
"""The share of the latency that a request takes to the service and back: the rest is the service's time."""


@pytest.mark.parametrize(
    ("most", "latency", "jitter"),
    [(1, 0.03, 0.2), (5, 0.03, 0.5), (20, 0.03, 0.2), (20, 0.3, 0.2), (20, 0.1, 0.9), (100, 0.3, 0.2)],
)
def test_nearly_all_places_are_used_at_few_refusals(most: int, latency: float, jitter: float) -> None:
    service = Service(latency=latency, jitter=jitter, transit=NEAR / 2)
    run = Run(limiter(f"at-once:{most}"), service).until(60.0)
    assert run.accepted(25.0, 60.0) >= 0.95 * most / latency
    assert run.refused(25.0, 60.0) <= 0.01


@pytest.mark.parametrize("latency", [0.005, 0.03])
def test_the_first_minute_is_hardly_worse(latency: float) -> None:
    run = Run(limiter("at-once:5"), Service(latency=latency, transit=0.0)).until(60.0)
    assert run.accepted(0.0, 60.0) >= 0.93 * 5 / latency
    assert run.refused(0.0, 60.0) <= 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_random_refusals_do_not_hide_the_limit(seed: int) -> None:
    run = Run(limiter("shed:1%+at-once:20", seed), Service(latency=0.06, transit=0.0), seed=seed).until(60.0)
    assert run.accepted(25.0, 60.0) >= 0.95 * 0.99 * 20 / 0.06
    assert run.refused(25.0, 60.0) <= 0.02


def test_the_size_is_the_limit_once_it_is_found() -> None:
    run = Run(limiter("at-once:20"), Service(latency=0.06, transit=0.0))
    assert run.until(20.0).client.control.size in (20, 21)
    assert max(run.sizes(21, 40)) <= 21


def test_the_rate_is_no_second_limit_where_the_number_in_flight_binds() -> None:
    run = Run(limiter("at-once:20"), Service(latency=0.06, transit=0.0)).until(30.0)
    assert run.client.control.rate > 1.2 * 20 / 0.06


@pytest.mark.parametrize(("before", "after"), [(20, 60), (10, 100), (60, 20), (20, 8)])
def test_a_limit_that_changes_is_found_again_within_15_seconds(before: int, after: int) -> None:
    run = Run(limiter(f"at-once:{before}"), Service(latency=0.1, transit=0.0)).until(20.0)
    run.until(45.0, limiter(f"at-once:{after}"))
    assert run.accepted(15.0, 20.0) >= 0.9 * before / 0.1
    assert run.accepted(35.0, 45.0) >= 0.9 * after / 0.1
    assert run.refused(20.0, 45.0) <= 0.1


def test_a_limit_on_the_rate_under_the_one_on_their_number_is_kept() -> None:
    run = Run(limiter("bucket:250/s,burst=0.1+at-once:20"), Service(latency=0.06, transit=0.0)).until(50.0)
    assert run.accepted(25.0, 50.0) >= 0.97 * 250
    assert run.refused(25.0, 50.0) <= 0.02


def test_a_limit_on_their_number_under_the_one_on_the_rate_is_kept() -> None:
    run = Run(limiter("bucket:600/s,burst=0.1+at-once:20"), Service(latency=0.06, transit=0.0)).until(50.0)
    assert run.accepted(25.0, 50.0) >= 0.95 * 20 / 0.06
    assert run.refused(25.0, 50.0) <= 0.01
