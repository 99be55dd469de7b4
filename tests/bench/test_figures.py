import pytest

from tests.bench.figures import CHECKED, Check, median_ratio, spread


def test_a_ratio_is_the_median_of_each_rounds_ratio_so_that_one_slow_round_moves_nothing() -> None:
    assert median_ratio([100, 10, 90], [50, 5, 900]) == 2


def test_rounds_that_do_not_match_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        median_ratio([1, 2], [1])


def test_a_spread_shows_the_median_and_the_range() -> None:
    assert spread([3000, 1000, 1234.4]) == "1,234 (1,000-3,000)"


@pytest.mark.parametrize(
    ("figure", "at_least", "met"),
    [(0.85, True, True), (0.849, True, False), (0.85, False, True), (0.851, False, False)],
)
def test_a_target_is_reached_from_its_own_side(figure: float, at_least: bool, met: bool) -> None:
    assert Check("w", figure, 0.85, at_least=at_least).met is met


def test_a_check_is_a_row_with_its_target_beside_it() -> None:
    row = Check("again", 61_234.5, 50_000, unit="/s", steady=7.0).row
    assert row == ("again", "61,234/s", "at least 50,000/s", "yes", "7.00/s")
    assert len(row) == len(CHECKED)


def test_what_processor_time_says_nothing_of_is_left_empty() -> None:
    assert Check("peak", 1.5, 1.1, at_least=False).row == ("peak", "1.50", "at most 1.10", "no", "")
