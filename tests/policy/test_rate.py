"""The rate controller against limits that it does not know, in simulated time: the numbers of the documentation."""

from collections.abc import Sequence

import pytest

from ingestor.policy.rate import RateController
from ingestor.policy.rate_constants import CONSTANTS
from tests.support.limited import ConcurrencyLimit, RateLimit, Traffic, World

LOWEST = CONSTANTS.lowest_rate
BURSTS = (0.1, 1.0)
LATENCIES = (0.005, 0.05, 0.2)


def controllers(count: int = 1) -> list[RateController]:
    return [RateController(None, 0.0) for _ in range(count)]


def drive(
    limits: Sequence[tuple[float, float]], burst: float, latency: float, *, clients: int = 1, **how: float
) -> Traffic:
    """Send for a while at each (limit, until), with one world and one bucket for all."""
    world = World(controllers(clients), latency, **how)  # type: ignore[arg-type]  # jitter, curt, seed
    limiter = RateLimit(limits[0][0], burst, world.clock)
    traffic = Traffic([])
    for limit, until in limits:
        limiter.bucket.set_rate(limit)
        traffic = world.run(limiter, until)
    return traffic


def jain(one: float, two: float) -> float:
    """Return how evenly two share: 1 where both have the same, 0.5 where one has all."""
    return (one + two) ** 2 / (2 * (one**2 + two**2))


def hold_to_the_limit(traffic: Traffic, limit: float, *, settled: tuple[float, float] = (30.0, 90.0)) -> None:
    minute, (start, end) = traffic.between(0.0, 60.0), settled
    assert minute.accepted >= 0.93 * limit * 60
    assert minute.refused_share <= 0.01
    assert traffic.goodput(start, end) >= 0.97 * limit
    assert traffic.between(start, end).refused_share <= 0.005


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("limit", [60.0, 300.0])
def test_it_finds_a_limit_and_stays_just_under_it(limit: float, latency: float, burst: float) -> None:
    hold_to_the_limit(drive([(limit, 90.0)], burst, latency), limit)


@pytest.mark.parametrize(("latency", "burst"), [(0.05, 1.0), (0.2, 0.1), (0.2, 1.0)])
def test_it_finds_a_limit_of_thousands(latency: float, burst: float) -> None:
    hold_to_the_limit(drive([(2000.0, 60.0)], burst, latency), 2000.0, settled=(25.0, 60.0))


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize(("limit", "goodput"), [(2.0, 0.85), (10.0, 0.85)])
def test_at_a_few_requests_a_second_a_probe_costs_a_refusal_or_two(
    limit: float, goodput: float, latency: float, burst: float
) -> None:
    """A percent of a minute is one request here: 24 refusals until the limit is found, then 5 a minute."""
    traffic = drive([(limit, 120.0)], burst, latency)
    assert traffic.between(0.0, 60.0).refused <= 24
    assert traffic.between(60.0, 120.0).refused <= 5
    assert traffic.goodput(30.0, 120.0) >= goodput * limit


@pytest.mark.parametrize(("jitter", "burst"), [(0.05, 0.1), (0.1, 1.0)])
def test_answers_may_overtake_each_other(jitter: float, burst: float) -> None:
    traffic = drive([(300.0, 90.0)], burst, 0.05, jitter=jitter)
    assert traffic.goodput(30.0, 90.0) >= 0.97 * 300
    assert traffic.between(0.0, 60.0).refused_share <= 0.015


def test_refusals_may_take_as_long_as_answers() -> None:
    hold_to_the_limit(drive([(300.0, 90.0)], 0.1, 0.2, curt=False), 300.0)


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("limit", [300.0, 1200.0])
def test_a_limit_that_falls_to_a_sixth_is_found_again(limit: float, latency: float, burst: float) -> None:
    """Five sixths of what is in flight at the fall are refused, in addition to 3 %."""
    fallen, fall = limit / 6, 31.3
    traffic = drive([(limit, fall), (fallen, fall + 20)], burst, latency)
    after = traffic.between(fall, fall + 20)
    assert after.refused <= 0.03 * len(after.sent) + (limit - fallen) * latency
    assert traffic.goodput(fall + 5, fall + 20) >= 0.95 * fallen


@pytest.mark.parametrize("tenth", range(0, 50, 5))
def test_a_limit_may_fall_at_any_time_of_a_probe(tenth: int) -> None:
    fall = 31.0 + tenth / 10
    traffic = drive([(300.0, fall), (50.0, fall + 20)], 1.0, 0.2)
    after = traffic.between(fall, fall + 20)
    assert after.refused <= 0.03 * len(after.sent) + 250 * 0.2
    assert traffic.goodput(fall + 5, fall + 20) >= 0.95 * 50


def test_a_client_that_loses_time_now_and_then_makes_up_for_it() -> None:
    traffic = drive([(300.0, 60.0)], 0.1, 0.02, delay=0.04)
    assert traffic.goodput(20.0, 60.0) >= 0.97 * 300
    assert traffic.between(20.0, 60.0).refused_share <= 0.005


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("rise", [31.0, 33.0, 35.0])
def test_a_limit_that_triples_is_found_within_ten_seconds(rise: float, latency: float, burst: float) -> None:
    traffic = drive([(100.0, rise), (300.0, rise + 16)], burst, latency)
    assert traffic.goodput(rise + 10, rise + 16) >= 0.95 * 300


@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("latency", [0.005, 0.1])
@pytest.mark.parametrize("seed", [1, 2])
def test_two_clients_share_a_limit(latency: float, burst: float, seed: int) -> None:
    traffic = drive([(400.0, 90.0)], burst, latency, clients=2, seed=seed)
    one, two = (traffic.goodput(30.0, 90.0, client) for client in (0, 1))
    assert jain(one, two) >= 0.95
    assert one + two >= 0.95 * 400


def test_at_a_hundred_a_second_two_clients_take_minutes_until_they_share() -> None:
    """A client notices the other by refusals alone, and fewer requests mean fewer probes."""
    traffic = drive([(100.0, 360.0)], 1.0, 0.05, clients=2)
    assert jain(*(traffic.goodput(270.0, 360.0, client) for client in (0, 1))) >= 0.95


@pytest.mark.parametrize("jitter", [0.002, 0.05])
@pytest.mark.parametrize("most", [5, 20, 100])
def test_a_limit_on_what_is_in_flight_is_found_as_well(most: int, jitter: float) -> None:
    [controller] = controllers()
    traffic = World([controller], 0.05, jitter=jitter, transit=0.02).run(ConcurrencyLimit(most), 60.0)
    assert traffic.goodput(20.0, 60.0) >= 0.9 * most / (0.05 + jitter / 2)
    assert traffic.between(20.0, 60.0).refused_share <= 0.005
    assert traffic.between(0.0, 60.0).refused_share <= 0.01


def test_where_latencies_vary_a_limit_on_what_is_in_flight_bounds_the_number_in_flight() -> None:
    [controller] = controllers()
    World([controller], 0.05, jitter=0.05, transit=0.02).run(ConcurrencyLimit(20), 60.0)
    assert controller.window is not None
    assert 19 <= controller.window <= 22


@pytest.mark.parametrize("jitter", [0.002, 0.05])
def test_a_limit_on_the_rate_does_not_count_as_one_on_what_is_in_flight(jitter: float) -> None:
    [controller] = controllers()
    world = World([controller], 0.05, jitter=jitter)
    world.run(RateLimit(300.0, 0.1, world.clock), 60.0)
    assert controller.window is None


def test_a_ceiling_is_reached_soon_and_never_exceeded() -> None:
    controller = RateController(40.0, 0.0)
    world = World([controller], 0.05)
    traffic = world.run(RateLimit(1000.0, 1.0, world.clock), 60.0)
    assert controller.rate == 40.0
    assert traffic.goodput(5.0, 60.0) == pytest.approx(40.0, rel=0.01)
    assert not traffic.refused
    assert max(traffic.between(start / 10, start / 10 + 1).accepted for start in range(590)) <= 41


def test_a_ceiling_below_the_lowest_rate_is_kept_to_as_well() -> None:
    controller = RateController(LOWEST / 5, 0.0)
    controller.sent(0.5)
    controller.throttled(1.0, 0.5)
    assert controller.rate <= LOWEST / 5


@pytest.mark.parametrize("ceiling", [0.004, 1e-4, 1e-9])
@pytest.mark.parametrize("share", [0.5, 100.0])
def test_a_ceiling_may_be_as_low_as_the_user_likes(ceiling: float, share: float) -> None:
    controller = RateController(ceiling, 0.0)
    world = World([controller], 0.05)
    traffic = world.run(RateLimit(share * ceiling, 1.0, world.clock), 50 / ceiling)
    assert controller.rate == ceiling
    assert 49 <= len(traffic.sent) <= 51


def test_a_refusal_of_long_ago_changes_nothing() -> None:
    [controller] = controllers()
    world = World([controller], 0.1)
    world.run(RateLimit(100.0, 0.1, world.clock), 30.0)
    rate, now = controller.rate, world.clock.now
    controller.throttled(now, now - 5.0)
    assert controller.rate == rate


def test_refusals_alone_never_stop_it_altogether() -> None:
    [controller] = controllers()
    for second in range(1, 1000):
        controller.sent(float(second))
        controller.throttled(second + 0.5, float(second))
    assert controller.rate == LOWEST


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    [controller] = controllers()
    before = controller.rate
    for second in range(1, 100):
        controller.sent(float(second))
        controller.accepted(second + 0.1, float(second))
    assert controller.rate == before


@pytest.mark.parametrize("latency", [0.001, 0.005, 0.03])
def test_where_nothing_is_refused_the_way_to_thousands_costs_a_second(latency: float) -> None:
    world = World([RateController(3000.0, 0.0)], latency)
    traffic = world.run(ConcurrencyLimit(10**9), 3.0)
    assert traffic.accepted >= 3000 * (3 - 1)


def test_a_refusal_that_arrives_after_a_minute_leaves_a_valid_rate() -> None:
    [controller] = controllers()
    controller.sent(0.0)
    for number in range(100_000):
        controller.sent(0.001 * number)
    controller.throttled(100.0, 1.0)
    assert LOWEST <= controller.rate <= 30.0


@pytest.mark.parametrize("pause", [1.0, 30.0])
def test_a_pause_does_not_make_it_forget(pause: float) -> None:
    [controller] = controllers()
    world = World([controller], 0.05)
    world.run(RateLimit(300.0, 0.1, world.clock), 30.0)
    rate, now = controller.rate, world.clock.now
    controller.resumed(now + pause, pause)
    controller.sent(now + pause)
    controller.accepted(now + pause + 0.05, now + pause)
    assert controller.rate == pytest.approx(rate, rel=0.1)


def test_after_an_hour_of_refusals_the_limit_is_found_within_a_minute() -> None:
    [controller] = controllers()
    world = World([controller], 0.05)
    world.run(ConcurrencyLimit(0), 3600.0)
    assert controller.rate == LOWEST
    world.run(RateLimit(300.0, 0.1, world.clock), 3660.0)
    traffic = world.run(RateLimit(300.0, 0.1, world.clock), 3690.0)
    assert traffic.goodput(3665.0, 3690.0) >= 0.97 * 300
