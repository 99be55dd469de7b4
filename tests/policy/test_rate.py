"""The rate controller against a token bucket it is not told of, in simulated time."""

from dataclasses import dataclass

import pytest

from ingestor.policy.rate import FLOOR, RateController


@dataclass
class Bucket:
    """A server's token bucket: `limit` a second, `burst` seconds deep."""

    limit: float
    burst: float = 0.1
    tokens: float = 0.0
    at: float = 0.0

    def takes(self, now: float) -> bool:
        self.tokens = min(max(1.0, self.limit * self.burst), self.tokens + (now - self.at) * self.limit)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


@dataclass
class Tally:
    accepted: int = 0
    refused: int = 0


def drive(controller: RateController, bucket: Bucket, start: float, seconds: float, latency: float = 0.02) -> Tally:
    """Send at the controller's rate, answers coming back after `latency`."""
    tally = Tally()
    now = start
    answers: list[tuple[float, float, bool]] = []
    while now < start + seconds:
        while answers and answers[0][0] <= now:
            landed, sent_at, taken = answers.pop(0)
            if taken:
                controller.accepted(landed)
            else:
                controller.throttled(landed, sent_at)
        controller.sent()
        taken = bucket.takes(now)
        tally.accepted += taken
        tally.refused += not taken
        answers.append((now + latency, now, taken))
        now += 1.0 / controller.rate
    return tally


@pytest.mark.parametrize("limit", [5.0, 50.0, 500.0, 2000.0])
def test_it_finds_a_limit_and_stays_near_it(limit: float) -> None:
    controller = RateController(None, 0.0)
    bucket = Bucket(limit)
    drive(controller, bucket, 0.0, 20.0)
    settled = drive(controller, bucket, 20.0, 40.0)
    assert settled.accepted >= 0.75 * limit * 40
    assert settled.refused <= 0.05 * settled.accepted


def test_it_follows_a_limit_that_falls_and_rises() -> None:
    controller = RateController(None, 0.0)
    bucket = Bucket(300.0)
    drive(controller, bucket, 0.0, 20.0)
    bucket.limit = 50.0
    drive(controller, bucket, 20.0, 5.0)
    assert 40.0 <= controller.rate <= 65.0
    bucket.limit = 300.0
    drive(controller, bucket, 25.0, 30.0)
    assert controller.rate >= 250.0


def test_a_ceiling_is_where_it_starts_and_what_it_never_passes() -> None:
    controller = RateController(40.0, 0.0)
    assert controller.rate == 40.0
    drive(controller, Bucket(1000.0), 0.0, 30.0)
    assert controller.rate == 40.0


def test_a_ceiling_below_the_floor_is_kept_to_as_well() -> None:
    controller = RateController(FLOOR / 5, 0.0)
    assert controller.throttled(1.0, 0.5)
    assert controller.rate <= FLOOR / 5


def test_one_volley_of_refusals_is_one_cut() -> None:
    controller = RateController(100.0, 0.0)
    for number in range(100):
        controller.accepted(0.01 * number)
    assert controller.throttled(1.0, 0.95)
    after_one = controller.rate
    assert not controller.throttled(1.01, 0.96)
    assert not controller.throttled(1.02, 0.99)
    assert controller.rate == after_one
    assert controller.throttled(1.2, 1.1)


def test_nothing_but_refusals_never_stops_it_altogether() -> None:
    controller = RateController(None, 0.0)
    for second in range(1, 1000):
        controller.throttled(float(second), float(second))
    assert controller.rate == FLOOR


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    controller = RateController(None, 0.0)
    before = controller.rate
    for second in range(1, 100):
        controller.sent()
        controller.accepted(float(second))
    assert controller.rate == before
