"""A service that refuses every request is given up in time."""

from dataclasses import replace

import pytest

from ingestor.model.reply import Reply
from ingestor.policy.breaker import BREADTH
from ingestor.policy.decisions import GiveUp, Pause, Requeue
from ingestor.policy.tallies import MAX_REFUSALS
from ingestor.policy.watchdog import ANNOUNCED_AFTER, FEWEST_REFUSALS
from tests.policy.health_story import (
    BAD_RECORD,
    BUSY,
    CLOSED,
    CREATED,
    DOWN,
    GOES_ON,
    LOST,
    MALFORMED,
    NO_SUCH_EXPERIMENT,
    PAGE,
    QUEUED_AGAIN,
    RESET,
    THROTTLED,
    UP,
    Story,
    up,
)

# a service that refuses every request


def refusing(refusals: int = FEWEST_REFUSALS, **options: float) -> Story:
    story = up(**options)
    for number in range(refusals):
        assert story.reply(THROTTLED, number) == GOES_ON
    return story


def test_a_service_that_refuses_every_request_is_reported_after_ten_seconds_and_given_up_in_time() -> None:
    story = refusing(give_up_after=60.0)
    assert (story.health.next_report(story.now), story.health.next_check(story.now)) == (ANNOUNCED_AFTER, 60.0)
    story.now += ANNOUNCED_AFTER
    assert story.health.pause(story.now) == Pause("every request is refused (still trying): 429", story.now + 50.0)
    story.now += 49.0
    assert story.health.check(story.now) == GOES_ON
    story.now += 1.0
    assert story.health.check(story.now) == GiveUp("every request was refused for longer than --give-up-after: 429")
    assert story.state == UP, "the pacer slows down; the breaker stays closed"


@pytest.mark.parametrize("reply", [CREATED, BAD_RECORD, NO_SUCH_EXPERIMENT, Reply(status=500)])
def test_a_request_that_is_carried_out_or_refused_for_a_fault_of_its_record_begins_the_time_anew(reply: Reply) -> None:
    story = refusing(give_up_after=60.0)
    story.now += 30.0
    story.reply(reply, 50)
    assert story.health.next_check(story.now) is None
    assert story.health.next_report(story.now) is None


@pytest.mark.parametrize("reply", [BUSY, RESET, LOST, MALFORMED, PAGE])
def test_what_is_no_success_does_not_begin_the_time_anew(reply: Reply) -> None:
    story = refusing(give_up_after=60.0)
    story.now += 30.0
    story.reply(reply, 50)
    assert story.health.next_check(story.now) == 30.0


def test_one_refusal_is_no_sign_unless_it_asks_to_wait() -> None:
    story = refusing(1, give_up_after=60.0)
    assert story.health.next_check(story.now) is None
    story.reply(replace(THROTTLED, retry_after=600.0))
    assert story.health.next_check(story.now) == 60.0


def test_a_batch_without_anything_to_send_is_not_given_up() -> None:
    story = refusing(give_up_after=60.0)
    story.health.idle()
    story.now += 1000.0
    assert story.health.check(story.now) == GOES_ON


def test_an_outage_and_refusals_are_waited_for_together() -> None:
    story = refusing(give_up_after=60.0)
    story.now += 40.0
    for number in range(BREADTH):
        story.reply(BUSY, number)
    assert story.state == DOWN
    story.now += 19.5
    assert story.probe(CLOSED) == GOES_ON
    assert story.health.next_probe(story.now) == 0.5, "the last interval ends with the time to wait"


def test_failures_while_every_request_is_refused_are_no_fault_of_their_records() -> None:
    story = refusing(give_up_after=60.0)
    assert story.reply(BUSY) == GOES_ON
    story.now += ANNOUNCED_AFTER
    assert story.reply(BUSY) == QUEUED_AGAIN


def test_many_records_in_a_row_that_meet_a_quota_count_as_an_outage() -> None:
    quota = Reply(status=400, code="QuotaExceeded", message="used up")
    story = up(give_up_after=60.0)
    for number in range(MAX_REFUSALS - 1):
        assert story.reply(quota, number) == GOES_ON
    for number in range(MAX_REFUSALS, MAX_REFUSALS + BREADTH):
        assert isinstance(story.reply(quota, number), Requeue)
    assert story.state == DOWN
    reason = "every request is refused (still trying): 400 QuotaExceeded: used up"
    assert story.health.pause(story.now) == Pause(reason, story.now + 1.0)
