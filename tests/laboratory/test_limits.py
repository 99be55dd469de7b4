"""One limit that the client does not know: numbers that hold whatever the network and the client are like."""

from random import Random

import pytest

from ingestor.policy.send_control import SendControl
from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.limiters import Limiter
from tests.laboratory.held import NETWORKS, drive, reach
from tests.laboratory.oracle import MACHINE
from tests.laboratory.outcome import MOST_IN_FLIGHT, default_control, missed
from tests.laboratory.shortfalls import SHORT
from tests.laboratory.simulation import Client, Service, Simulation


def limiter(text: str) -> Limiter:
    return parse_limiter(text).make(Random(1))


@pytest.mark.parametrize("label", NETWORKS)
def test_a_limit_is_kept_to_whatever_the_network_and_the_client_are_like(label: str) -> None:
    reached, required = reach(label)
    assert missed(reached, {**required, **SHORT.get(label, {})}) == {}


@pytest.mark.parametrize("seed", [1, 4])
@pytest.mark.parametrize("kind", ["bucket:500/s,burst=0.1", "tenants:500/s,burst=0.1", "nodes:500/s,nodes=4,burst=0.1"])
def test_a_client_on_a_busy_machine_never_loses_the_limit(kind: str, seed: int) -> None:
    client = Client(default_control(0.0), machine=700.0, stall=0.05)
    Simulation(limiter(kind), [client], Service(latency=0.035, transit=0.1), seed=seed).run(75.0)
    assert min(client.accepted_rate(begin, begin + 5) for begin in range(10, 75, 5)) >= 0.5 * 300


@pytest.mark.parametrize("most", [5, 20, 100])
@pytest.mark.parametrize("jitter", [0.05, 0.5])
def test_a_limit_on_requests_in_flight_is_found_too(most: int, jitter: float) -> None:
    client = drive(f"at-once:{most}", 60.0, Service(latency=0.05, jitter=jitter, transit=0.02))
    assert client.accepted_rate(20, 60) >= 0.95 * most / 0.05
    assert client.refused_share(20, 60) <= 0.01


def test_a_limit_on_the_rate_is_not_taken_for_one_on_requests_in_flight() -> None:
    client = drive("bucket:300/s,burst=0.1", 60.0, Service(latency=0.05))
    assert client.control.size >= 60


@pytest.mark.parametrize("latency", [0.001, 0.005, 0.03])
def test_where_nothing_is_refused_the_way_to_thousands_costs_a_second(latency: float) -> None:
    client = Client(SendControl(3000.0, MOST_IN_FLIGHT, 0.0), machine=5000.0)
    Simulation(limiter("shed:0%"), [client], Service(latency=latency)).run(4.0)
    assert client.accepted_rate(0, 3) >= 3000 * (3 - 1.3) / 3
    assert client.accepted_rate(2, 4) == pytest.approx(3000, rel=0.02)


@pytest.mark.parametrize("ceiling", [0.2, 40.0])
@pytest.mark.parametrize("share", [0.5, 100.0])
def test_a_ceiling_is_reached_and_never_exceeded(ceiling: float, share: float) -> None:
    client = Client(SendControl(ceiling, MOST_IN_FLIGHT, 0.0), machine=MACHINE)
    limit = f"bucket:{share * ceiling:g}/s,burst=0.1"
    Simulation(limiter(limit), [client], Service(latency=0.05)).run(100.0)
    assert client.sent <= ceiling * 100 + max(1, 0.05 * ceiling)
    if share > 1:
        assert client.sent >= 0.95 * ceiling * 100
        assert not sum(client.refused)


def test_after_an_hour_of_refusals_a_limit_is_found_within_a_minute() -> None:
    client = Client(default_control(0.0), machine=MACHINE)
    simulation = Simulation(limiter("shed:100%"), [client], Service(latency=0.05))
    simulation.run(3600.0)
    simulation.limiter = limiter("bucket:300/s,burst=0.1")
    simulation.run(3690.0)
    assert client.accepted_rate(3660, 3690) >= 0.97 * 300
