"""The limiters, one request at a time. `sent` gives the times at which requests are sent."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.simulator.limiters import (
    AtOnce,
    FixedWindow,
    HotKey,
    InSeries,
    LeakyBucket,
    Limiter,
    Nodes,
    Shedding,
    SlidingWindow,
    TokenBucket,
)

BEGIN = 1_800_000_000.0
"""When the tests begin: seconds since the epoch, as at the simulator."""

gaps = st.lists(st.floats(0, 3), min_size=1, max_size=200)
windows = st.sampled_from([0.5, 1.0, 10.0])


def admitted(limiter: Limiter, times: Sequence[float]) -> list[float]:
    return [at for at in times if limiter.admit(at, 1) is not None]


def even(rate: float, seconds: float, begin: float = BEGIN) -> list[float]:
    return [begin + number / rate for number in range(int(seconds * rate))]


def sent(pauses: Sequence[float]) -> list[float]:
    """Return times with these pauses between them, and three requests at each time."""
    return [at for at in accumulate(pauses, initial=BEGIN) for _ in range(3)]


def waits(limiter: Limiter, times: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield the time and what `retry_after` says for each refusal."""
    for at in times:
        if limiter.admit(at, 1) is None:
            yield at, limiter.retry_after(at)


def test_a_token_bucket_is_full_at_first_and_then_admits_its_rate() -> None:
    bucket = TokenBucket(100.0, 0.5)
    assert len(admitted(bucket, [BEGIN] * 200)) == 50
    assert len(admitted(bucket, even(1000, 2.0))) == 199


@given(st.floats(0.5, 500), st.floats(0, 5), gaps)
def test_no_more_passes_a_token_bucket_than_rate_and_burst_allow(
    rate: float, burst: float, pauses: list[float]
) -> None:
    times = sent(pauses)
    passed = len(admitted(TokenBucket(rate, burst), times))
    assert passed <= max(1, rate * burst) + rate * (times[-1] - BEGIN) + 1e-3 * len(times)


def test_the_rate_of_a_token_bucket_may_follow_the_time() -> None:
    bucket = TokenBucket(lambda now: 100.0 if now < BEGIN + 1 else 10.0, 0.01)
    assert len(admitted(bucket, even(1000, 1.0))) == pytest.approx(100, abs=1)
    assert len(admitted(bucket, even(1000, 1.0, BEGIN + 1))) == pytest.approx(10, abs=1)


def test_unused_tokens_stay_up_to_the_burst_of_the_new_rate() -> None:
    bucket = TokenBucket(100.0, 1.0)
    bucket.admit(BEGIN, 1)
    bucket.set_rate(20.0, BEGIN)
    assert len(admitted(bucket, [BEGIN] * 200)) == 20


def test_a_fixed_window_admits_its_quota_and_nothing_more_until_it_ends() -> None:
    window = FixedWindow(5, 10.0)
    assert len(admitted(window, [BEGIN + 1.0] * 7)) == 5
    assert admitted(window, even(100, 8.99, BEGIN + 1.0)) == []
    assert len(admitted(window, [BEGIN + 10.0] * 7)) == 5


@given(windows, st.integers(1, 50), gaps)
def test_a_fixed_window_never_admits_more_than_its_quota(window: float, quota: int, pauses: list[float]) -> None:
    passed = admitted(FixedWindow(quota, window), sent(pauses))
    numbers = [int(at // window) for at in passed]
    assert max(map(numbers.count, numbers)) <= quota


@pytest.mark.parametrize("count_refused", [False, True])
@given(window=windows, quota=st.integers(1, 50), pauses=gaps)
def test_a_sliding_window_never_admits_more_than_its_quota_in_any_window(
    *, count_refused: bool, window: float, quota: int, pauses: list[float]
) -> None:
    passed = admitted(SlidingWindow(quota, window, count_refused=count_refused), sent(pauses))
    for earlier, later in zip(passed, passed[quota:], strict=False):
        assert later - earlier >= window


def test_a_sliding_window_that_counts_refused_requests_stays_closed_while_too_many_come() -> None:
    too_many = even(200, 10.0)
    plain, counting = (SlidingWindow(100, 1.0, count_refused=counts) for counts in (False, True))
    assert len(admitted(plain, too_many)) == pytest.approx(1000, abs=100)
    assert len(admitted(counting, too_many)) == 100
    assert admitted(counting, [too_many[-1] + 1.01])


def test_nodes_are_used_alike_and_each_has_a_limit_of_its_own() -> None:
    nodes = Nodes([TokenBucket(1e-6, 1.0 * 1e6 * share) for share in (10, 10)], Random(1))
    assert len(admitted(nodes, [BEGIN] * 100)) == 20


def test_an_uneven_router_prefers_nodes_by_their_weights() -> None:
    first, second = Shedding(0.0, Random(1)), Shedding(1.0, Random(1))
    passed = admitted(Nodes([first, second], Random(2), [4, 1]), even(1000, 10.0))
    assert len(passed) == pytest.approx(8000, rel=0.03)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.05, 1.0])
def test_shedding_refuses_its_share_whatever_the_rate(share: float) -> None:
    for rate in (10.0, 10_000.0):
        passed = admitted(Shedding(share, Random(3)), even(rate, 20_000 / rate))
        assert 20_000 - len(passed) == pytest.approx(20_000 * share, abs=80)


def test_a_hot_key_is_limited_and_the_other_requests_are_not() -> None:
    limiter = HotKey(0.1, TokenBucket(5.0, 0.1), Random(4))
    passed = admitted(limiter, even(100, 100.0))
    assert len(passed) == pytest.approx(10_000 - 1000 + 500, rel=0.02)


def test_no_more_are_served_at_once_than_may_be() -> None:
    limiter = AtOnce(20)
    assert limiter.admit(BEGIN, 20) == 0.0
    assert limiter.admit(BEGIN, 21) is None


@given(st.floats(0.5, 500), st.floats(0, 5), gaps)
def test_a_leaky_bucket_serves_at_its_rate_and_no_request_waits_longer_than_its_queue(
    rate: float, queue: float, pauses: list[float]
) -> None:
    bucket, served = LeakyBucket(rate, queue), list[float]()
    for at in sent(pauses):
        wait = bucket.admit(at, 1)
        if wait is not None:
            assert wait <= queue + 1e-5
            served.append(at + wait)
    assert all(later - earlier >= 1 / rate - 1e-5 for earlier, later in pairwise(served))


def test_a_leaky_bucket_delays_what_a_token_bucket_refuses() -> None:
    burst = [BEGIN] * 50
    assert len(admitted(TokenBucket(100.0, 0.0), burst)) == 1
    bucket = LeakyBucket(100.0, 1.0)
    assert [bucket.admit(at, 1) for at in burst] == pytest.approx([number / 100 for number in range(50)], abs=1e-5)


def test_a_request_passes_limiters_one_after_the_other() -> None:
    series = InSeries([TokenBucket(1e-6, 30e6), LeakyBucket(10.0, 1.0), LeakyBucket(5.0, 100.0)])
    passed = [series.admit(BEGIN, 1) for _ in range(40)]
    assert [wait is None for wait in passed].index(True) == 11, "the first queue holds a second's worth"
    assert passed[10] == pytest.approx(10 / 5, abs=1e-5), "the second queue is slower"


@pytest.mark.parametrize(
    "limiter",
    [
        TokenBucket(7.0, 0.5),
        FixedWindow(7, 1.0),
        SlidingWindow(7, 1.0),
        LeakyBucket(7.0, 0.5),
        InSeries([TokenBucket(7.0, 0.5), FixedWindow(50, 10.0)]),
        HotKey(1.0, TokenBucket(7.0, 0.5), Random(5)),
        Nodes([TokenBucket(7.0, 0.5)], Random(5)),
    ],
    ids=lambda limiter: type(limiter).__name__,
)
def test_after_what_retry_after_says_the_next_request_is_admitted(limiter: Limiter) -> None:
    refusals = 0
    for at in even(0.2, 100.0):
        for _ in range(60):
            refused = next(waits(limiter, [at]), None)
            if refused is not None:
                break
        assert refused is not None
        assert refused[1] > 0
        refusals += 1
        assert limiter.admit(at + refused[1] + 1e-5, 1) is not None
    assert refusals == 20
