from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.durations import LATENCY_BOUNDS, Durations


def test_a_duration_counts_under_the_first_bound_that_it_does_not_exceed() -> None:
    durations = Durations((0.1, 1.0))
    for seconds in (0.1, 0.11, 1.0, 7.0):
        durations.add(seconds)
    assert durations.cumulative() == [(0.1, 1), (1.0, 3)]
    assert (durations.count, round(durations.total, 2)) == (4, 8.21)


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 100))))
def test_the_counts_never_fall_from_bound_to_bound_and_end_below_the_number_of_all(
    given: list[tuple[float, int]],
) -> None:
    durations = Durations(LATENCY_BOUNDS)
    for seconds, times in given:
        durations.add(seconds, times)
    counts = [count for _, count in durations.cumulative()]
    assert counts == sorted(counts)
    assert counts[-1] <= durations.count == sum(times for _, times in given)
