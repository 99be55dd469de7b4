from hypothesis import given
from hypothesis import strategies as st

from ingestor.report.eta import RecentPace


def pace(done_each_second: list[int]) -> RecentPace:
    pace, done = RecentPace(), 0
    for second, more in enumerate([0, *done_each_second]):
        done += more
        pace.look(float(second), done)
    return pace


def test_there_is_no_range_before_ten_seconds_were_seen() -> None:
    assert RecentPace().remaining(5) is None
    assert pace([100] * 9).remaining(5000) is None
    assert pace([100] * 10).remaining(5000) is not None


def test_a_steady_rate_gives_a_narrow_range_around_the_right_time() -> None:
    found = pace([100] * 1200).remaining(60_000)
    assert found is not None
    assert found[0] < 600 < found[1]
    assert found[1] / found[0] < 1.3


def test_a_rate_that_changed_gives_a_range_from_the_faster_to_the_slower_one() -> None:
    found = pace([100] * 840 + [20] * 60).remaining(10_000)
    assert found is not None
    low, high = found
    assert 90 < low < 110, "at the mean of the last 15 minutes"
    assert 500 < high < 600, "at the rate of the last minute"


def test_nothing_done_in_the_last_minute_gives_no_range() -> None:
    assert pace([100] * 300 + [0] * 61).remaining(10_000) is None


@given(st.lists(st.integers(0, 1000), max_size=100), st.integers(0, 10**9))
def test_the_range_is_never_negative_or_upside_down(done: list[int], left: int) -> None:
    found = pace(done).remaining(left)
    assert found is None or 0 <= found[0] <= found[1]
