from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.report.latency import CEILING_MS, FLOOR_MS, Histogram

LATENCIES = st.lists(st.floats(FLOOR_MS, CEILING_MS), min_size=1, max_size=200)


@given(LATENCIES, st.floats(0.001, 1.0))
def test_a_quantile_is_within_2_percent_of_the_exact_one(latencies: list[float], fraction: float) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    exact = sorted(latencies)[ceil(fraction * len(latencies)) - 1]
    assert histogram.quantile(fraction) == pytest.approx(exact, rel=0.02)


@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_whatever_comes_memory_is_bounded(latencies: list[float]) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    widest = Histogram()
    widest.add(FLOOR_MS)
    widest.add(CEILING_MS)
    lowest, highest = sorted(widest._buckets)
    assert highest - lowest < 780
    assert all(lowest <= bucket <= highest for bucket in histogram._buckets)


def test_without_values_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
