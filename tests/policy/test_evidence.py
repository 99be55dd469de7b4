"""Refusals, credentials, faults and spoiled answers: when they concern every record."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ingestor.model.activity import Health
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt
from ingestor.policy.decisions import Distrust
from ingestor.policy.evidence import LONGEST_UNANSWERED, MAX_FAULTS
from ingestor.policy.tallies import MAX_REFUSALS
from tests.policy.health_story import (
    BAD_KEY,
    BAD_RECORD,
    CREATED,
    GOES_ON,
    GRANTED,
    HALF_OPEN,
    LOST,
    MALFORMED,
    NO_SUCH_ROUTE,
    QUEUED_AGAIN,
    QUEUED_AND_RENEWED,
    RESET,
    UNPROVEN,
    UP,
    Story,
    down,
    known,
    refusals_until_halt,
    up,
)


def test_refused_credentials_halt_on_a_target_with_runs_too() -> None:
    story = known()
    for _ in range(MAX_REFUSALS):
        decision = story.refuse_credentials()
    assert isinstance(decision, Halt)


def test_the_same_refusal_five_times_asks_for_a_probe_and_halts_where_that_is_denied() -> None:
    story = Story()
    for number in range(MAX_REFUSALS - 1):
        assert story.reply(BAD_RECORD, number) == GOES_ON
    assert story.reply(BAD_RECORD) == QUEUED_AGAIN
    story.probe(Reply(status=400, code="InvalidParameter", message="not a valid OCID"))
    assert isinstance(story.reply(BAD_RECORD), Halt)


def test_the_same_refusal_concerns_only_its_records_if_the_probe_says_nothing() -> None:
    story = Story()
    for number in range(MAX_REFUSALS):
        story.reply(BAD_RECORD, number)
    story.probe(NO_SUCH_ROUTE)
    for number in range(100):
        assert story.reply(BAD_RECORD, number) == GOES_ON


def test_refusals_for_different_reasons_concern_their_records() -> None:
    story = Story()
    for number in range(100):
        assert story.reply(replace(BAD_RECORD, message=f"reason {number % 2}"), number) == GOES_ON
    assert story.health.next_probe(story.now) is None


def test_refused_credentials_are_renewed_and_halt_after_five() -> None:
    story = Story()
    for _ in range(MAX_REFUSALS - 1):
        assert story.refuse_credentials() == QUEUED_AND_RENEWED
    decision = story.refuse_credentials()
    assert isinstance(decision, Halt)
    assert "NotAuthenticated" in decision.reason
    assert "--auth" in decision.advice


def test_credentials_that_can_not_sign_count_as_refused() -> None:
    assert Story().reply(Reply(fault=Fault.UNSIGNED)) == QUEUED_AND_RENEWED


def test_while_credentials_are_renewed_a_401_counts_for_nothing() -> None:
    story = Story()
    for _ in range(MAX_REFUSALS - 1):
        assert story.reply(BAD_KEY) == QUEUED_AND_RENEWED
        for number in range(100):
            assert story.reply(BAD_KEY, number) == QUEUED_AGAIN
        story.health.renewal_ended(story.now)
    assert isinstance(story.reply(BAD_KEY), Halt)


def test_a_401_to_an_attempt_from_before_the_end_of_the_renewal_says_nothing_about_the_new_credentials() -> None:
    story = Story()
    story.now = 110.0
    story.health.renewal_ended(story.now)
    for _ in range(100):
        assert story.reply(BAD_KEY, sent_at=109.0) == QUEUED_AGAIN
    assert story.state == UNPROVEN


def test_a_success_between_refused_credentials_begins_the_count_anew() -> None:
    story = Story()
    for number in range(100):
        if number % MAX_REFUSALS:
            assert story.refuse_credentials() == QUEUED_AND_RENEWED
        else:
            story.reply(CREATED)


def test_a_clock_that_is_off_is_what_the_advice_names() -> None:
    story = Story()
    for _ in range(MAX_REFUSALS):
        decision = story.refuse_credentials(replace(BAD_KEY, clock_skew=-301.0))
    assert isinstance(decision, Halt)
    assert "301 seconds" in decision.advice


@pytest.mark.parametrize("fault", [Fault.DNS, Fault.REFUSED, Fault.TLS])
def test_five_attempts_that_reached_nothing_halt_where_nothing_ever_answered(fault: Fault) -> None:
    story = Story()
    for _ in range(MAX_REFUSALS - 1):
        assert story.reply(Reply(fault=fault)) == GOES_ON
    decision = story.reply(Reply(fault=fault))
    assert isinstance(decision, Halt)
    assert "never reached" in decision.reason


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.RESET, Fault.GARBLED])
def test_ten_attempts_without_an_answer_halt_where_nothing_ever_answered(fault: Fault) -> None:
    story = Story()
    for _ in range(MAX_FAULTS - 1):
        assert story.reply(Reply(fault=fault)) == GOES_ON
    assert isinstance(story.reply(Reply(fault=fault)), Halt)


def test_one_fault_is_enough_twenty_five_seconds_after_the_first_attempt() -> None:
    story = Story()
    assert story.reply(RESET) == GOES_ON
    story.now += LONGEST_UNANSWERED - 0.1
    assert story.reply(RESET) == GOES_ON
    story.now += 0.1
    assert isinstance(story.reply(RESET), Halt)


def test_a_lost_sender_process_says_nothing_about_the_service() -> None:
    story = Story()
    for number in range(100):
        assert story.reply(LOST, number) == GOES_ON
    assert story.state == UNPROVEN
    proven = up()
    for number in range(100):
        assert proven.reply(LOST, number) == GOES_ON
    assert proven.state == UP


def test_replies_after_a_halt_are_still_judged_and_change_no_state() -> None:
    story = Story()
    refusals_until_halt(story, NO_SUCH_ROUTE)
    first = story.health.check(story.now)
    assert story.reply(replace(NO_SUCH_ROUTE, status=405)) == first
    assert story.health.check(story.now) == first
    assert story.reply(CREATED) == GOES_ON
    assert story.health.health is Health.HALTED
    assert story.health.next_probe(story.now) is None


# malformed answers


def test_five_malformed_answers_halt_where_the_probe_gets_one_too() -> None:
    story = Story()
    assert story.reply(MALFORMED) == QUEUED_AGAIN
    assert story.probe(MALFORMED) == GOES_ON
    for _ in range(MAX_REFUSALS - 2):
        assert story.reply(MALFORMED) == QUEUED_AGAIN
    decision = story.reply(MALFORMED)
    assert isinstance(decision, Halt)
    assert "answers are malformed" in decision.reason


@pytest.mark.parametrize("begin", [Story, up])
def test_malformed_answers_to_five_records_halt_with_any_probe(begin: Callable[[], Story]) -> None:
    story = begin()
    story.reply(MALFORMED)
    story.probe(GRANTED)
    for number in range(2, MAX_REFUSALS):
        assert story.reply(MALFORMED, number) == GOES_ON
    assert isinstance(story.reply(MALFORMED, MAX_REFUSALS), Halt)


def test_malformed_answers_halt_no_batch_whose_look_ups_are_answered() -> None:
    story = Story()
    story.reply(CREATED)
    for number in range(4 * MAX_REFUSALS):
        assert not isinstance(story.reply(MALFORMED, number), Halt)
        story.health.look_up_answered(0.0)


def test_malformed_answers_to_one_record_concern_it_where_the_probe_gets_a_good_one() -> None:
    story = Story()
    story.reply(MALFORMED)
    story.probe(GRANTED)
    assert [story.reply(MALFORMED) for _ in range(20)] == [GOES_ON] * 20


def test_a_success_between_malformed_answers_begins_the_count_anew() -> None:
    story = up()
    for number in range(100):
        reply = CREATED if number % MAX_REFUSALS == 0 else MALFORMED
        assert not isinstance(story.reply(reply, number), Halt)
        if story.health.next_probe(story.now) == 0.0:
            story.probe(GRANTED)


def test_a_service_with_malformed_answers_is_neither_down_nor_never_reached() -> None:
    story = Story()
    story.health.sending(story.now)
    story.reply(MALFORMED)
    story.probe(GRANTED)
    story.now += 1000.0
    assert story.health.has_answered
    assert story.health.check(story.now) == GOES_ON
    for _ in range(100):
        assert story.reply(MALFORMED) == GOES_ON
    assert story.state == UP


def test_a_malformed_answer_to_a_probe_ends_an_outage_as_any_answer_does() -> None:
    story = down()
    story.now += 1.0
    story.probe(MALFORMED)
    assert story.state == HALF_OPEN


# the same run for different records


def test_a_run_that_another_record_got_is_distrusted_and_the_fifth_halts() -> None:
    story = up()
    answer = Reply(status=200, run_id="cached")
    assert story.reply(answer, 2) == GOES_ON
    for number in range(3, 2 + MAX_REFUSALS):
        assert story.reply(answer, number) == Distrust("cached")
    assert story.reply(answer, 2) == GOES_ON, "the record that got it first may get it again"
    assert story.reply(answer, 20) == Distrust("cached", halts=True)
    halt = story.health.check(story.now)
    assert isinstance(halt, Halt)
    assert "cached" in halt.reason
