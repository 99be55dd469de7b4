"""What denials mean: is the setting wrong, or are the records?"""

import pytest

from ingestor.model.reply import Reply
from ingestor.policy.advice import Halt
from ingestor.policy.tallies import MANY_REFUSALS, MAX_REFUSALS
from tests.policy.health_story import (
    BUSY,
    CLOSED,
    CREATED,
    FORBIDDEN,
    GOES_ON,
    GRANTED,
    NO_SUCH_EXPERIMENT,
    NO_SUCH_ROUTE,
    NOT_FOUND,
    PAGE,
    QUEUED_AGAIN,
    THROTTLED,
    UNPROVEN,
    UP,
    Story,
    refusals_until_halt,
    up,
)

# halted


def test_denials_halt_after_five_where_the_probe_is_denied_too() -> None:
    story = Story()
    story.reply(NOT_FOUND)
    story.probe(NOT_FOUND)
    assert refusals_until_halt(story, NOT_FOUND) == MAX_REFUSALS - 1


def test_denials_without_a_code_halt_after_those_of_five_records_where_the_probe_is_granted() -> None:
    story = Story()
    story.reply(NO_SUCH_ROUTE)
    story.probe(GRANTED)
    assert refusals_until_halt(story, NO_SUCH_ROUTE) == MAX_REFUSALS


# is it the right to create, or the records' experiments?


def granted(experiments: tuple[str, ...] | None) -> Story:
    """Return a story in which a probe was granted, and no run was created; the list of experiments is known."""
    story = Story()
    story.reply(NOT_FOUND)
    story.probe(GRANTED)
    assert story.reply(NOT_FOUND) == QUEUED_AGAIN
    assert story.health.wants_list
    story.health.experiments_listed(experiments)
    return story


@pytest.mark.parametrize("denial", [NOT_FOUND, FORBIDDEN])
def test_denied_records_whose_experiments_are_not_listed_are_failed_one_by_one(denial: Reply) -> None:
    story = granted(("7",))
    for number in range(100):
        assert story.reply(denial, number, experiment=str(100 + number % 30)) == GOES_ON
    assert story.state == UP


@pytest.mark.parametrize("denial", [NOT_FOUND, FORBIDDEN])
def test_denied_records_whose_experiments_are_listed_halt_after_five(denial: Reply) -> None:
    assert refusals_until_halt(granted(("0", "1")), denial, experiments=2) == MAX_REFUSALS


def test_denied_records_without_an_experiment_halt_after_five() -> None:
    story = granted(())
    for number in range(1, MAX_REFUSALS):
        assert story.reply(NOT_FOUND, number, experiment="") == QUEUED_AGAIN
    assert isinstance(story.reply(NOT_FOUND, MAX_REFUSALS, experiment=""), Halt)


def test_where_the_list_can_not_be_read_denied_records_halt_after_twenty() -> None:
    story = granted(None)
    assert refusals_until_halt(story, NOT_FOUND, experiments=10) == MANY_REFUSALS - 1


@pytest.mark.parametrize("experiments", [("1",), None])
def test_four_records_that_are_denied_repeatedly_never_halt_where_the_probe_is_granted(
    experiments: tuple[str, ...] | None,
) -> None:
    story = granted(experiments)
    for _ in range(MAX_REFUSALS - 1):
        decisions = [story.reply(NOT_FOUND, number) for number in range(1, MAX_REFUSALS)]
    assert decisions[0] == GOES_ON
    assert [story.reply(NOT_FOUND, number) for number in range(1, MAX_REFUSALS)] == [GOES_ON] * (MAX_REFUSALS - 1)


def test_denials_without_a_code_halt_after_five() -> None:
    assert refusals_until_halt(Story(), NO_SUCH_ROUTE) == MAX_REFUSALS


def test_denials_of_five_different_experiments_halt_after_five_where_the_probe_says_nothing() -> None:
    story = Story()
    story.reply(NOT_FOUND, experiment="0")
    story.probe(BUSY)
    assert refusals_until_halt(story, NOT_FOUND, experiments=10) == MAX_REFUSALS - 1


def test_no_denial_halts_while_the_probe_is_in_flight() -> None:
    story = Story()
    for number in range(100):
        assert story.reply(NOT_FOUND, number, experiment=str(number)) == QUEUED_AGAIN


@pytest.mark.parametrize("probe", [BUSY, THROTTLED, CLOSED, NO_SUCH_ROUTE])
def test_denials_of_one_experiment_halt_after_twenty_where_no_probe_makes_the_evidence_clear(probe: Reply) -> None:
    story = Story()
    story.reply(NOT_FOUND)
    story.probe(probe)
    assert refusals_until_halt(story, NOT_FOUND) == MANY_REFUSALS - 1


def test_a_page_where_a_run_is_expected_halts_after_five() -> None:
    assert refusals_until_halt(Story(), PAGE) == MAX_REFUSALS


def test_a_page_after_the_proof_is_a_lost_answer() -> None:
    assert up().reply(PAGE) == GOES_ON


def test_an_error_that_names_the_experiment_concerns_its_record_alone() -> None:
    story = Story()
    for number in range(100):
        assert story.reply(NO_SUCH_EXPERIMENT, number) == GOES_ON
    assert story.state == UNPROVEN


def test_twenty_denials_in_a_row_take_the_proof_back() -> None:
    story = up()
    for number in range(MANY_REFUSALS - 1):
        assert story.reply(NOT_FOUND, number) == GOES_ON
    assert story.state == UP
    assert story.reply(NOT_FOUND) == QUEUED_AGAIN
    assert story.state == UNPROVEN


def test_a_success_between_denials_begins_the_row_anew() -> None:
    story = up()
    for number in range(100):
        assert story.reply(NOT_FOUND if number % MANY_REFUSALS else CREATED, number) == GOES_ON
    assert story.state == UP


def test_denials_without_a_code_take_the_proof_back_after_five_and_fail_no_record() -> None:
    story = up()
    for _ in range(MAX_REFUSALS - 1):
        assert story.reply(NO_SUCH_ROUTE) == QUEUED_AGAIN
        assert story.state == UP
    assert story.reply(NO_SUCH_ROUTE) == QUEUED_AGAIN
    assert story.state == UNPROVEN
