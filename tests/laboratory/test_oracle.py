"""The best constant rate, where it can be computed by hand."""

import pytest

from tests.laboratory.cases import Case
from tests.laboratory.oracle import PRICE, best_constant_rate, constant_rate


@pytest.mark.parametrize(
    "kind",
    [
        "bucket:{rate:g}/s,burst=1",
        "fixed:{rate:g}/s,window=1",
        "sliding:{rate:g}/s,window=10",
        "leaky:{rate:g}/s,queue=1",
    ],
)
def test_one_sharp_limit_is_the_best_rate(kind: str) -> None:
    best = best_constant_rate(Case(kind, 100.0))
    assert best.rate == pytest.approx(100, rel=0.02)
    assert best.accepted == pytest.approx(100, rel=0.02)
    assert best.refused_share <= 0.002


@pytest.mark.parametrize(("share", "rate"), [(0.05, 300.0), (0.15, 300.0)])
def test_where_refusals_do_not_depend_on_the_rate_the_machine_is_the_limit(share: float, rate: float) -> None:
    best = best_constant_rate(Case(f"shed:{share:.0%}"), machine=rate)
    assert best.rate == rate
    assert best.refused_share == pytest.approx(share, rel=0.1)


def test_where_every_request_is_refused_the_lowest_rate_is_best() -> None:
    best = best_constant_rate(Case("shed:100%"), machine=300.0)
    assert best.accepted == 0
    assert best.rate == pytest.approx(0.36 * 300)


def test_several_nodes_are_best_used_a_little_under_their_limit() -> None:
    case = Case("nodes:{rate:g}/s,nodes=4,burst=0.2", 200.0)
    best = best_constant_rate(case)
    assert 0.8 * 200 <= best.rate < 200
    for other in (0.9 * best.rate, 1.1 * best.rate):
        accepted, refused = constant_rate(case, other, 25.0, 75.0)
        assert accepted - PRICE * refused < best.utility


def test_a_limit_on_requests_at_once_is_found_by_its_latency() -> None:
    best = best_constant_rate(Case("at-once:20", latency=0.1), machine=600.0)
    assert 0.7 * 20 / 0.05 <= best.rate <= 20 / 0.05
