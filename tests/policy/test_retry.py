"""Every kind of reply, and what it leads to."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Outcome
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from ingestor.policy.retry import (
    AttemptHistory,
    Classification,
    End,
    LookUp,
    Recovery,
    ReplyKind,
    Retry,
    RetryBudget,
    SideEffect,
    backoff,
    classify,
    decide,
    decide_step,
)

NONE, UNKNOWN = SideEffect.NONE, SideEffect.UNKNOWN
CREATE = Request(Operation.CREATE_RUN, b"{}", "token")
STEP = Request(Operation.LOG_BATCH, b"{}", "token", is_repeatable=True)

TABLE = [
    (Reply(status=200, run_id="r"), ReplyKind.SUCCEEDED, NONE),
    (Reply(status=201, run_id="r"), ReplyKind.SUCCEEDED, NONE),
    (Reply(status=200, message="<html>"), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=204), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=301), ReplyKind.DENIED, NONE),
    (Reply(status=302, message="login"), ReplyKind.DENIED, NONE),
    (Reply(status=400, code="InvalidParameter"), ReplyKind.REFUSED, NONE),
    (Reply(status=400, code="CannotParseRequest"), ReplyKind.REFUSED, NONE),
    (Reply(status=400, code="MissingParameter"), ReplyKind.REFUSED, NONE),
    (Reply(status=400, code="INVALID_PARAMETER_VALUE"), ReplyKind.REFUSED, NONE),
    (Reply(status=400, code="LimitExceeded"), ReplyKind.REFUSED, NONE),
    (Reply(status=400, code="QuotaExceeded"), ReplyKind.REFUSED, NONE),
    (
        Reply(status=400, code="BAD_REQUEST", message="QueuePool limit of size 5 overflow 10 reached"),
        ReplyKind.TRANSIENT,
        UNKNOWN,
    ),
    (Reply(status=400, message="plain HTTP sent to an HTTPS port"), ReplyKind.DENIED, NONE),
    (Reply(status=401, code="NotAuthenticated"), ReplyKind.UNAUTHENTICATED, NONE),
    (Reply(status=401), ReplyKind.UNAUTHENTICATED, NONE),
    (Reply(status=403, code="NotAllowed"), ReplyKind.DENIED, NONE),
    (Reply(status=403, code="NotAuthorized"), ReplyKind.DENIED, NONE),
    (Reply(status=404, code="NotAuthorizedOrNotFound"), ReplyKind.DENIED, NONE),
    (Reply(status=404, code="RESOURCE_DOES_NOT_EXIST"), ReplyKind.REFUSED, NONE),
    (Reply(status=404, message="<html>"), ReplyKind.DENIED, NONE),
    (Reply(status=405), ReplyKind.DENIED, NONE),
    (Reply(status=407), ReplyKind.DENIED, NONE),
    (Reply(status=408), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=409, code="IncorrectState"), ReplyKind.TRANSIENT, NONE),
    (Reply(status=409, code="LockConflict"), ReplyKind.TRANSIENT, NONE),
    (Reply(status=409, code="ExternalServerIncorrectState"), ReplyKind.TRANSIENT, NONE),
    (Reply(status=409, code="InvalidatedRetryToken"), ReplyKind.INVALIDATED, UNKNOWN),
    (Reply(status=409, code="Conflict"), ReplyKind.REFUSED, NONE),
    (Reply(status=409, code="ResourceLocked"), ReplyKind.REFUSED, NONE),
    (Reply(status=412, code="NoEtagMatch"), ReplyKind.REFUSED, NONE),
    (Reply(status=413), ReplyKind.REFUSED, NONE),
    (Reply(status=422, code="UnprocessableEntity"), ReplyKind.REFUSED, NONE),
    (Reply(status=425), ReplyKind.TRANSIENT, NONE),
    (Reply(status=429, code="TooManyRequests"), ReplyKind.THROTTLED, NONE),
    (Reply(status=429), ReplyKind.THROTTLED, NONE),
    (Reply(status=431), ReplyKind.REFUSED, NONE),
    (Reply(status=500, code="InternalServerError"), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=501), ReplyKind.DENIED, NONE),
    (Reply(status=502, message="<html>"), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=503), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=504), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(status=599), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(fault=Fault.DNS), ReplyKind.TRANSIENT, NONE),
    (Reply(fault=Fault.REFUSED), ReplyKind.TRANSIENT, NONE),
    (Reply(fault=Fault.TLS), ReplyKind.TRANSIENT, NONE),
    (Reply(fault=Fault.TIMEOUT), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(fault=Fault.RESET), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(fault=Fault.GARBLED), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(fault=Fault.LOST), ReplyKind.TRANSIENT, UNKNOWN),
    (Reply(fault=Fault.UNSIGNED), ReplyKind.UNAUTHENTICATED, NONE),
]


@pytest.mark.parametrize(("reply", "kind", "side_effect"), TABLE, ids=lambda value: str(value)[:40])
def test_a_reply_means(reply: Reply, kind: ReplyKind, side_effect: SideEffect) -> None:
    assert classify(reply, CREATE) == Classification(kind, side_effect)


@pytest.mark.parametrize(("reply", "kind", "side_effect"), TABLE, ids=lambda value: str(value)[:40])
def test_a_reply_to_a_step_means_the_same_but_any_2xx_is_a_success_and_no_run_is_in_question(
    reply: Reply, kind: ReplyKind, side_effect: SideEffect
) -> None:
    is_success = reply.status is not None and 200 <= reply.status < 300
    assert classify(reply, STEP) == Classification(ReplyKind.SUCCEEDED if is_success else kind, NONE)


@pytest.mark.parametrize("reply", [Reply(status=200, message="<html>"), Reply(status=503), Reply(fault=Fault.RESET)])
def test_a_look_up_that_could_not_be_decided_never_succeeded(reply: Reply) -> None:
    assert classify(reply).kind is ReplyKind.TRANSIENT


@given(st.integers(100, 599), st.none() | st.sampled_from(["X", "IncorrectState", "InvalidatedRetryToken"]))
def test_create_succeeds_only_where_the_answer_names_the_run(status: int, code: str | None) -> None:
    assert classify(Reply(status=status, code=code), CREATE).kind is not ReplyKind.SUCCEEDED


def after(
    reply: Reply, history: AttemptHistory | None = None, *, recovery: Recovery = Recovery.TOKEN, now: float = 0.0
) -> object:
    """Decide what follows an attempt of create, with the longest backoff."""
    history, classification = history or AttemptHistory(), classify(reply, CREATE)
    history.sending(CREATE, now)
    history.learn(classification, quiescent_at=now)
    return decide(
        history, classification, reply, RetryBudget(), now=now, recovery=recovery, uniform=lambda low, high: high
    )


def after_step(reply: Reply, history: AttemptHistory | None = None, *, now: float = 0.0) -> object:
    """Decide what follows an attempt of a step, with the longest backoff."""
    history, classification = history or AttemptHistory(), classify(reply, STEP)
    history.sending(STEP, now)
    history.learn(classification, quiescent_at=now)
    return decide_step(history, classification, reply, RetryBudget(), now=now, uniform=lambda low, high: high)


def test_an_attempt_in_flight_may_have_created_the_run_until_its_reply_proves_otherwise() -> None:
    history = AttemptHistory()
    history.sending(CREATE, 3.0)
    assert (history.may_exist, history.attempts, history.first_at) == (True, 1, 3.0)
    history.learn(classify(Reply(fault=Fault.REFUSED), CREATE), quiescent_at=9.0)
    assert (history.may_exist, history.quiescent_at) == (False, float("-inf"))
    history.sending(CREATE, 5.0)
    history.learn(classify(Reply(fault=Fault.RESET), CREATE), quiescent_at=9.0)
    assert (history.may_exist, history.attempts, history.first_at, history.quiescent_at) == (True, 2, 3.0, 9.0)
    history.sending(CREATE, 6.0)
    history.learn(classify(Reply(fault=Fault.REFUSED), CREATE), quiescent_at=20.0)
    assert (history.may_exist, history.quiescent_at) == (True, 9.0), "a later proof says nothing about the lost attempt"


def test_an_attempt_of_a_step_leaves_no_doubt_about_the_run() -> None:
    history = AttemptHistory()
    history.sending(STEP, 0.0)
    assert not history.may_exist
    history.learn(classify(Reply(fault=Fault.RESET), STEP), quiescent_at=9.0)
    assert not history.may_exist


def test_the_next_request_of_a_plan_has_a_new_budget() -> None:
    history = AttemptHistory(attempts=8, counted=7, first_at=0.0)
    history.next_request()
    assert (history.attempts, history.counted) == (8, 0)
    assert isinstance(after_step(Reply(status=503), history, now=10_000.0), Retry)


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(status=400, code="InvalidParameter", message="experiment 1 is not active"),
        Reply(status=400, code="QuotaExceeded"),
        Reply(status=404, code="NotAuthorizedOrNotFound"),
        Reply(status=413),
    ],
)
def test_a_refusal_after_a_lost_answer_proves_nothing_about_the_first_attempt(refusal: Reply) -> None:
    """What is refused now may have been accepted before: experiments are deleted, quotas are used up."""
    assert after(refusal, AttemptHistory(may_exist=True)) == End(Outcome.UNRESOLVED)
    assert after(refusal, AttemptHistory()) == End(Outcome.FAILED)


def test_an_invalidated_token_is_never_sent_again() -> None:
    assert after(Reply(status=409, code="InvalidatedRetryToken")) == End(Outcome.UNRESOLVED)


def test_without_tokens_a_create_that_may_be_done_is_not_repeated_and_one_that_is_not_done_is() -> None:
    assert after(Reply(status=500), recovery=Recovery.LOOKUP) == LookUp()
    assert after(Reply(status=500), recovery=Recovery.NONE) == End(Outcome.UNRESOLVED)
    for recovery in Recovery:
        assert isinstance(after(Reply(fault=Fault.REFUSED), recovery=recovery), Retry)


def test_a_lost_attempt_that_is_looked_up_counts_against_the_budget() -> None:
    history = AttemptHistory()
    assert after(Reply(status=500), history, recovery=Recovery.LOOKUP) == LookUp()
    assert history.counted == 1


def test_a_429_costs_no_budget_and_waits_as_long_as_it_says() -> None:
    for decide_after in (after, after_step):
        history = AttemptHistory(counted=7)
        assert decide_after(Reply(status=429, retry_after=17.0), history) == Retry(17.0)
        assert history.counted == 7


def test_a_retry_after_beyond_the_ceiling_is_cut() -> None:
    assert after(Reply(status=503, retry_after=1e9)) == Retry(300.0)


@pytest.mark.parametrize("free", [Reply(status=429), Reply(status=401)])
def test_an_attempt_that_does_not_count_costs_no_time_of_the_budget(free: Reply) -> None:
    history = AttemptHistory()
    for now in (0.0, 700.0):
        assert isinstance(after(free, history, now=now), Retry)
    assert isinstance(after(Reply(status=503), history, now=1400.0), Retry)
    for now in (1500.0, 3000.0):
        assert isinstance(after(free, history, now=now), Retry)
    assert isinstance(after(Reply(status=503), history, now=4400.0), Retry)
    assert history.first_at == 4300.0, "100 seconds count: from the first 503 to the attempt after it"


def test_a_budget_ends_by_attempts_and_by_time() -> None:
    assert after(Reply(status=500), AttemptHistory(counted=7)) == End(Outcome.UNRESOLVED)
    assert after(Reply(fault=Fault.DNS), AttemptHistory(counted=7)) == End(Outcome.FAILED)
    assert after(Reply(status=500), AttemptHistory(first_at=0.0), now=599.5) == End(Outcome.UNRESOLVED)
    assert isinstance(after(Reply(status=500), AttemptHistory(first_at=0.0), now=598.0), Retry)


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(status=400, code="InvalidParameter"),
        Reply(status=404, code="NotAuthorizedOrNotFound"),
        Reply(status=409, code="InvalidatedRetryToken"),
    ],
)
def test_a_refused_step_leaves_a_run_that_is_partial(refusal: Reply) -> None:
    assert after_step(refusal) == End(Outcome.PARTIAL)


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(fault=Fault.RESET), Reply(fault=Fault.DNS)])
def test_a_step_is_repeated_until_its_budget_is_used_up_and_is_unresolved_then(reply: Reply) -> None:
    history = AttemptHistory()
    for _ in range(RetryBudget().max_attempts - 1):
        assert isinstance(after_step(reply, history), Retry)
    assert after_step(reply, history) == End(Outcome.UNRESOLVED)


def test_the_last_step_of_a_plan_completes_the_run() -> None:
    assert after_step(Reply(status=200)) == End(Outcome.CREATED)


@given(st.integers(1, 10_000), st.integers())
def test_a_backoff_is_drawn_between_nothing_and_its_ceiling(attempt: int, seed: int) -> None:
    budget = RetryBudget()
    delay = backoff(attempt, budget, random.Random(seed).uniform)
    assert 0.0 <= delay <= min(budget.cap, budget.base * 2.0 ** min(attempt - 1, 100))


def test_a_backoff_uses_the_whole_width_of_its_jitter() -> None:
    draws = [backoff(3, RetryBudget(), random.Random(seed).uniform) for seed in range(500)]
    assert min(draws) < 0.2
    assert max(draws) > 3.8
