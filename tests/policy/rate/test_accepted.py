"""The accepted attempts over time, from which the limit is measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.accepted import AcceptedLog
from ingestor.policy.rate.constants import CONSTANTS


def accept(log: AcceptedLog, number: int) -> None:
    for _ in range(number):
        log.count += 1


@given(before=st.integers(0, 1000), number=st.integers(0, 10_000), seconds=st.floats(0.01, 100))
def test_the_limit_is_what_was_accepted_since_the_allowance_was_used_up(
    before: int, number: int, seconds: float
) -> None:
    log = AcceptedLog(0.0, CONSTANTS)
    accept(log, before)
    log.use_up(5.0)
    accept(log, number)
    assert log.per_second(5.0 + seconds) == pytest.approx(number / seconds)
    assert log.is_sure == (number >= CONSTANTS.sure)


def test_after_a_time_in_which_an_allowance_may_have_filled_up_the_limit_is_not_known() -> None:
    log = AcceptedLog(0.0, CONSTANTS)
    accept(log, 100)
    log.forget()
    assert log.per_second(10.0) == 0
    assert not log.is_sure


def test_the_average_of_the_last_seconds_leaves_out_what_was_before() -> None:
    log = AcceptedLog(0.0, CONSTANTS)
    for second in range(1, 21):
        accept(log, 100 if second <= 10 else 10)
        log.remember(float(second))
    assert log.recently(20.0, 5.0) == pytest.approx(10.0)
    assert log.recently(20.0, 20.0) == pytest.approx(55.0)


def test_a_long_history_is_bounded_and_still_reaches_back() -> None:
    log = AcceptedLog(0.0, CONSTANTS)
    for step in range(1, 20_001):
        accept(log, 5)
        log.remember(0.05 * step)
    assert len(log._history) <= CONSTANTS.history
    assert log.recently(1000.0, 900.0) == pytest.approx(100.0, rel=0.01)
