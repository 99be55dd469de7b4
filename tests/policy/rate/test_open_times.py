"""The times between closures, compared."""

from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.open_times import OpenTime


def test_less_in_as_long_a_time_shows_that_the_service_closes_at_any_rate() -> None:
    earlier, time = OpenTime(25.0, 2500, 100.0), OpenTime(25.0, 2000, 80.0)
    assert time.shows_no_quota(earlier, CONSTANTS)


def test_a_quota_is_used_up_whatever_the_rate() -> None:
    earlier = OpenTime(5.0, 2500, 500.0)
    assert not OpenTime(6.0, 2490, 415.0).shows_no_quota(earlier, CONSTANTS)


def test_less_in_a_shorter_time_shows_nothing() -> None:
    earlier = OpenTime(25.0, 2500, 100.0)
    assert not OpenTime(10.0, 900, 90.0).shows_no_quota(earlier, CONSTANTS)


def test_where_less_is_accepted_little_by_little_the_first_time_is_compared() -> None:
    first = OpenTime(4.7, 470, 100.0)
    second = OpenTime(4.7, 442, 94.0)
    third = OpenTime(4.7, 415, 88.0)
    assert not second.shows_no_quota(first, CONSTANTS)
    assert third.shows_no_quota(second.to_compare(first, CONSTANTS), CONSTANTS)
