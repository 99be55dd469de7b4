"""The health of the service: each state, what enters it, what may be sent, and what leaves it."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.activity import Health
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt
from ingestor.policy.breaker import BREADTH, LONGEST_INTERVAL, SUSPICION
from ingestor.policy.decisions import REQUEUE_DELAY, GiveUp, HealthDecision
from ingestor.policy.evidence import LONGEST_UNANSWERED, MAX_FAULTS
from ingestor.policy.health import FIRST_RESPONSE_TIMEOUT
from ingestor.policy.tallies import MANY_REFUSALS, MAX_REFUSALS
from tests.policy.health_story import (
    BAD_KEY,
    BAD_RECORD,
    BUSY,
    CLOSED,
    CREATED,
    DOWN,
    DOWN_UNPROVEN,
    GAVE_UP,
    GAVE_UP_REASON,
    GOES_ON,
    GRANTED,
    HALF_OPEN,
    LOST,
    MALFORMED,
    NO_SUCH_EXPERIMENT,
    NO_SUCH_ROUTE,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    PAGE,
    QUEUED_AGAIN,
    RESET,
    SUSPECT,
    SUSPECT_UNPROVEN,
    THROTTLED,
    TLS,
    UNPROVEN,
    UP,
    Story,
    down,
    half_open,
    suspect,
    up,
)


def test_the_numbers() -> None:
    assert (MAX_REFUSALS, MANY_REFUSALS, MAX_FAULTS, LONGEST_UNANSWERED, REQUEUE_DELAY) == (5, 20, 10, 25.0, 0.5)
    assert (SUSPICION, BREADTH, LONGEST_INTERVAL, FIRST_RESPONSE_TIMEOUT) == (3, 10, 60.0, 15.0)


# unproven and up


def test_a_batch_begins_unproven() -> None:
    story = Story()
    assert story.state == UNPROVEN
    assert (story.health.has_answered, story.health.up_since) == (False, -inf)
    assert (story.health.next_probe(100.0), story.health.next_check(100.0)) == (None, None)


def test_a_created_run_is_proof() -> None:
    story = Story()
    assert story.reply(CREATED) == GOES_ON
    assert story.state == UP
    assert story.health.has_answered


def test_the_answer_to_a_look_up_is_proof() -> None:
    story = Story()
    story.health.look_up_answered(0.0)
    assert story.state == UP


@pytest.mark.parametrize("reply", [BAD_RECORD, THROTTLED, BUSY, NO_SUCH_EXPERIMENT])
def test_an_answer_that_is_no_success_proves_nothing(reply: Reply) -> None:
    story = Story()
    assert story.reply(reply) == GOES_ON
    assert story.state == UNPROVEN
    assert story.health.has_answered


def test_a_denial_is_held_against_the_setting_and_asks_for_a_probe_once() -> None:
    story = Story()
    assert story.reply(NOT_FOUND) == QUEUED_AGAIN
    assert story.probe(BUSY) == GOES_ON
    assert story.reply(NOT_FOUND) == QUEUED_AGAIN
    assert story.health.next_probe(story.now) is None
    assert story.state == UNPROVEN


def test_a_granted_probe_is_proof_of_address_and_credentials() -> None:
    story = Story()
    story.reply(NOT_FOUND)
    story.probe(GRANTED)
    assert story.state == UP
    for number in range(100):
        assert story.reply(BAD_RECORD, number) == GOES_ON


def test_a_created_run_clears_the_denials_that_a_granted_probe_left() -> None:
    story = Story()
    story.reply(NOT_FOUND)
    story.probe(GRANTED)
    story.health.experiments_listed(None)
    for number in range(2, MANY_REFUSALS):
        assert story.reply(NOT_FOUND, number, experiment=str(number)) == QUEUED_AGAIN
    story.reply(CREATED)
    for number in range(MANY_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == GOES_ON


def test_a_granted_probe_renews_the_proof_of_a_batch_that_has_created_runs() -> None:
    story = up()
    for number in range(MANY_REFUSALS):
        story.reply(NOT_FOUND, number)
    assert story.state == UNPROVEN
    story.probe(GRANTED)
    assert story.state == UP
    story.reply(CREATED)
    for number in range(MANY_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == GOES_ON


# the first response


def test_without_any_answer_a_probe_is_due_after_fifteen_seconds_and_the_halt_after_twenty_five() -> None:
    story = Story()
    story.health.sending(100.0)
    story.health.sending(109.0)
    assert (story.health.next_probe(101.0), story.health.next_check(101.0)) == (14.0, 24.0)
    assert story.health.check(124.9) == GOES_ON
    story.now = 115.0
    assert story.probe(CLOSED) == GOES_ON
    assert story.health.next_probe(116.0) is None, "one probe is enough"
    assert story.health.next_check(116.0) == 9.0
    decision = story.health.check(125.0)
    assert isinstance(decision, Halt)
    assert "no answer for 25 seconds" in decision.reason
    assert "--endpoint" in decision.advice
    assert story.health.health is Health.HALTED


@pytest.mark.parametrize("answer", [GRANTED, NOT_FOUND, BUSY])
def test_any_answer_to_that_probe_ends_the_wait_for_a_first_response(answer: Reply) -> None:
    story = Story()
    story.health.sending(100.0)
    story.now = 115.0
    story.probe(answer)
    assert story.health.next_check(116.0) is None
    assert story.health.check(1e9) == GOES_ON


def test_any_answer_to_an_attempt_ends_it_too() -> None:
    story = Story()
    story.health.sending(100.0)
    story.reply(BUSY)
    assert (story.health.next_probe(101.0), story.health.next_check(101.0)) == (None, None)
    assert story.health.check(1e9) == GOES_ON


def test_a_service_that_is_waited_for_needs_no_first_response() -> None:
    story = Story(wait_for_service=True)
    story.health.sending(100.0)
    assert (story.health.next_probe(1e9), story.health.next_check(1e9)) == (None, None)
    assert story.health.check(1e9) == GOES_ON


# suspect


def test_three_failures_in_a_row_make_it_suspect_and_ask_for_a_probe_at_once() -> None:
    story = up()
    for reply in (BUSY, CLOSED):
        story.reply(reply)
        assert story.state == UP
        assert story.health.next_probe(story.now) is None
    story.reply(RESET)
    assert story.state == SUSPECT
    assert story.health.next_probe(story.now) == 0


def test_a_429_between_failures_neither_counts_nor_begins_the_row_anew() -> None:
    story = up()
    for reply in (BUSY, THROTTLED, BUSY, THROTTLED):
        story.reply(reply)
        assert story.state == UP
    story.reply(BUSY)
    assert story.state == SUSPECT


@pytest.mark.parametrize("reply", [CREATED, BAD_RECORD, NOT_IMPLEMENTED])
def test_a_reply_that_is_no_failure_begins_the_row_anew(reply: Reply) -> None:
    story = up()
    for number in range(30):
        story.reply(BUSY if number % SUSPICION else reply, number)
    assert story.state == UP


def test_a_success_while_suspect_makes_it_up() -> None:
    story = suspect()
    story.reply(CREATED)
    assert story.state == UP
    assert story.health.next_probe(story.now) is None


@pytest.mark.parametrize("answer", [GRANTED, NOT_FOUND, THROTTLED, BAD_KEY])
def test_any_answer_to_the_probe_makes_it_up(answer: Reply) -> None:
    story = suspect()
    assert story.probe(answer) == GOES_ON
    assert story.state == UP


@pytest.mark.parametrize("failure", [BUSY, CLOSED, Reply(fault=Fault.TIMEOUT)])
def test_a_failed_probe_makes_it_down(failure: Reply) -> None:
    story = suspect()
    assert story.probe(failure) == GOES_ON
    assert story.state == DOWN


def test_an_unproven_service_that_answered_becomes_suspect_too_and_stays_unproven_after_it() -> None:
    story = Story()
    for _ in range(SUSPICION):
        story.reply(BUSY)
    assert story.state == SUSPECT_UNPROVEN
    story.probe(THROTTLED)
    assert story.state == UNPROVEN


def test_ten_different_jobs_that_fail_in_a_row_make_it_down_even_if_probes_are_answered() -> None:
    story = up()
    for number in range(BREADTH):
        assert story.health.may_send
        story.reply(BUSY, number)
        if story.health.health is Health.SUSPECT:
            story.probe(GRANTED)
    assert story.state == DOWN


def test_one_job_that_fails_again_and_again_is_no_outage_where_probes_are_answered() -> None:
    story = up()
    for _ in range(100):
        story.reply(BUSY)
        if story.health.health is Health.SUSPECT:
            story.probe(GRANTED)
    assert story.state == UP


# down and half-open


def outage_intervals(story: Story, probe: Reply, count: int) -> list[float]:
    """Return the intervals after which a service that is down is probed; a job fails after each answer."""
    intervals = []
    for _ in range(count):
        wait = story.health.next_probe(story.now)
        assert wait is not None
        assert story.health.probe_at == story.now + wait
        intervals.append(wait)
        story.now += wait
        story.probe(probe)
        if story.health.health is Health.HALF_OPEN:
            story.reply(BUSY)
    return intervals


def test_a_service_that_is_down_is_probed_at_intervals_that_double_to_a_minute() -> None:
    assert outage_intervals(down(), CLOSED, 9) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_where_probes_are_answered_and_jobs_fail_the_intervals_double_to_eight_seconds() -> None:
    assert outage_intervals(down(), GRANTED, 6) == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize(("asked", "waits"), [(0.5, 1.0), (20.0, 20.0), (3600.0, 60.0)])
def test_a_service_that_is_down_is_probed_no_earlier_than_it_asks_but_once_a_minute(asked: float, waits: float) -> None:
    story = suspect()
    story.probe(replace(BUSY, retry_after=asked))
    assert story.health.next_probe(story.now) == waits
    story.now += waits
    story.probe(GRANTED)
    story.reply(replace(BUSY, retry_after=30.0))
    assert story.health.next_probe(story.now) == 30.0


def test_failures_of_attempts_in_flight_change_nothing_while_it_is_down() -> None:
    story = down()
    probe_at = story.health.probe_at
    story.now += 0.5
    for number in range(20):
        assert story.reply(BUSY, number) == GOES_ON
    assert (story.state, story.health.probe_at) == (DOWN, probe_at)


def test_a_success_of_an_attempt_in_flight_ends_the_outage() -> None:
    story = down()
    story.now += 0.5
    story.reply(CREATED)
    assert story.state == UP
    assert (story.health.up_since, story.health.probe_at) == (story.now, None)


def test_an_answered_probe_lets_one_job_try() -> None:
    story = half_open()
    assert story.state == HALF_OPEN
    assert story.health.up_since == story.now
    assert (story.health.probe_at, story.health.next_probe(story.now)) == (None, None)


@pytest.mark.parametrize("reply", [CREATED, THROTTLED, BAD_RECORD])
def test_a_success_of_that_job_makes_it_up_and_the_next_outage_begins_with_short_intervals(reply: Reply) -> None:
    story = half_open()
    story.reply(reply)
    assert story.state == UP
    for _ in range(SUSPICION):
        story.reply(CLOSED)
    story.probe(CLOSED)
    assert story.health.next_probe(story.now) == 1.0


def test_a_failure_of_that_job_makes_it_down_again() -> None:
    story = half_open()
    story.reply(BUSY)
    assert story.state == DOWN
    assert story.health.next_probe(story.now) == 2.0


def test_the_time_that_it_was_down_does_not_count() -> None:
    story = up()
    assert story.health.uptime(story.now) == 100.0
    for _ in range(SUSPICION):
        story.reply(BUSY)
    story.now = 200.0
    story.probe(BUSY)
    story.now = 500.0
    assert story.health.uptime(story.now) == 200.0
    story.probe(GRANTED)
    story.now = 510.0
    assert story.health.uptime(story.now) == 200.0, "half-open is still downtime: no job got through"
    story.reply(CREATED)
    story.now = 520.0
    assert story.health.uptime(story.now) == 210.0


def test_it_gives_up_after_the_time_to_wait_and_one_last_probe() -> None:
    story = down(give_up_after=5.0)
    assert outage_intervals(story, CLOSED, 2) == [1.0, 2.0]
    assert story.health.next_probe(story.now) == 2.0, "the last interval ends with the time to wait"
    story.now += 2.0
    assert story.health.check(story.now) == GOES_ON
    assert story.probe(CLOSED) == GAVE_UP
    assert story.health.next_probe(story.now) is None


def test_a_service_that_answers_the_last_probe_is_not_given_up() -> None:
    story = down(give_up_after=0.5)
    story.now += 0.5
    assert story.probe(GRANTED) == GOES_ON
    assert story.health.health is Health.HALF_OPEN
    story.reply(BUSY)
    assert story.health.check(story.now) == GiveUp(f"{GAVE_UP_REASON}: 503")


def test_no_time_to_wait_gives_up_at_once() -> None:
    story = suspect(give_up_after=0.0)
    assert story.probe(CLOSED) == GAVE_UP


def test_in_a_batch_that_only_looks_up_an_answer_ends_the_outage() -> None:
    story = half_open()
    story.health.succeeded(story.now)
    assert story.state == UP


# a service that is waited for


def test_a_service_that_is_waited_for_may_be_down_from_the_start() -> None:
    story = Story(wait_for_service=True)
    for _ in range(SUSPICION):
        assert story.reply(CLOSED) == GOES_ON
    assert story.state == SUSPECT_UNPROVEN
    story.probe(CLOSED)
    assert story.state == DOWN_UNPROVEN
    assert outage_intervals(story, CLOSED, 3) == [1.0, 2.0, 4.0]


def test_refused_tls_halts_even_where_the_service_is_waited_for() -> None:
    story = Story(wait_for_service=True)
    for _ in range(MAX_REFUSALS - 1):
        assert story.reply(TLS) == GOES_ON
    assert isinstance(story.reply(TLS), Halt)


def test_what_the_service_itself_says_halts_even_where_it_is_waited_for() -> None:
    story = Story(wait_for_service=True)
    for _ in range(MAX_REFUSALS):
        decision = story.refuse_credentials()
    assert isinstance(decision, Halt)


# any sequence

ANSWERS = [CREATED, PAGE, BAD_RECORD, BAD_KEY, NOT_FOUND, NO_SUCH_ROUTE, NO_SUCH_EXPERIMENT, THROTTLED, BUSY]
FAULTS = [CLOSED, RESET, TLS, LOST, MALFORMED, Reply(fault=Fault.UNSIGNED), Reply(fault=Fault.TIMEOUT)]
replies = st.sampled_from([*ANSWERS, NOT_IMPLEMENTED, *FAULTS])
events = st.one_of(
    st.tuples(st.just("reply"), replies, st.integers(1, 15)),
    st.tuples(st.just("reply"), st.sampled_from([BUSY, CLOSED]), st.integers(1, 15)),
    st.tuples(st.just("probe"), replies, st.just(0)),
    st.tuples(st.just("wait"), st.just(GRANTED), st.integers(0, 40)),
)


def assert_consistent(story: Story) -> None:
    """Hold what is true in every state."""
    health, most, may_send = story.state
    assert may_send == (health not in (Health.DOWN, Health.HALTED))
    assert most in {Health.UP: (None,), Health.UNPROVEN: (4,), Health.HALF_OPEN: (1,)}.get(health, (None, 4, 1))
    assert (story.health.next_probe(story.now) == 0.0) or health is not Health.SUSPECT
    assert story.health.probe_at is None or health in (Health.DOWN, Health.HALTED)
    assert 0.0 <= story.health.uptime(story.now) <= story.now


def happen(story: Story, what: str, reply: Reply, number: int) -> HealthDecision:
    if what == "reply":
        return story.reply(reply, number, experiment=str(number))
    if what == "probe" and story.health.next_probe(story.now) == 0.0:
        return story.probe(reply)
    story.now += number
    return story.health.check(story.now)


@given(st.lists(events, max_size=80), st.booleans(), st.sampled_from([0.0, 30.0, inf]))
def test_the_states_keep_their_rules_for_all_replies(
    sequence: list[tuple[str, Reply, int]], wait_for_service: bool, give_up_after: float
) -> None:
    story = Story(wait_for_service=wait_for_service, give_up_after=give_up_after)
    uptime = story.health.uptime(story.now)
    for event in sequence:
        was_halted = story.health.health is Health.HALTED
        decision = happen(story, *event)
        assert_consistent(story)
        assert story.health.uptime(story.now) >= uptime, "downtime is never more than the time that passed"
        uptime = story.health.uptime(story.now)
        assert (story.health.health is Health.HALTED) >= was_halted
        assert story.health.health is Health.HALTED or not isinstance(decision, Halt)
    was_halted = story.health.health is Health.HALTED
    assert story.reply(CREATED, 99) == GOES_ON
    assert story.health.health is (Health.HALTED if was_halted else Health.UP)
