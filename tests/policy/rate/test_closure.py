"""A closure: single attempts, and the limit when the service opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.rate.accepted import AcceptedLog
from ingestor.policy.rate.closure import Closure, Overload, Streak
from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.phases import Phase


def closure(phase: Phase = Phase.RAMP, *, since: float = 0.0, rate: float = 500.0, estimate: float = 500.0) -> Closure:
    log = AcceptedLog(since, CONSTANTS)
    closure = Closure(Overload(phase, rate, estimate), since, log.mark, CONSTANTS)
    closure.close(since)
    return closure


def window(quota: int) -> AcceptedLog:
    """Return the log of a window that accepted its quota from second 0 on."""
    log = AcceptedLog(0.0, CONSTANTS)
    log.count = quota
    return log


@given(seconds=st.lists(st.floats(0, 10_000), min_size=2, max_size=2), shortest=st.floats(0, 5))
def test_the_gap_to_the_next_attempt_grows_with_the_time_closed_and_is_bounded(
    seconds: list[float], shortest: float
) -> None:
    earlier, later = (closure().gap(now, shortest) for now in sorted(seconds))
    assert shortest <= earlier <= later <= CONSTANTS.longest_gap


def test_after_seven_seconds_there_is_at_most_one_attempt_a_second() -> None:
    assert closure().gap(7.0, 0.03) >= 1


def test_the_limit_of_a_window_is_its_average_with_the_closure() -> None:
    """The window of 10 s took 5,000 in 4 s, then refused until its end."""
    closed = closure(since=4.0, rate=1250.0, estimate=1250.0)
    closed.refuse(9.9)
    assert closed.open(10.15, 10.1, 1250.0, window(5000), 0.0) == pytest.approx(500.0)
    assert closed.seconds == pytest.approx(6.0)


def test_the_limit_is_never_more_than_the_rate_that_was_refused() -> None:
    closed = closure(rate=300.0, estimate=300.0)
    assert closed.open(1.0, 0.9, 300.0, window(5000), 0.0) == 300.0


def test_a_rate_that_was_held_loses_at_most_a_share_by_one_closure() -> None:
    closed = closure(Phase.HOLD)
    closed.refuse(99.0)
    assert closed.open(100.0, 99.9, 500.0, window(10), 0.0) == pytest.approx(CONSTANTS.least_kept * 500.0)


def test_a_window_that_slides_opens_little_by_little_so_a_closure_at_once_continues_it() -> None:
    closed = closure(since=4.0)
    for sent_at in (5.0, 9.0):
        closed.refuse(sent_at)
    closed.open(10.0, 9.9, 500.0, window(5000), 0.0)
    assert [closed.closes_again(10.1) for _ in range(CONSTANTS.relapses + 1)] == [True] * CONSTANTS.relapses + [False]


def test_a_closure_much_later_is_a_new_one() -> None:
    closed = closure(since=4.0)
    for sent_at in (5.0, 9.0):
        closed.refuse(sent_at)
    closed.open(10.0, 9.9, 500.0, window(5000), 0.0)
    assert not closed.closes_again(20.0)


def test_a_short_closure_is_no_window_so_the_next_one_is_a_new_one() -> None:
    closed = closure(since=4.0)
    for sent_at in (4.1, 4.2):
        closed.refuse(sent_at)
    closed.open(4.3, 4.25, 500.0, window(5000), 0.0)
    assert not closed.closes_again(4.31)


def refused(streak: Streak, sent_at: list[float], *, sent_between: int = 1) -> list[bool]:
    return [streak.refuse(time, number * sent_between) for number, time in enumerate(sent_at, 1)]


def test_a_few_refusals_one_after_the_other_are_a_closure_since_the_first() -> None:
    streak = Streak(0.0, CONSTANTS)
    assert refused(streak, [1.0, 1.1, 1.2, 1.3, 1.4]) == [False] * 4 + [True]
    assert streak.since == 1.0


def test_a_late_answer_to_an_earlier_attempt_ends_no_streak() -> None:
    """Where a refusal takes no time and an answer 30 ms, answers come in between for 30 ms."""
    streak = Streak(0.0, CONSTANTS)
    for number in range(4):
        assert not streak.refuse(1.0 + number / 100, number)
        streak.accept(0.97 + number / 100 - 0.01)
    assert streak.refuse(1.05, 5)


def test_an_accepted_attempt_that_was_sent_after_the_first_refusal_ends_the_streak() -> None:
    streak = Streak(0.0, CONSTANTS)
    refused(streak, [1.0, 1.1, 1.2, 1.3])
    streak.accept(1.05)
    assert not streak.refuse(1.4, 5)


def test_refusals_among_many_attempts_that_have_no_answer_yet_are_no_streak() -> None:
    """One in twenty is refused at once; the answers to the others are on their way."""
    streak = Streak(0.0, CONSTANTS)
    assert not any(refused(streak, [number / 10 for number in range(50)], sent_between=20))
