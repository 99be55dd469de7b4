"""What denials mean on a target with runs: only a probe or the list of experiments shows that the setting is wrong."""

from collections.abc import Callable

import pytest

from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt
from ingestor.policy.decisions import REQUEUE_DELAY, Requeue
from ingestor.policy.denials import MOST_SAMPLED, MOST_SAMPLED_BLINDLY
from ingestor.policy.proof import PROBE_INTERVAL
from ingestor.policy.tallies import MANY_REFUSALS, MAX_REFUSALS
from tests.policy.health_story import (
    BAD_KEY,
    BUSY,
    CLOSED,
    CREATED,
    FORBIDDEN,
    GOES_ON,
    GRANTED,
    MALFORMED,
    NO_SUCH_ROUTE,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    QUEUED_AGAIN,
    RESET,
    THROTTLED,
    UNPROVEN,
    Story,
    known,
    refusals_until_halt,
    up,
)

# a target that earlier executions have used


def test_a_target_with_runs_is_unproven_until_something_succeeds() -> None:
    assert known().state == UNPROVEN


@pytest.mark.parametrize("denial", [NOT_FOUND, NO_SUCH_ROUTE, FORBIDDEN])
@pytest.mark.parametrize("probe", [NOT_FOUND, NO_SUCH_ROUTE, NOT_IMPLEMENTED])
def test_on_a_target_with_runs_one_record_that_is_denied_never_halts(denial: Reply, probe: Reply) -> None:
    story = known()
    assert story.reply(denial) == QUEUED_AGAIN
    story.probe(probe)
    for _ in range(MAX_REFUSALS - 2):
        assert story.reply(denial) == QUEUED_AGAIN
    for _ in range(100):
        assert story.reply(denial) == GOES_ON


@pytest.mark.parametrize("begin", [known, up])
@pytest.mark.parametrize("denial", [NOT_FOUND, NO_SUCH_ROUTE, FORBIDDEN])
def test_on_a_target_with_runs_all_denied_records_wait_until_a_probe_is_answered(
    begin: Callable[[], Story], denial: Reply
) -> None:
    story = begin()
    decisions = [story.reply(denial, number) for number in range(500)]
    assert decisions.count(GOES_ON) < MANY_REFUSALS
    assert decisions[MANY_REFUSALS:] == [QUEUED_AGAIN] * (500 - MANY_REFUSALS)
    assert story.health.next_probe(story.now) == 0


UNCLEAR = [BUSY, THROTTLED, CLOSED, RESET, MALFORMED, BAD_KEY, Reply(fault=Fault.TIMEOUT)]


@pytest.mark.parametrize("unclear", UNCLEAR)
@pytest.mark.parametrize("last", [GRANTED, NOT_FOUND])
def test_on_a_target_with_runs_a_probe_that_makes_nothing_clear_is_sent_again_and_the_records_wait(
    unclear: Reply, last: Reply
) -> None:
    story = known()
    for number in range(50):
        assert story.reply(NOT_FOUND, number) == QUEUED_AGAIN
        if story.health.next_probe(story.now) == 0:
            story.probe(unclear)
        story.now += 0.5
    story.now += PROBE_INTERVAL
    story.reply(NOT_FOUND)
    story.probe(last)
    if last is GRANTED:
        assert story.reply(NOT_FOUND) == QUEUED_AGAIN
        story.health.experiments_listed(())
        assert story.reply(NOT_FOUND) == GOES_ON
    else:
        assert refusals_until_halt(story, NOT_FOUND) <= 50


def test_a_probe_that_makes_nothing_clear_is_not_sent_again_before_a_second_has_passed() -> None:
    story = known()
    story.reply(NOT_FOUND)
    story.probe(BUSY)
    story.reply(NOT_FOUND)
    assert story.health.next_probe(story.now) == PROBE_INTERVAL
    story.probe_late(Reply(status=429, retry_after=30.0))
    story.reply(NOT_FOUND)
    assert story.health.next_probe(story.now) == 30.0


@pytest.mark.parametrize("denied", [NOT_FOUND, NO_SUCH_ROUTE])
def test_look_ups_that_are_denied_wait_for_a_probe_too_and_halt_where_it_is_denied(denied: Reply) -> None:
    story = Story()
    for number in range(100):
        assert story.look_up(NOT_FOUND, number) == QUEUED_AGAIN
    story.probe(denied)
    assert isinstance(story.look_up(NOT_FOUND), Halt)


def test_look_ups_that_are_denied_concern_their_records_where_the_probe_is_granted() -> None:
    story = Story()
    for number in range(1000):
        story.look_up(NOT_FOUND, number)
        if story.health.next_probe(story.now) == 0:
            story.probe(GRANTED)
    assert story.look_up(NOT_FOUND) == GOES_ON


def test_each_granted_probe_doubles_the_row_of_denials_that_needs_the_next_one() -> None:
    story, rows = up(), [0]
    for number in range(2000):
        story.reply(NOT_FOUND, number)
        rows[-1] += 1
        if story.health.next_probe(story.now) == 0:
            story.probe(GRANTED)
            story.health.experiments_listed(None)
            rows.append(0)
    assert rows[:6] == [20, 40, 80, 160, 320, 320]


def test_the_halt_of_a_target_with_runs_does_not_say_that_every_record_was_refused() -> None:
    story = up()
    for number in range(MANY_REFUSALS):
        story.reply(FORBIDDEN, number)
    story.probe(FORBIDDEN)
    halt = [story.reply(FORBIDDEN, number) for number in range(MOST_SAMPLED)][-1]
    assert isinstance(halt, Halt)
    assert halt.reason == (
        "The service accepted records of this target before; now it refuses every request: 403 NotAuthorized: "
        "not allowed."
    )
    assert "`ingestor check --online`" in halt.advice
    assert "`ingestor forget`" in halt.advice


def test_many_records_that_a_proxy_refuses_without_a_code_halt_even_where_probes_are_granted() -> None:
    story = up()
    for number in range(1000):
        decision = story.reply(NO_SUCH_ROUTE, number)
        if isinstance(decision, Halt):
            break
        assert decision == QUEUED_AGAIN
        if story.health.next_probe(story.now) == 0:
            story.probe(GRANTED)
    assert number == MANY_REFUSALS - 1


def test_a_record_that_a_proxy_refuses_without_a_code_is_failed_although_others_succeed_in_between() -> None:
    story = up()
    for number in range(2, 2 + MAX_REFUSALS):
        assert story.reply(NO_SUCH_ROUTE, 1) == QUEUED_AGAIN
        story.reply(CREATED, number)
    assert story.reply(NO_SUCH_ROUTE, 1) == GOES_ON


# a target with runs, and a granted probe: the list of experiments decides


def known_and_granted(experiments: tuple[str, ...] | None) -> Story:
    story = known()
    story.reply(NOT_FOUND, 1000)
    story.probe(GRANTED)
    assert story.reply(NOT_FOUND, 1000) == QUEUED_AGAIN
    assert story.health.wants_list
    story.health.experiments_listed(experiments)
    return story


@pytest.mark.parametrize("denial", [NOT_FOUND, FORBIDDEN])
def test_on_a_target_with_runs_five_denied_records_whose_experiments_exist_halt_and_none_is_failed(
    denial: Reply,
) -> None:
    assert refusals_until_halt(known_and_granted(("0", "1")), denial, experiments=2) == MAX_REFUSALS


@pytest.mark.parametrize("experiments", [(), None])
def test_on_a_target_with_runs_denied_records_whose_experiments_are_not_known_to_exist_are_failed(
    experiments: tuple[str, ...] | None,
) -> None:
    story = known_and_granted(experiments)
    for number in range(MANY_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == GOES_ON


def test_four_denied_records_among_many_of_missing_experiments_are_failed_and_do_not_halt() -> None:
    story = known_and_granted(("1",))
    for turn in range(1, MAX_REFUSALS + 1):
        for number in range(100):
            assert story.reply(NOT_FOUND, number, experiment="9") == GOES_ON
        decisions = [story.reply(NOT_FOUND, number) for number in range(200, 200 + MAX_REFUSALS - 1)]
        assert decisions == [GOES_ON if turn == MAX_REFUSALS else QUEUED_AGAIN] * 4


def test_the_right_that_is_lost_in_the_middle_of_a_batch_halts_it_although_probes_are_granted() -> None:
    story = up()
    failed = [story.reply(FORBIDDEN, number) for number in range(MANY_REFUSALS)].count(GOES_ON)
    assert failed == MANY_REFUSALS - 1
    story.probe(GRANTED)
    assert story.reply(FORBIDDEN) == QUEUED_AGAIN
    story.health.experiments_listed(("0", "1"))
    assert refusals_until_halt(story, FORBIDDEN) == MAX_REFUSALS


def test_a_run_that_is_created_meanwhile_shows_that_the_right_is_there() -> None:
    story = known_and_granted(("1",))
    for number in range(MAX_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == QUEUED_AGAIN
    story.reply(CREATED, 50)
    for number in range(MANY_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == GOES_ON


def test_probes_that_are_granted_while_the_list_decides_begin_nothing_anew() -> None:
    story = known_and_granted(("1",))
    for number in range(MAX_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == QUEUED_AGAIN
    story.health.observe_probe(GRANTED, story.now)
    assert isinstance(story.reply(NOT_FOUND, 50), Halt)


# a target with runs, and a denied probe: the right is lost, or this principal never may search


def known_and_denied() -> Story:
    story = known()
    story.reply(NOT_FOUND)
    story.probe(NOT_FOUND)
    return story


def test_many_records_that_are_denied_as_probes_are_halt_and_none_is_failed() -> None:
    assert refusals_until_halt(known_and_denied(), NOT_FOUND) == MOST_SAMPLED == 100


def test_five_denied_records_halt_once_no_other_record_is_left_to_be_sent() -> None:
    story = known_and_denied()
    rounds = [[story.reply(NOT_FOUND, number) for number in range(1, 7)] for _ in range(2)]
    assert all(isinstance(it, Requeue) for it in rounds[0])
    assert isinstance(rounds[1][-1], Halt)


def test_the_more_records_wait_the_later_each_is_sent_again_so_that_other_records_are_sent_too() -> None:
    story = known_and_denied()
    delays = [story.reply(NOT_FOUND, number) for number in range(1, 11)]
    assert delays == [Requeue(REQUEUE_DELAY * (1 if count < MAX_REFUSALS else count)) for count in range(1, 11)]


def test_a_run_among_denied_records_ends_the_doubt() -> None:
    story = known_and_denied()
    for number in range(1, 50):
        assert isinstance(story.reply(NOT_FOUND, number), Requeue)
    story.reply(CREATED, 50)
    for number in range(1, MANY_REFUSALS):
        assert story.reply(NOT_FOUND, number) == GOES_ON


def test_a_record_that_failed_before_is_failed_again_and_shows_nothing() -> None:
    story = known()
    for number in range(1000):
        assert story.reply(NOT_FOUND, number, failed_before=True) == GOES_ON
    assert story.health.next_probe(story.now) is None


def test_on_a_target_without_runs_records_that_failed_before_count() -> None:
    story = Story()
    assert story.reply(NOT_FOUND, failed_before=True) == QUEUED_AGAIN
    assert story.health.next_probe(story.now) == 0


def forbidden_search() -> Story:
    """Return a story in which a run was created after a denied probe, and the next probe was denied too."""
    story = known_and_denied()
    story.now += 1.0
    story.reply(CREATED, 2)
    story.probe(NOT_FOUND)
    return story


def test_where_runs_are_created_and_probes_are_denied_denied_probes_are_no_evidence() -> None:
    story = forbidden_search()
    for _ in range(4):
        decisions = [story.reply(NOT_FOUND, number) for number in range(200)]
        assert not any(isinstance(it, Halt) for it in decisions)
    assert GOES_ON in decisions
    assert story.health.next_probe(story.now) is None


def test_very_many_denied_records_without_a_run_in_between_halt_there_too() -> None:
    story = forbidden_search()
    for number in range(MANY_REFUSALS - 1):
        story.reply(NOT_FOUND, number)
    assert refusals_until_halt(story, NOT_FOUND, most=1000) == MOST_SAMPLED_BLINDLY == 320


def test_a_right_that_came_back_is_no_forbidden_search() -> None:
    story = known_and_denied()
    story.now += 1.0
    story.reply(CREATED, 2)
    story.probe(GRANTED)
    for number in range(MANY_REFUSALS):
        story.reply(NOT_FOUND, number)
    story.probe(NOT_FOUND)
    assert refusals_until_halt(story, NOT_FOUND) <= MOST_SAMPLED


def test_a_run_whose_request_left_before_the_probe_was_denied_shows_nothing_about_the_search() -> None:
    story = known_and_denied()
    story.reply(CREATED, 2, sent_at=story.now - 1.0)
    assert story.health.next_probe(story.now) is None
    for number in range(MANY_REFUSALS):
        story.reply(NOT_FOUND, number)
    assert story.health.next_probe(story.now) == 0


def test_one_record_that_is_refused_without_a_code_never_halts_a_proven_batch() -> None:
    story = up()
    for _ in range(MAX_REFUSALS):
        assert story.reply(NO_SUCH_ROUTE) == QUEUED_AGAIN
    story.probe(GRANTED)
    assert story.reply(NO_SUCH_ROUTE) == GOES_ON
