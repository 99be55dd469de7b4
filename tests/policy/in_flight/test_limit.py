"""The contract of InFlightLimit, without a service."""

import itertools
from collections import deque

import pytest

from ingestor.policy.in_flight.limit import InFlightLimit


def alternate(limit: InFlightLimit, times: int, *, places: int, begin: float = 0.0) -> list[bool]:
    """Overload a service with so many places, time and again; return what each refusal said."""
    said, now = [], begin
    for _ in range(times):
        for level in range(1, places + 2):
            limit.sent(now + level / 1000, level)
        said.append(limit.refused(now + 0.03, now + (places + 1) / 1000))
        for level in range(1, places + 1):
            limit.accepted(now + 0.1 + level / 1000, now + level / 1000)
        now += 1.0
    return said


def test_the_size_begins_at_the_first_one_and_else_at_the_most() -> None:
    assert InFlightLimit(1024, 0.0, first=64).size == 64
    assert InFlightLimit(16, 0.0).size == 16


def test_the_first_size_is_not_above_the_most() -> None:
    assert InFlightLimit(16, 0.0, first=64).size == 16


def test_the_size_grows_within_a_second_where_answers_come_ten_at_a_time() -> None:
    """Ten answers free ten slots at once, so that only the last of ten attempts takes the last slot."""
    limit, waiting = InFlightLimit(1024, 0.0, first=64), list[float]()
    for step in range(101):
        now = step / 100
        for sent_at in waiting[:10]:
            limit.accepted(now, sent_at)
        del waiting[:10]
        while len(waiting) < 64 and limit.size == 64:
            waiting.append(now)
            limit.sent(now, len(waiting))
    assert limit.size == 128


@pytest.mark.parametrize("rate", [300, 500])
def test_a_queue_is_found_where_no_answer_came_without_one(rate: int) -> None:
    """All slots are taken at once; one request after the other is carried out. So the latency was never shorter."""
    limit, waiting = InFlightLimit(1024, 0.0, first=64), deque[tuple[float, float]]()
    now = free_at = 0.0
    while now < 15.0:
        if len(waiting) < limit.size and (not waiting or waiting[0][0] > now + 0.0001):
            now += 0.0001
            limit.sent(now, len(waiting) + 1)
            free_at = max(free_at, now) + 1 / rate
            waiting.append((free_at + 0.02, now))
        else:
            answered_at, sent_at = waiting.popleft()
            now = max(now, answered_at)
            limit.accepted(now, sent_at)
    assert rate * 0.02 <= limit.size <= 2 * rate * (2 * 0.02 + 0.02)


def test_refusals_above_a_number_that_is_accepted_set_the_size_to_that_number() -> None:
    limit = InFlightLimit(64, 0.0)
    said = alternate(limit, 5, places=8)
    assert limit.size == 8
    assert said[0] is False
    assert said[-1] is True


def test_one_overload_alone_shows_nothing() -> None:
    limit = InFlightLimit(64, 0.0)
    assert alternate(limit, 1, places=8) == [False]
    assert limit.size == 64


def test_refusals_at_any_number_in_flight_set_no_size() -> None:
    limit = InFlightLimit(64, 0.0)
    for index in range(1, 2000):
        level = 1 + index * 7 % 40
        limit.sent(index / 100, level)
        if index % 10 == 0:
            assert limit.refused(index / 100 + 0.001, index / 100) is False
        else:
            limit.accepted(index / 100 + 0.001, index / 100)
    assert limit.size == 64


def test_refusals_that_come_before_the_other_answers_are_compared_by_the_time_of_sending() -> None:
    """More and more are in flight; 1 in 20 is refused at once, all others are accepted 200 attempts later."""
    limit, late = InFlightLimit(2000, 0.0), 200
    for level in range(1, 1500):
        limit.sent(level / 100, level)
        if level % 20 == 0:
            limit.refused(level / 100 + 0.001, level / 100)
        if level > late and level % 20:
            limit.accepted(level / 100 + 0.002, (level - late) / 100)
    assert limit.size == 2000


def test_a_service_that_refuses_everything_says_nothing_about_their_number() -> None:
    limit = InFlightLimit(64, 0.0)
    for index in range(500):
        level = 30 - index % 30
        limit.sent(float(index), level)
        assert limit.refused(index + 0.1, float(index)) is False
    assert limit.size == 64


def test_a_size_that_was_found_is_probed_and_kept_if_the_probe_is_refused() -> None:
    limit = InFlightLimit(64, 0.0)
    alternate(limit, 5, places=8)
    now = sent = 10.0
    while limit.size == 8:
        sent = now
        limit.sent(now, 8)
        limit.accepted(now + 0.005, now)
        now += 0.03
    assert limit.size == 9
    assert sent - 5.0 >= 5.0
    limit.sent(now, 9)
    assert limit.refused(now + 0.005, now) is True
    assert limit.size == 8


def test_a_size_grows_in_growing_steps_as_long_as_more_is_accepted() -> None:
    limit = InFlightLimit(64, 0.0)
    alternate(limit, 5, places=8)
    sizes, now = [8], 10.0
    while limit.size < 64 and now < 100:
        limit.sent(now, limit.size)
        limit.accepted(now + 0.005, now)
        now += 0.03
        if limit.size != sizes[-1]:
            sizes.append(limit.size)
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert steps[:4] == [1, 2, 4, 8]


@pytest.mark.parametrize("every", [50, 10, 3])
def test_answers_that_come_late_leave_the_size_as_it_is(every: int) -> None:
    """From the 1,000th on, one in so many takes 0.2 seconds instead of 5 ms."""
    limit, answers = InFlightLimit(64, 0.0), list[tuple[float, float]]()
    for number in range(3_000):
        now = number / 100
        limit.sent(now, 5)
        answers.append((now + (0.2 if number > 1_000 and number % every == 0 else 0.005), now))
    for answered_at, sent_at in sorted(answers):
        limit.accepted(answered_at, sent_at)
        assert limit.size == 64


@pytest.mark.parametrize("sent_at", [-1.0, 0.0])
def test_an_answer_to_an_attempt_that_is_not_remembered_changes_nothing(sent_at: float) -> None:
    limit = InFlightLimit(8, 0.0)
    assert limit.refused(1.0, sent_at) is False
    limit.accepted(1.0, sent_at)
    assert limit.size == 8
