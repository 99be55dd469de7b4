"""Every kind of reply, and what it leads to."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.outcome import Outcome
from ingestor.model.reply import Fault, Reply
from ingestor.policy.retry import (
    Classification,
    History,
    LookUp,
    Recovery,
    ReplyKind,
    Retry,
    RetryBudget,
    Settle,
    SideEffect,
    backoff,
    classify,
    decide,
)

NONE, UNKNOWN = SideEffect.NONE, SideEffect.UNKNOWN

TABLE = [
    (Reply(status=200, run_id="r"), ReplyKind.CREATED, NONE),
    (Reply(status=201, run_id="r"), ReplyKind.CREATED, NONE),
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


@pytest.mark.parametrize(("reply", "kind", "effect"), TABLE, ids=lambda value: str(value)[:40])
def test_a_reply_means(reply: Reply, kind: ReplyKind, effect: SideEffect) -> None:
    assert classify(reply) == Classification(kind, effect)


@given(st.integers(100, 599), st.none() | st.sampled_from(["X", "IncorrectState", "InvalidatedRetryToken"]))
def test_only_an_answer_that_names_the_run_is_a_creation(status: int, code: str | None) -> None:
    assert classify(Reply(status=status, code=code)).kind is not ReplyKind.CREATED


def after(
    reply: Reply, history: History | None = None, *, recovery: Recovery = Recovery.TOKEN, now: float = 0.0
) -> object:
    history, classification = history or History(attempts=1), classify(reply)
    history.learn(classification, quiescent_at=now)
    return decide(
        history,
        classification,
        reply,
        RetryBudget(),
        now=now,
        recovery=recovery,
        uniform=lambda low, high: high,
    )


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(status=400, code="InvalidParameter", message="experiment 1 is not active"),
        Reply(status=400, code="QuotaExceeded"),
        Reply(status=404, code="NotAuthorizedOrNotFound"),
        Reply(status=413),
    ],
)
def test_a_refusal_after_a_lost_answer_proves_nothing_of_the_first_attempt(refusal: Reply) -> None:
    """What is refused now may have been taken then: experiments are deleted, quotas run out."""
    assert after(refusal, History(may_exist=True)) == Settle(Outcome.UNRESOLVED)
    assert after(refusal, History()) == Settle(Outcome.FAILED)


def test_an_invalidated_token_is_never_sent_again() -> None:
    assert after(Reply(status=409, code="InvalidatedRetryToken")) == Settle(Outcome.UNRESOLVED)


def test_without_tokens_what_may_have_been_done_is_not_repeated_and_what_was_not_is() -> None:
    assert after(Reply(status=500), recovery=Recovery.LOOKUP) == LookUp()
    assert after(Reply(status=500), recovery=Recovery.NONE) == Settle(Outcome.UNRESOLVED)
    for recovery in Recovery:
        assert isinstance(after(Reply(fault=Fault.REFUSED), recovery=recovery), Retry)


def test_a_429_costs_no_budget_and_waits_as_long_as_it_says() -> None:
    history = History(counted=7)
    assert after(Reply(status=429, retry_after=17.0), history) == Retry(17.0)
    assert history.counted == 7


def test_a_retry_after_beyond_the_ceiling_is_cut() -> None:
    assert after(Reply(status=503, retry_after=1e9)) == Retry(300.0)


def test_a_budget_ends_by_attempts_and_by_time() -> None:
    assert after(Reply(status=500), History(counted=7)) == Settle(Outcome.UNRESOLVED)
    assert after(Reply(fault=Fault.DNS), History(counted=7)) == Settle(Outcome.FAILED)
    assert after(Reply(status=500), History(first_at=0.0), now=599.5) == Settle(Outcome.UNRESOLVED)
    assert isinstance(after(Reply(status=500), History(first_at=0.0), now=598.0), Retry)


@given(st.integers(1, 10_000), st.integers())
def test_a_backoff_is_drawn_between_nothing_and_its_ceiling(attempt: int, seed: int) -> None:
    budget = RetryBudget()
    delay = backoff(attempt, budget, random.Random(seed).uniform)
    assert 0.0 <= delay <= min(budget.cap, budget.base * 2.0 ** min(attempt - 1, 100))


def test_a_backoff_uses_the_whole_width_of_its_jitter() -> None:
    draws = [backoff(3, RetryBudget(), random.Random(seed).uniform) for seed in range(500)]
    assert min(draws) < 0.2
    assert max(draws) > 3.8
