"""Clients and a service on virtual time, with a control that never changes."""

from dataclasses import dataclass, field
from random import Random

import pytest

from ingestor.policy.attempt_timeout import AttemptTimeout
from ingestor.simulator.limiter_spec import parse_limiter
from tests.laboratory.cases import Case
from tests.laboratory.oracle import constant_rate
from tests.laboratory.simulation import Client, Late, Service, Simulation


@dataclass
class Constant:
    """A control that keeps to one rate and one number in flight, and notes what it is given."""

    rate: float = 100.0
    size: int = 1000
    resume_at: float = 0.0
    latencies: list[float] = field(default_factory=list)
    retry_after: set[float | None] = field(default_factory=set)

    def sent(self, now: float, in_flight: int) -> None: ...

    def accepted(self, now: float, sent_at: float) -> None:
        self.latencies.append(now - sent_at)

    def throttled(self, now: float, sent_at: float, retry_after: float | None) -> None:
        self.retry_after.add(retry_after)


def run(limiter: str, client: Client, service: Service | None = None, seconds: float = 20.0) -> Client:
    Simulation(parse_limiter(limiter).make(Random(1)), [client], service).run(seconds)
    return client


def test_a_client_sends_at_the_rate_that_its_control_allows() -> None:
    client = run("shed:0%", Client(Constant(100.0)))
    assert client.sent == pytest.approx(2000, abs=10)
    assert client.accepted_rate(5, 15) == pytest.approx(100, rel=0.01)


def test_its_machine_may_be_slower() -> None:
    assert run("shed:0%", Client(Constant(100.0), machine=30.0)).accepted_rate(5, 15) == pytest.approx(30, rel=0.01)


def test_no_more_attempts_are_in_flight_than_the_control_allows() -> None:
    client = run("shed:0%", Client(Constant(1000.0, size=5)), Service(latency=0.1, jitter=0.0))
    assert client.most_in_flight == 5
    assert client.accepted_rate(5, 15) == pytest.approx(5 / 0.1, rel=0.02)


def test_nothing_is_sent_before_the_control_resumes() -> None:
    client = run("shed:0%", Client(Constant(100.0, resume_at=10.0)))
    assert client.accepted_rate(0, 10) == 0
    assert client.accepted_rate(11, 20) == pytest.approx(100, rel=0.02)


def test_after_a_pause_nothing_is_made_up_for() -> None:
    control = Constant(100.0)
    client = Client(control)
    simulation = Simulation(parse_limiter("shed:0%").make(Random(1)), [client], Service(latency=0.001))
    simulation.run(5.0)
    control.resume_at = 10.0
    simulation.run(10.3)
    assert client.accepted_rate(10.0, 10.3) == pytest.approx(100, rel=0.05)


def test_an_answer_takes_the_latency_and_varies_as_the_service_says() -> None:
    control = Constant(100.0)
    run("shed:0%", Client(control), Service(latency=0.2, jitter=0.5))
    assert min(control.latencies) == pytest.approx(0.1, rel=0.1)
    assert max(control.latencies) == pytest.approx(0.3, rel=0.1)


def test_a_refusal_takes_the_way_to_the_limiter_and_back() -> None:
    control = Constant(100.0)
    client = run("shed:50%", Client(control), Service(latency=1.0, jitter=0.0, transit=0.1, retry_after=3.0), 2.0)
    assert client.refused_rate(0, 0.2) == 0
    assert client.refused_rate(0.3, 0.9) == pytest.approx(50, rel=0.3)
    assert client.accepted_rate(0, 0.9) == 0
    assert control.retry_after == {3.0}


def test_a_client_that_loses_time_now_and_then_makes_up_for_it() -> None:
    client = run("shed:0%", Client(Constant(100.0), stall=0.04))
    assert client.accepted_rate(5, 15) == pytest.approx(100, rel=0.02)


def test_a_queue_adds_to_the_latency() -> None:
    control = Constant(110.0)
    run("leaky:100/s,queue=0.5", Client(control), Service(latency=0.1, jitter=0.0))
    assert max(control.latencies) == pytest.approx(0.6, abs=0.02)


def test_without_a_timeout_a_hung_attempt_holds_its_slot() -> None:
    client = run("shed:0%", Client(Constant(100.0)), Service(late=Late(0.1)))
    assert client.in_flight == pytest.approx(0.1 * client.sent, rel=0.2)


def test_a_hung_attempt_is_given_up_after_the_timeout() -> None:
    client = Client(Constant(100.0), timeout=AttemptTimeout(60.0), longest=60.0)
    run("shed:0%", client, Service(late=Late(0.05)), 40.0)
    assert client.given_up == pytest.approx(0.05 * client.sent, rel=0.15)
    assert client.in_flight < 25


def test_where_all_attempts_hang_they_end_after_the_longest_timeout() -> None:
    client = Client(Constant(10.0), timeout=AttemptTimeout(5.0), longest=5.0)
    run("shed:0%", client, Service(late=Late(1.0)), 30.0)
    assert client.given_up == pytest.approx(250, abs=5)
    assert sum(client.accepted) == 0


def test_an_attempt_that_is_late_counts_when_it_is_answered() -> None:
    client = Client(Constant(10.0), timeout=AttemptTimeout(60.0), longest=60.0)
    run("shed:0%", client, Service(late=Late(1.0, 2.0, 2.0)), 10.0)
    assert client.accepted_rate(0, 2) == 0
    assert client.accepted_rate(3, 9) == pytest.approx(10, rel=0.05)


def test_clients_that_start_later_share_the_service_with_the_others() -> None:
    clients = [Client(Constant(60.0), starts=start) for start in (0.0, 10.0)]
    Simulation(parse_limiter("bucket:60/s,burst=0.2").make(Random(1)), clients).run(20.0)
    assert clients[1].accepted_rate(0, 10) == 0
    assert sum(client.accepted_rate(11, 19) for client in clients) == pytest.approx(60, rel=0.02)


def test_the_limiter_may_be_replaced_while_it_runs() -> None:
    client = Client(Constant(100.0))
    simulation = Simulation(parse_limiter("shed:100%").make(Random(1)), [client])
    simulation.run(10.0)
    simulation.limiter = parse_limiter("shed:0%").make(Random(1))
    simulation.run(20.0)
    assert client.accepted_rate(0, 10) == 0
    assert client.accepted_rate(11, 20) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("kind", ["nodes:{rate:g}/s,nodes=4,burst=0.1", "sliding:{rate:g}/s,window=1", "at-once:3"])
def test_the_oracle_sends_as_a_client_with_a_constant_rate(kind: str) -> None:
    case = Case(kind, 200.0)
    client = run(case.text, Client(Constant(180.0)), seconds=75.0)
    assert constant_rate(case, 180.0, 25.0, 75.0) == pytest.approx(
        (client.accepted_rate(25, 75), client.refused_rate(25, 75)), rel=0.1, abs=1.0
    )
