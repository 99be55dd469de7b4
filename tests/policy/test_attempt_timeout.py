"""How long an attempt may take: from the latencies of the last ones, and only as many as the tokens allow."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.policy.attempt_timeout import (
    EARNED,
    FACTOR,
    FEWEST,
    LEAST,
    MOST_TOKENS,
    UNCERTAIN,
    WINDOW,
    AttemptTimeout,
)

LONGEST = 60.0
GAP = 0.01  # seconds from one attempt to the next
latencies = st.floats(0.0, 200.0)


class Story:
    """Attempts one after the other: `now` is when the last one was sent."""

    def __init__(self, answers: Sequence[float] = (), longest: float = LONGEST) -> None:
        self.timeout = AttemptTimeout(longest)
        self.now = 0.0
        for latency in answers:
            self.answer(latency)

    @property
    def seconds(self) -> float:
        return self.timeout.seconds

    def answer(self, latency: float) -> None:
        """Send an attempt, which is answered."""
        self.now += GAP
        self.timeout.answered(self.now + latency, self.now)

    def abandon(self, elapsed: float | None = None) -> bool:
        """Send an attempt, and abandon it once it is overdue, or after so long."""
        self.now += GAP
        return self.timeout.abandon(self.now + (self.seconds if elapsed is None else elapsed), self.now)

    def abandon_earlier(self) -> bool:
        """Abandon an attempt that was sent before the last hundred of the others."""
        sent_at = self.now - 100 * GAP
        return self.timeout.abandon(sent_at + self.seconds, sent_at)


def quick(count: int = 1000) -> Story:
    return Story([0.03] * count)


def test_with_few_answers_the_timeout_is_the_longest() -> None:
    assert quick(FEWEST - 1).seconds == LONGEST
    assert quick(FEWEST).seconds == LEAST


def test_the_timeout_is_some_times_the_latency_of_most_attempts() -> None:
    assert Story([2.0] * 100).seconds == pytest.approx(FACTOR * 2.0)


@given(st.lists(latencies, max_size=2 * WINDOW), st.floats(0.5, 100.0))
def test_the_timeout_is_never_under_a_second_and_never_over_the_longest(answers: list[float], longest: float) -> None:
    story = Story(longest=longest)
    for latency in answers:
        story.answer(latency)
        assert min(LEAST, longest) <= story.seconds <= longest


@given(st.lists(st.tuples(latencies, st.floats(0.001, 50.0)), max_size=2 * WINDOW))
def test_slower_answers_never_give_a_shorter_timeout(answers: list[tuple[float, float]]) -> None:
    slower = Story([latency + more for latency, more in answers])
    assert slower.seconds >= Story([latency for latency, _ in answers]).seconds


@pytest.mark.parametrize("share", [0.01, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_a_few_hung_attempts_do_not_change_the_timeout_and_each_may_be_abandoned(share: float, seed: int) -> None:
    random, story = Random(seed), quick(100)
    for _ in range(10_000):
        if random.random() < share:
            assert story.abandon_earlier()
        else:
            story.answer(random.uniform(0.02, 0.05))
        assert story.seconds == LEAST


def test_attempts_that_take_up_to_three_seconds_do_not_change_it_where_they_are_few() -> None:
    random, story = Random(1), quick(100)
    for _ in range(10_000):
        latency = random.uniform(0.0, 3.0) if random.random() < 0.02 else 0.03
        if not (latency > story.seconds and story.abandon_earlier()):
            story.answer(latency)
        assert story.seconds == LEAST


@pytest.mark.parametrize("seconds", [1.5, 3.0, 10.0])
def test_a_service_that_becomes_slow_for_all_has_few_attempts_abandoned_and_a_longer_timeout(seconds: float) -> None:
    story = quick()
    abandoned = 0
    for _ in range(WINDOW):
        if seconds > story.seconds and story.abandon():
            abandoned += 1
        else:
            story.answer(seconds)
    assert 1 <= abandoned <= MOST_TOKENS / UNCERTAIN
    assert story.seconds == pytest.approx(min(LONGEST, FACTOR * seconds))


def test_a_service_that_is_quick_again_has_the_shortest_timeout_again() -> None:
    story = Story([3.0] * 1000)
    for _ in range(WINDOW):
        story.answer(0.03)
    assert story.seconds == LEAST


def test_where_all_attempts_hang_only_a_few_are_abandoned() -> None:
    story = quick()
    assert sum(story.abandon() for _ in range(1000)) == MOST_TOKENS / UNCERTAIN


def test_at_the_end_of_a_batch_what_hangs_may_be_abandoned_if_later_ones_were_answered() -> None:
    """Nothing is sent any more, so no answer earns a token."""
    story = quick()
    assert sum(story.abandon_earlier() for _ in range(90)) == 90


def test_a_half_of_the_attempts_that_becomes_slow_has_few_abandoned() -> None:
    story = quick()
    abandoned = 0
    for _ in range(WINDOW):
        story.answer(0.03)
        if story.seconds < 3.0 and story.abandon_earlier():
            abandoned += 1
        else:
            story.answer(3.0)
    assert 1 <= abandoned <= WINDOW / 8
    assert story.seconds == pytest.approx(FACTOR * 3.0)


def test_an_attempt_that_is_not_overdue_is_never_abandoned() -> None:
    story = quick()
    assert not story.abandon(LEAST - 0.001)
    assert story.abandon(LEAST + 0.001)


@given(st.lists(st.one_of(st.none(), latencies), min_size=1, max_size=600))
def test_abandoned_attempts_are_never_more_than_the_tokens_that_answers_in_time_have_earned(
    attempts: list[float | None],
) -> None:
    """None is an attempt that is overdue by far."""
    story = Story()
    in_time = abandoned = 0
    for latency in attempts:
        if latency is None:
            abandoned += story.timeout.abandon(story.now + LONGEST, story.now - 50.0)
        else:
            in_time += latency <= story.seconds + 1e-6
            story.answer(latency)
        assert abandoned <= MOST_TOKENS + EARNED * in_time + 1e-6


def test_answers_that_come_too_late_earn_nothing() -> None:
    story = quick()
    while story.abandon():
        pass
    for _ in range(30):
        story.answer(LEAST + 1.0)
    assert not story.abandon_earlier()
    for _ in range(30):
        story.answer(0.03)
    assert story.abandon_earlier()
