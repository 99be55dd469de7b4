"""What follows a look-up for a run, and when the absence of a run is proof."""

from math import inf

import pytest

from ingestor.model.admission import JournalTime
from ingestor.model.record import Outcome
from ingestor.model.reply import Fault, Finding, Presence, Reply
from ingestor.policy.expiry import NEVER
from ingestor.policy.lookup import (
    LOOKUP_DELAY,
    Absent,
    Resend,
    crash_quiescence,
    decide_lookup,
    decide_resend,
    lookup_delay,
    quiescence_time,
)
from ingestor.policy.retry import AttemptHistory, End, Retry, RetryBudget

HOUR = 3600.0
ABSENT = Finding(Presence.ABSENT, Reply(status=200))


def undecided(reply: Reply) -> Finding:
    return Finding(Presence.UNDECIDED, reply)


def after(finding: Finding, history: AttemptHistory, *, asked_at: float = 0.0, now: float = 0.0) -> object:
    """Decide with the longest backoff, on one clock."""
    return decide_lookup(
        history, finding, RetryBudget(), asked_at=asked_at, now=now, uptime=now, uniform=lambda low, high: high
    )


def test_a_run_that_is_found_ends_the_job() -> None:
    found = Finding(Presence.FOUND, Reply(status=200, run_id="run-1"))
    assert after(found, AttemptHistory(may_exist=True)) == End(Outcome.CREATED)


def test_an_absence_proves_that_there_is_no_run_once_the_service_is_quiescent() -> None:
    history = AttemptHistory(may_exist=True, quiescent_at=10.0)
    assert after(ABSENT, history, asked_at=9.9, now=9.95) == Retry(pytest.approx(0.05))  # type: ignore[arg-type]
    assert history.may_exist
    assert after(ABSENT, history, asked_at=10.0, now=10.1) == Absent()
    assert not history.may_exist


def test_the_first_absence_after_a_look_up_that_failed_proves_nothing() -> None:
    """A service that hung may carry out queued requests later."""
    history = AttemptHistory(may_exist=True)
    assert isinstance(after(undecided(Reply(status=503)), history), Retry)
    assert history.quiescent_at == inf
    assert after(ABSENT, history, asked_at=50.0, now=50.0) == Retry(LOOKUP_DELAY)
    assert after(ABSENT, history, asked_at=55.0, now=55.0) == Absent()


@pytest.mark.parametrize("reply", [Reply(status=503), Reply(fault=Fault.RESET), Reply(status=200, message="<html>")])
def test_look_ups_that_fail_use_the_budget_up_and_leave_the_job_unresolved(reply: Reply) -> None:
    history = AttemptHistory(may_exist=True)
    for _ in range(RetryBudget().max_attempts - 1):
        assert isinstance(after(undecided(reply), history), Retry)
    assert after(undecided(reply), history) == End(Outcome.UNRESOLVED)


@pytest.mark.parametrize("reply", [Reply(status=429), Reply(status=401)])
def test_a_look_up_that_is_throttled_or_unauthenticated_costs_no_budget(reply: Reply) -> None:
    history = AttemptHistory(may_exist=True, counted=7)
    assert isinstance(after(undecided(reply), history), Retry)
    assert history.counted == 7


@pytest.mark.parametrize("reply", [Reply(status=403, code="NotAuthorized"), Reply(status=400, code="X")])
def test_a_look_up_that_is_refused_leaves_the_job_unresolved(reply: Reply) -> None:
    assert after(undecided(reply), AttemptHistory(may_exist=True)) == End(Outcome.UNRESOLVED)


def test_a_lost_request_gets_as_long_again_as_it_took_and_five_seconds_at_least() -> None:
    assert quiescence_time(Reply(fault=Fault.RESET, latency_ms=10.0)) == LOOKUP_DELAY == 5.0
    assert quiescence_time(Reply(fault=Fault.TIMEOUT, latency_ms=60_000.0)) == 60.0
    assert (crash_quiescence(1.0), crash_quiescence(60.0)) == (5.0, 60.0)


def test_a_look_up_waits_for_quiescence_the_backoff_and_a_retry_after() -> None:
    def delay(counted: int, reply: Reply) -> float:
        return lookup_delay(AttemptHistory(counted=counted), reply, RetryBudget(), lambda low, high: high)

    assert delay(1, Reply(fault=Fault.RESET)) == 5.0
    assert delay(6, Reply(fault=Fault.RESET)) == 30.0
    assert delay(1, Reply(status=503, retry_after=40.0)) == 40.0


@pytest.mark.parametrize(
    ("age", "resend"),
    [
        (0.0, Resend.SAME_TOKEN),
        (23.4 * HOUR, Resend.SAME_TOKEN),
        (23.6 * HOUR, Resend.NOT_YET),
        (24.4 * HOUR, Resend.NOT_YET),
        (24.6 * HOUR, Resend.NEW_TOKEN),
    ],
)
def test_a_job_without_a_run_is_sent_again_under_its_token_or_after_its_end_under_a_new_one(
    age: float, resend: Resend
) -> None:
    now = JournalTime(1e9, 1e9)
    assert decide_resend(1e9 - age, now, idempotent=True, invalidated=False) is resend


def test_a_token_that_never_protected_is_replaced_at_once() -> None:
    now = JournalTime(1e9, 1e9)
    assert decide_resend(1e9, now, idempotent=False, invalidated=False) is Resend.NEW_TOKEN
    assert decide_resend(1e9, now, idempotent=True, invalidated=True) is Resend.NEW_TOKEN
    assert decide_resend(NEVER, now, idempotent=True, invalidated=False) is Resend.NEW_TOKEN


def test_a_token_whose_age_is_not_known_is_not_used_and_not_replaced() -> None:
    now = JournalTime(1e9, 1e9, trusted_since=1e9 - HOUR)
    assert decide_resend(1e9 - 2 * HOUR, now, idempotent=True, invalidated=False) is Resend.NOT_YET
