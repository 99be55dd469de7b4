"""Limits that change, and several clients on one limit. Where a requirement is not reached, `shortfalls` says so."""

import pytest

from ingestor.policy.send_control import SendControl
from tests.laboratory.changes import Change, try_change
from tests.laboratory.held import CHANGES, SHARINGS, reach
from tests.laboratory.outcome import missed
from tests.laboratory.shortfalls import SHORT
from tests.laboratory.simulation import Client, Service, Simulation


@pytest.mark.parametrize("label", CHANGES)
def test_a_limit_that_falls_to_a_sixth_is_followed_within_five_seconds_and_one_that_triples_within_ten(
    label: str,
) -> None:
    reached, required = reach(label)
    assert missed(reached, {**required, **SHORT.get(label, {})}) == {}


@pytest.mark.parametrize("label", SHARINGS)
def test_several_clients_use_a_limit_together_and_share_it_within_a_minute(label: str) -> None:
    reached, required = reach(label)
    assert missed(reached, {**required, **SHORT.get(label, {})}) == {}


@pytest.mark.parametrize(("latency", "share"), [(0.03, 0.9), (0.2, 0.85), (1.0, 0.3)])
def test_a_burst_of_refusals_never_stops_sending(latency: float, share: float) -> None:
    """All that is in flight when the limit falls is refused together, and counts once.

    At a latency of a second the rate is too low for some seconds: each answer is about the rate of a second before.
    """
    followed = try_change(Change(300.0, 150.0, latency=latency), 1)
    later = range(round(30 + 3 * latency + 1), 60, 3)
    assert min(followed.client.accepted_rate(begin, begin + 3) for begin in later) >= share * 150


class Interrupted:
    """Refuses everything for the last seconds of each period, at any rate."""

    def __init__(self, period: float, closed: float) -> None:
        self._period, self._open = period, period - closed

    def admit(self, now: float, in_service: int) -> float | None:
        return 0.0 if now % self._period < self._open else None

    def retry_after(self, now: float) -> float:
        return self._period - now % self._period


@pytest.mark.parametrize(("period", "closed"), [(30.0, 5.0), (5.0, 0.3), (2.0, 0.3)])
def test_a_service_that_closes_again_and_again_at_any_rate_does_not_lower_the_rate_each_time(
    period: float, closed: float
) -> None:
    client = Client(SendControl(100.0, 64, 0.0))
    Simulation(Interrupted(period, closed), [client], Service()).run(360.0)
    assert client.accepted_rate(180, 360) >= 0.7 * 100 * (1 - closed / period)
