"""What the control reaches on each kind of limiter, from nothing, against the best constant rate: docs/rate-control.md.

`outcome.required` has the requirements. Where one is not reached, `shortfalls` says what holds instead.
"""

import pytest

from tests.laboratory.cases import REFUSES_ALL, Case
from tests.laboratory.held import CASES, LIMITS, SEED, SLOW_MACHINE, reach
from tests.laboratory.outcome import missed, try_case
from tests.laboratory.shortfalls import SHORT


@pytest.mark.parametrize("label", CASES)
def test_it_gets_nearly_as_much_accepted_as_the_best_constant_rate_at_hardly_more_refusals(label: str) -> None:
    reached, required = reach(label)
    assert missed(reached, {**required, **SHORT.get(label, {})}) == {}


@pytest.mark.parametrize("label", LIMITS)
def test_it_finds_one_limit_and_stays_just_under_it(label: str) -> None:
    reached, required = reach(label)
    assert missed(reached, {**required, **SHORT.get(label, {})}) == {}


def test_what_falls_short_is_listed_only_as_long_as_it_does() -> None:
    assert {label: missed(*reach(label)).keys() for label in SHORT} == {
        label: needs.keys() for label, needs in SHORT.items()
    }


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize("latency", [0.005, 0.3])
def test_a_service_that_refuses_everything_gets_at_most_one_request_a_second(
    latency: float, retry_after: float | None
) -> None:
    outcome = try_case(Case(REFUSES_ALL, 200.0, latency, retry_after), SEED, machine=SLOW_MACHINE)
    assert outcome.misses == {}
    assert outcome.client.refused_rate(0, 60) <= 1
