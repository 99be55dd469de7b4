"""The health of the service: each state, what enters it, what may be sent, and what leaves it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import UNKNOWN, Access, Halt
from ingestor.policy.breaker import BREADTH, LONGEST_INTERVAL, SUSPICION
from ingestor.policy.decisions import REQUEUE_DELAY, Continue, Distrust, GiveUp, HealthDecision, Pause, Requeue
from ingestor.policy.denials import MOST_SAMPLED, MOST_SAMPLED_BLINDLY
from ingestor.policy.evidence import LONGEST_UNANSWERED, MAX_FAULTS
from ingestor.policy.health import FIRST_RESPONSE_TIMEOUT, Health, ServiceHealth
from ingestor.policy.plan import create_request
from ingestor.policy.proof import PROBE_INTERVAL
from ingestor.policy.retry import classify
from ingestor.policy.tallies import MANY_REFUSALS, MAX_REFUSALS
from ingestor.policy.watchdog import ANNOUNCED_AFTER, FEWEST_REFUSALS
from tests.support.records import job

CREATED = Reply(status=200, run_id="run-1")
GRANTED = Reply(status=200)
PAGE = Reply(status=200, message="<html> Sign in")
BAD_RECORD = Reply(status=400, code="InvalidParameter", message="tags are odd")
BAD_KEY = Reply(status=401, code="NotAuthenticated", message="no")
NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound", message="not authorized or not found")
FORBIDDEN = Reply(status=403, code="NotAuthorized", message="not allowed")
NO_SUCH_ROUTE = Reply(status=404, message="<html>")
NO_SUCH_EXPERIMENT = Reply(status=404, code="NotAuthorizedOrNotFound", message="Experiment not found")
THROTTLED = Reply(status=429)
BUSY = Reply(status=503)
MALFORMED = Reply(fault=Fault.MALFORMED, message="Content-Length twice")
NOT_IMPLEMENTED = Reply(status=501, code="NotImplemented")
CLOSED = Reply(fault=Fault.REFUSED, message="connection refused")
RESET = Reply(fault=Fault.RESET, message="connection reset")
TLS = Reply(fault=Fault.TLS, message="certificate verify failed")
LOST = Reply(fault=Fault.LOST)

CREATE = create_request(job(1), stamped=True)
GOES_ON = Continue()
GAVE_UP_REASON = "the service was down for longer than --give-up-after"
GAVE_UP = GiveUp(f"{GAVE_UP_REASON}: connection refused")
QUEUED_AGAIN = Requeue(REQUEUE_DELAY)
QUEUED_AND_RENEWED = Requeue(REQUEUE_DELAY, renew_credentials=True)


@dataclass
class Story:
    """A service's health, and a clock. Each reply takes no time."""

    wait_for_service: bool = False
    give_up_after: float = inf
    has_created: bool = False
    access: Access = UNKNOWN
    now: float = 100.0
    health: ServiceHealth = field(init=False)

    def __post_init__(self) -> None:
        self.health = ServiceHealth(
            wait_for_service=self.wait_for_service,
            give_up_after=self.give_up_after,
            has_created=self.has_created,
            access=self.access,
        )

    def reply(
        self,
        reply: Reply,
        number: int = 1,
        *,
        experiment: str = "1",
        sent_at: float | None = None,
        failed_before: bool = False,
    ) -> HealthDecision:
        """Give the reply to an attempt of job `number`."""
        sent_at = self.now if sent_at is None else sent_at
        subject = replace(job(number), experiment_id=experiment)
        reply = replace(reply, run_id=f"run-{number}") if reply is CREATED else reply
        what = classify(reply, CREATE)
        return self.health.observe(subject, what, reply, sent_at=sent_at, now=self.now, failed_before=failed_before)

    def refuse_credentials(self, reply: Reply = BAD_KEY) -> HealthDecision:
        """Give a 401, and let the renewal that it begins end at once."""
        decision = self.reply(reply)
        self.health.renewal_ended(self.now)
        return decision

    def probe(self, reply: Reply) -> HealthDecision:
        """Give the reply to a probe, which is due."""
        assert self.health.next_probe(self.now) == 0
        return self.health.observe_probe(reply, self.now)

    def probe_late(self, reply: Reply) -> None:
        """Give the reply to the next probe, as soon as that is due."""
        self.now += self.health.next_probe(self.now) or 0.0
        self.probe(reply)

    def look_up(self, reply: Reply, number: int = 1) -> HealthDecision:
        """Give the reply to a look-up of job `number` that was not answered."""
        return self.health.observe(job(number), classify(reply), reply, sent_at=self.now, now=self.now, is_look_up=True)

    @property
    def state(self) -> "State":
        """Return the state, the most attempts in flight, and whether any may leave."""
        return self.health.health, self.health.max_in_flight, self.health.may_send


def up(**options: float) -> Story:
    story = Story(**options)  # type: ignore[arg-type]
    story.reply(CREATED)
    return story


def suspect(**options: float) -> Story:
    story = up(**options)
    for _ in range(SUSPICION):
        assert story.reply(BUSY) == GOES_ON
    return story


def down(**options: float) -> Story:
    story = suspect(**options)
    story.probe(BUSY)
    return story


def half_open(**options: float) -> Story:
    story = down(**options)
    story.now += 1.0
    story.probe(GRANTED)
    return story


State = tuple[Health, int | None, bool]
UNPROVEN: State = (Health.UNPROVEN, MAX_REFUSALS - 1, True)
UP: State = (Health.UP, None, True)
SUSPECT: State = (Health.SUSPECT, None, True)
SUSPECT_UNPROVEN: State = (Health.SUSPECT, MAX_REFUSALS - 1, True)
DOWN: State = (Health.DOWN, None, False)
DOWN_UNPROVEN: State = (Health.DOWN, MAX_REFUSALS - 1, False)
HALF_OPEN: State = (Health.HALF_OPEN, 1, True)


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
    story.health.look_up_answered()
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


# halted


def refusals_until_halt(story: Story, reply: Reply, *, experiments: int = 1, most: int = 100) -> int:
    for number in range(1, most + 1):
        decision = story.reply(reply, number, experiment=str(number % experiments))
        if isinstance(decision, Halt):
            assert story.health.health is Health.HALTED
            assert not story.health.may_send
            assert story.health.check(story.now + 1.0) == decision
            return number
        assert isinstance(decision, Requeue)
    raise AssertionError("it never halts")


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


# a target that earlier executions have used


def known() -> Story:
    return Story(has_created=True)


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


def test_refused_credentials_halt_on_a_target_with_runs_too() -> None:
    story = known()
    for _ in range(MAX_REFUSALS):
        decision = story.refuse_credentials()
    assert isinstance(decision, Halt)


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
        story.health.look_up_answered()


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
