"""The times between closures, compared."""

from ingestor.policy.rate.closure import Closure, Overload
from ingestor.policy.rate.constants import CONSTANTS
from ingestor.policy.rate.open_times import OpenTime, OpenTimes
from ingestor.policy.rate.phases import Phase


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


def closed_at(time: float, rate: float) -> Closure:
    return Closure(Overload(Phase.HOLD, rate, rate), time, None, CONSTANTS)


def test_a_time_before_any_limit_was_known_gives_no_estimate_to_return_to() -> None:
    times = OpenTimes(0.0, CONSTANTS)
    unknown = Closure(Overload(Phase.GROW, 2000.0, 0.0), 60.0, None, CONSTANTS)
    assert times.add(unknown, 65.0, 30_000) is None
    assert times.add(closed_at(125.0, 500.0), 130.0, 50_000) is None
    assert times.add(closed_at(190.0, 400.0), 195.0, 65_000) == 500.0


def test_where_less_is_accepted_in_each_open_time_the_estimate_of_before_returns() -> None:
    times = OpenTimes(0.0, CONSTANTS)
    assert times.add(closed_at(25.0, 100.0), 30.0, 2500) is None
    assert times.add(closed_at(55.0, 80.0), 60.0, 4500) == 100.0


def test_with_a_time_before_any_limit_was_known_nothing_is_compared() -> None:
    times = OpenTimes(0.0, CONSTANTS)
    grown = Closure(Overload(Phase.GROW, 900.0, 0.0), 25.0, None, CONSTANTS)
    assert times.add(grown, 30.0, 2500) is None
    assert times.add(closed_at(55.0, 80.0), 60.0, 4500) is None
    assert times.add(closed_at(85.0, 70.0), 90.0, 6200) == 80.0


def test_a_closure_that_continues_after_a_moment_is_no_open_time() -> None:
    """A window that slides opens little by little."""
    times = OpenTimes(0.0, CONSTANTS)
    closure = closed_at(25.0, 100.0)
    assert times.add(closure, 30.0, 2500) is None
    assert times.add(closure, 31.0, 2503) is None
    assert times.add(closed_at(55.0, 80.0), 60.0, 4500) == 100.0
