"""The arithmetic of --rate: no second has more than 5 % too many, and the pacer is slower than what checks it."""

from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.ceiling import TOLERANCE, interval, paced

CEILINGS = st.floats(1e-3, 1e5)


@given(CEILINGS)
def test_no_second_has_more_than_five_percent_too_many(ceiling: float) -> None:
    most = floor((1 + TOLERANCE) / interval(ceiling)) + 1  # of the algorithm, in a second that includes both its ends
    assert most <= max(ceil(ceiling), floor(1.05 * ceiling))


@given(CEILINGS)
def test_the_pacer_is_slower_than_what_it_must_not_exceed_and_never_much_slower_than_the_ceiling(
    ceiling: float,
) -> None:
    assert paced(ceiling) <= min(ceiling, 0.99001 / interval(ceiling))
    assert paced(ceiling) >= 0.95 * ceiling


@pytest.mark.parametrize("ceiling", [20.0, 100.0, 400.0, 2000.0])
def test_usual_ceilings_are_used_to_a_thousandth(ceiling: float) -> None:
    assert paced(ceiling) == pytest.approx(ceiling, rel=1e-3)
