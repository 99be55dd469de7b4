"""Looking for a job's run before the job is sent again, where nothing else keeps it from becoming two.

A service without retry tokens would create a repeated request's run twice. So a request whose answer was lost is
looked for by the run's stamp first. What makes this sound is one assumption: *a service that answers has ended a
request that broke off after it was left alone for the settling time* (it may carry on for a moment after the
connection is gone). An absence that is seen earlier proves nothing, and neither does one seen by the first look-up
that is answered after others were not: a service that hung may do what had queued up when it wakes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from ingestor.model.finding import Finding, Presence
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Outcome
from ingestor.model.reply import Reply
from ingestor.policy.expiry import forgotten, protects
from ingestor.policy.retry import (
    History,
    ReplyKind,
    Retry,
    RetryBudget,
    Settle,
    backoff,
    classify,
    exhausted,
    waiting,
)

LOOKUP_DELAY = 5.0
"""The settling time at least, seconds: well above what a server takes for a request that is not stuck."""


def settling_time_after_a_crash(timeout: float) -> float:
    """Return how long a service gets to end what a dead process sent: no attempt took longer than `timeout`."""
    return max(LOOKUP_DELAY, timeout)


def settling_time(reply: Reply) -> float:
    """Return how long a service gets to end a request whose answer was lost: as long again as it took."""
    return max(LOOKUP_DELAY, reply.latency_ms / 1000)


def look_up_after(
    history: History, reply: Reply, budget: RetryBudget, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds until a lost attempt is looked for: its settling time, or a back-off where that is more.

    That is so whatever the budget says: the look-up may show that all is well. Where it shows that there is no run,
    the next attempt follows at once, so that this wait is all that keeps a job from hammering.
    """
    return waiting(reply, budget, max(settling_time(reply), backoff(history.counted, budget, uniform)))


@dataclass(frozen=True, slots=True)
class Absent:
    """There surely is no run, and none is on its way."""


def decide_lookup(
    history: History,
    finding: Finding,
    budget: RetryBudget,
    *,
    asked_at: float,
    now: float,
    uptime: float,
    uniform: Callable[[float, float], float],
) -> Settle | Retry | Absent:
    """Decide what follows a look-up that began at `asked_at`, and bring `history` up to date with it.

    `uptime` is the clock of the job's budget, which look-ups that fail use up as attempts do.
    """
    match finding.presence:
        case Presence.FOUND:
            return Settle(Outcome.CREATED)
        case Presence.ABSENT:
            return _after_absence(history, asked_at, now)
        case Presence.UNDECIDED:
            return _after_failure(history, finding.reply, budget, uptime, uniform)


def _after_absence(history: History, asked_at: float, now: float) -> Retry | Absent:
    if asked_at >= history.quiescent_at:
        history.may_exist = False
        return Absent()
    if history.quiescent_at == inf:
        history.quiescent_at = now + LOOKUP_DELAY
    return Retry(history.quiescent_at - now)


def _after_failure(
    history: History, reply: Reply, budget: RetryBudget, uptime: float, uniform: Callable[[float, float], float]
) -> Settle | Retry:
    match classify(reply).kind:
        case ReplyKind.THROTTLED | ReplyKind.UNAUTHENTICATED:
            return Retry(waiting(reply, budget, backoff(1, budget, uniform)))
        case ReplyKind.TRANSIENT:
            history.counted += 1
            history.quiescent_at = inf
            delay = waiting(reply, budget, backoff(history.counted, budget, uniform))
            return Settle(Outcome.UNRESOLVED) if exhausted(history, budget, uptime + delay) else Retry(delay)
        case _:
            return Settle(Outcome.UNRESOLVED)


class Resend(StrEnum):
    """What may become of a job that surely has no run."""

    FREE = "free"
    """It may be sent again, under a new token."""
    PROTECTED = "protected"
    """It may be sent again, under its own token."""
    EXPIRING = "expiring"
    """Its token may just be about to expire, or its age is not known: neither is safe."""


def decide_resend(first_sent_at: float, now: JournalTime, *, idempotent: bool, invalidated: bool) -> Resend:
    """Say what may become of a job that surely has no run.

    `invalidated` says that the service let go of its token (409 InvalidatedRetryToken).
    """
    if not idempotent or invalidated or forgotten(first_sent_at, now):
        return Resend.FREE
    return Resend.PROTECTED if protects(first_sent_at, now) else Resend.EXPIRING
