from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.expiry import CLOCK_ERROR, MARGIN, forgotten, protects
from ingestor.policy.identity import TOKEN_LIFE

FIRST = 1_700_000_000.0
times = st.floats(min_value=0, max_value=4e9)


def test_a_token_protects_until_half_an_hour_before_its_end() -> None:
    assert protects(FIRST, FIRST)
    assert protects(FIRST, FIRST + 23.4 * 3600)
    assert not protects(FIRST, FIRST + 23.5 * 3600)


def test_a_token_is_forgotten_only_half_an_hour_after_its_end() -> None:
    assert not forgotten(FIRST, FIRST + 24.5 * 3600)
    assert forgotten(FIRST, FIRST + 24.5 * 3600 + 1)


def test_a_first_attempt_a_little_in_the_future_is_a_clock_that_was_corrected() -> None:
    assert protects(FIRST, FIRST - CLOCK_ERROR)


def test_a_first_attempt_far_in_the_future_proves_nothing_so_it_protects_nothing() -> None:
    assert not protects(FIRST, FIRST - CLOCK_ERROR - 1)
    assert not forgotten(FIRST, FIRST - CLOCK_ERROR - 1)


@given(first=times, now=times, error=st.floats(min_value=-MARGIN, max_value=MARGIN))
def test_no_clock_error_within_the_margin_lets_an_expired_token_through(first: float, now: float, error: float) -> None:
    if now - first > TOKEN_LIFE:
        assert not protects(first, now + error)
    if now - first < TOKEN_LIFE:
        assert not forgotten(first, now + error)
