"""A service that answers slowly: requests that wait in a queue, or a service that takes long for each."""

import pytest

from tests.laboratory.simulation import Late, Service
from tests.policy.in_flight.services import AUTO_FIRST, AUTO_MOST, Run, Serial, Workers, limiter, slower_at

UNLIMITED = "shed:0%"
SLACK = 0.02
"""Seconds of queue that are tolerated where the latency is short."""


@pytest.mark.parametrize(("count", "seconds"), [(5, 0.03), (20, 0.1), (20, 0.03)])
def test_a_service_with_a_queue_gets_no_more_than_doubles_its_latency(count: int, seconds: float) -> None:
    capacity, own = count / seconds, 1.05 * seconds
    run = Run(Workers(count, seconds), Service(latency=0.05 * seconds)).until(10.0)
    levels = [run.until(time / 10).in_flight for time in range(100, 300)]
    assert sorted(levels)[len(levels) // 2] <= capacity * (2 * own + SLACK)
    assert run.accepted(10.0, 30.0) >= 0.95 * capacity


@pytest.mark.parametrize(("rate", "latency"), [(20, 0.05), (50, 0.2), (100, 0.02), (200, 0.02)])
def test_a_queue_that_is_there_from_the_first_second_is_found(rate: int, latency: float) -> None:
    """The lowest latency that is known is one with a queue."""
    run = Run(Serial(rate), Service(latency=latency)).until(15.0)
    levels = sorted(run.until(time / 10).in_flight for time in range(150, 300))
    assert levels[len(levels) // 2] <= rate * (2 * (latency + 1 / rate) + SLACK)
    assert run.accepted(15.0, 30.0) >= 0.95 * rate


def test_a_queue_that_gets_five_times_as_slow_is_followed() -> None:
    run = Run(Serial(100), Service(latency=0.02)).until(20.0)
    run.until(30.0, Serial(20))
    levels = [run.until(time / 10).in_flight for time in range(300, 500)]
    assert max(levels) <= 12
    assert run.accepted(30.0, 50.0) >= 0.95 * 20


def test_a_bucket_that_delays_instead_of_refusing_gets_a_short_queue() -> None:
    run = Run(limiter("leaky:500/s,queue=10"), Service(latency=0.03)).until(30.0)
    assert run.accepted(10.0, 30.0) >= 0.95 * 500
    assert run.refused(0.0, 30.0) == 0.0
    assert run.in_flight <= 500 * (2 * 0.03 + SLACK)


def test_a_queue_in_this_process_is_a_queue_too() -> None:
    """An event loop that handles 2,300 answers a second, of a service that answers within a millisecond."""
    run = Run(limiter("leaky:2300/s,queue=10"), Service(latency=0.001), machine=1e5).until(6.0)
    assert max(run.sizes(7, 15)) <= 2 * AUTO_FIRST
    assert run.accepted(6.0, 14.0) >= 0.95 * 2300


def test_a_service_that_becomes_slow_for_all_gets_as_many_in_flight_as_the_rate_needs() -> None:
    """200 a second of 3 s each are 600 in flight (Little's law)."""
    run = Run(limiter(UNLIMITED), Service(latency=slower_at(5.0, 0.03, 3.0), jitter=0.2), ceiling=200.0)
    run.until(5.0)
    assert run.client.control.size == AUTO_FIRST
    run.until(70.0)
    assert run.accepted(58.0, 70.0) >= 0.9 * 200
    assert run.client.most_in_flight <= 1.1 * 200 * 3


@pytest.mark.parametrize(("latency", "seconds"), [(1.0, 8.0), (3.0, 22.0)])
def test_a_service_that_becomes_slow_is_as_fast_as_before_once_enough_are_in_flight(
    latency: float, seconds: float
) -> None:
    run = Run(limiter(UNLIMITED), Service(latency=slower_at(20.0, 0.03, latency)), ceiling=150.0)
    sizes = run.until(20.0).sizes(21, 61)
    assert sizes == sorted(sizes), "all attempts are slow, whether few or many are in flight: fewer are not tried"
    assert run.accepted(20.0 + seconds, 60.0) >= 0.95 * 150
    assert run.client.most_in_flight <= 1.2 * 150 * latency


def test_a_slow_service_gets_at_most_the_ceiling() -> None:
    run = Run(limiter(UNLIMITED), Service(latency=slower_at(5.0, 0.03, 3.0)), ceiling=200.0, most=100, first=None)
    run.until(60.0)
    assert run.client.most_in_flight == 100
    assert run.accepted(40.0, 60.0) >= 0.9 * 100 / 3


def test_a_service_that_is_fast_again_is_as_fast_as_before() -> None:
    def latency(now: float) -> float:
        return 0.3 if 5 < now < 20 else 0.03

    run = Run(limiter(UNLIMITED), Service(latency=latency), ceiling=500.0).until(30.0)
    assert run.accepted(10.0, 20.0) >= 0.95 * 500
    assert run.accepted(22.0, 30.0) >= 0.97 * 500


def test_where_answers_take_long_the_size_grows_to_the_ceiling_within_seconds() -> None:
    run = Run(limiter(UNLIMITED), Service(latency=0.3), machine=1e4)
    sizes = run.sizes(1, 13)
    assert sizes[0] == AUTO_FIRST
    assert sizes[-1] == AUTO_MOST
    assert sizes.index(AUTO_MOST) - sizes.index(2 * AUTO_FIRST) <= 5
    assert run.accepted(11.0, 12.0) >= 0.9 * AUTO_MOST / 0.3


def test_the_size_does_not_grow_where_the_rate_is_what_binds() -> None:
    run = Run(limiter("bucket:300/s,burst=0.1"), Service(latency=0.03))
    assert set(run.sizes(1, 20)) == {AUTO_FIRST}


def test_a_few_records_now_and_then_leave_the_size_as_it_is() -> None:
    run = Run(limiter(UNLIMITED), Service(latency=0.03), machine=2.0)
    assert set(run.sizes(1, 60)) == {AUTO_FIRST}


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_late_answers_of_a_few_are_no_queue(share: float) -> None:
    run = Run(limiter(UNLIMITED), Service(latency=0.03, late=Late(share, 0.0, 3.0)), machine=1200.0)
    sizes = run.sizes(1, 15)
    assert sizes == sorted(sizes)
    assert run.accepted(8.0, 14.0) >= 0.95 * 1200


def test_slots_that_lost_answers_hold_are_replaced() -> None:
    """Nobody gives these attempts up: 1 in 100 holds its slot for ever. The size grows by them, and never shrinks."""
    run = Run(limiter(UNLIMITED), Service(latency=0.03, late=Late(0.01)), machine=1500.0)
    sizes = run.sizes(1, 25)
    assert sizes == sorted(sizes)
    assert run.accepted(8.0, 24.0) >= 0.9 * 1500


@pytest.mark.parametrize("count", [1, 16])
def test_a_number_is_a_fixed_bound_from_the_beginning(count: int) -> None:
    run = Run(limiter(UNLIMITED), Service(latency=0.3), most=count, first=None)
    assert set(run.sizes(1, 30)) == {count}
    assert run.client.most_in_flight == count
