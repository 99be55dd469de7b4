import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.report.html.axes import spell_number, spell_seconds, spell_time, time_axis, value_axis

NOON = 1_795_867_200.0  # 2026-11-28, 12:00 UTC


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(0, "0"), (0.5, "0.5"), (482, "482"), (999.9, "1k"), (1500, "1.5k"), (20_000_000, "20M"), (3e9, "3G")],
)
def test_a_number_is_written_in_few_characters(value: float, spelled: str) -> None:
    assert spell_number(value) == spelled


@pytest.mark.parametrize(
    ("value", "spelled"), [(0, "0"), (0.0351, "35.1 ms"), (0.99999, "1 s"), (1.25, "1.25 s"), (3000, "3k s")]
)
def test_a_latency_has_its_unit(value: float, spelled: str) -> None:
    assert spell_seconds(value) == spelled


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=50))
def test_an_axis_begins_at_zero_and_has_at_most_five_marks(known: list[float]) -> None:
    step, top = value_axis(known)
    assert step > 0
    assert 1 <= round(top / step) <= 5
    assert top == pytest.approx(round(top / step) * step)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=40))
def test_values_that_are_alike_are_all_below_the_top(known: list[float]) -> None:
    most = max(known)
    assert value_axis([*known, most, most / 2])[1] * 1.01 >= most / 2
    assert value_axis([most, most / 2])[1] * 1.01 >= most


def test_one_huge_value_does_not_flatten_the_others() -> None:
    assert value_axis([0.1] * 99 + [30.0])[1] < 1
    assert value_axis([0.1, 30.0])[1] >= 30


def test_counts_have_no_fractions_on_their_axis() -> None:
    assert value_axis([0.0, 1.0]) == (1.0, 1.0)
    assert value_axis([0.0, 0.5])[0] < 1


@pytest.mark.parametrize(
    ("length", "marks"),
    [
        (4, ["12:00:00", "12:00:02", "12:00:04"]),
        (600, ["12:00", "12:02", "12:04", "12:06", "12:08", "12:10"]),
        (86_400, ["12:00", "18:00", "Nov 29", "06:00", "12:00"]),
    ],
)
def test_time_has_marks_at_round_times_and_midnight_is_a_day(length: float, marks: list[str]) -> None:
    assert [words for _, words in time_axis(NOON, NOON + length)] == marks


@given(st.floats(1, 2e9), st.floats(0.5, 1e9))
def test_a_telephone_has_room_for_the_marks_of_time(begin: float, length: float) -> None:
    marks = list(time_axis(begin, begin + length))
    assert sum(len(words) + 2 for _, words in marks) <= 45
    assert all(begin <= time <= begin + length for time, _ in marks)


def test_a_time_is_written_to_the_second_unless_an_axis_needs_less() -> None:
    assert spell_time(NOON + 3) == "12:00:03"
    assert spell_time(NOON, 60) == "12:00"
