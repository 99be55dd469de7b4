"""The look-up before a create is repeated, for services without retry tokens.

A service without retry tokens creates the run of a repeated request twice. So if the answer was lost, the run is
looked up by its stamp first. This is sound under one assumption: *a service that answers has ended a request whose
connection broke, once the quiescence time has passed* (it may process the request for a while after the connection is
gone). An absence that is seen earlier proves nothing. An absence in the first look-up that is answered after others
were not proves nothing either: a service that hung may carry out queued requests later.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from ingestor.model.admission import JournalTime
from ingestor.model.record import Outcome
from ingestor.model.reply import Finding, Presence, Reply
from ingestor.policy.expiry import forgotten, protects
from ingestor.policy.retry import (
    AttemptHistory,
    End,
    ReplyKind,
    Retry,
    RetryBudget,
    Uniform,
    backoff,
    classify,
    delay_or_longer,
    next_delay,
)

LOOKUP_DELAY = 5.0
"""The shortest quiescence time, seconds: well above what a server takes for a request that is not stuck."""


def crash_quiescence(timeout: float) -> float:
    """Return the seconds until the requests of a killed execution have ended: none took longer than `timeout`."""
    return max(LOOKUP_DELAY, timeout)


def quiescence_time(reply: Reply) -> float:
    """Return the seconds until a service has ended a request whose answer was lost: as long again as it took."""
    return max(LOOKUP_DELAY, reply.latency_ms / 1000)


def lookup_delay(history: AttemptHistory, reply: Reply, budget: RetryBudget, uniform: Uniform) -> float:
    """Return the seconds until a lost attempt is looked up: its quiescence time, or a backoff where that is longer.

    The budget does not limit it: the look-up may find the run. Where it finds none, the next attempt follows at once,
    so only this delay separates the attempts of a job.
    """
    return delay_or_longer(reply, budget, max(quiescence_time(reply), backoff(history.counted, budget, uniform)))


@dataclass(frozen=True, slots=True)
class Absent:
    """There is certainly no run, and no request in flight creates one."""


def decide_lookup(
    history: AttemptHistory,
    finding: Finding,
    budget: RetryBudget,
    *,
    asked_at: float,
    now: float,
    uptime: float,
    uniform: Uniform,
) -> End | Retry | Absent:
    """Decide what follows a look-up that began at `asked_at`, and update `history`.

    `uptime` is the clock of the job's budget, which failed look-ups use up as attempts do.
    """
    match finding.presence:
        case Presence.FOUND:
            return End(Outcome.CREATED)
        case Presence.UNDECIDED:
            return _after_failure(history, finding.reply, budget, uptime, uniform)
    if asked_at >= history.quiescent_at:
        history.may_exist = False
        return Absent()
    if history.quiescent_at == inf:
        history.quiescent_at = now + LOOKUP_DELAY
    return Retry(history.quiescent_at - now)


def _after_failure(
    history: AttemptHistory, reply: Reply, budget: RetryBudget, uptime: float, uniform: Uniform
) -> End | Retry:
    kind = classify(reply).kind
    history.spend(kind)
    match kind:
        case ReplyKind.THROTTLED | ReplyKind.UNAUTHENTICATED:
            return Retry(delay_or_longer(reply, budget, backoff(1, budget, uniform)))
        case ReplyKind.TRANSIENT:
            history.quiescent_at = inf
            delay = next_delay(history, reply, budget, now=uptime, uniform=uniform)
            return End(Outcome.UNRESOLVED) if delay is None else Retry(delay)
        case _:
            return End(Outcome.UNRESOLVED)


class Resend(StrEnum):
    """How a job that certainly has no run may be sent again."""

    NEW_TOKEN = "new token"  # noqa: S105 - a name, not a token
    """Under a new token."""
    SAME_TOKEN = "same token"  # noqa: S105
    """Under its own token."""
    NOT_YET = "not yet"
    """Its token may be about to expire, or its age is not known: neither is safe."""


def decide_resend(first_sent_at: float, now: JournalTime, *, idempotent: bool, invalidated: bool) -> Resend:
    """Decide how a job that certainly has no run may be sent again.

    `idempotent`: the service honours retry tokens. `invalidated`: it has withdrawn this one (409
    InvalidatedRetryToken).
    """
    if not idempotent or invalidated or forgotten(first_sent_at, now):
        return Resend.NEW_TOKEN
    return Resend.SAME_TOKEN if protects(first_sent_at, now) else Resend.NOT_YET
