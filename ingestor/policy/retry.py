"""What a reply to an attempt means, and what to do next: classify(reply), then decide(history, classification).

The statuses and codes follow the API page, Oracle's table of API errors and the OCI SDK's default retry strategy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from ingestor.model.outcome import Outcome
from ingestor.model.reply import Fault, Reply


class ReplyKind(StrEnum):
    """What a reply says of its job."""

    CREATED = "created"
    """The run exists."""
    THROTTLED = "throttled"
    """Too many requests (429): slow down. It does not count against the job."""
    UNAUTHENTICATED = "unauthenticated"
    """The credentials are not accepted (401), or could not sign."""
    DENIED = "denied"
    """Refused in a way that a wrong address or missing rights would cause too (403, 404, no API at all)."""
    REFUSED = "refused"
    """The service will not take this record."""
    INVALIDATED = "invalidated"
    """The retry token no longer protects (409 InvalidatedRetryToken)."""
    TRANSIENT = "transient"
    """Worth another attempt."""


class SideEffect(StrEnum):
    """Whether the attempt may have created the run."""

    NONE = "none"
    """Surely not."""
    UNKNOWN = "unknown"
    """It may have."""


@dataclass(frozen=True, slots=True)
class Classification:
    """A kind, and what it proves."""

    kind: ReplyKind
    effect: SideEffect


INVALIDATED_TOKEN = "InvalidatedRetryToken"  # noqa: S105 - an error code
"""The error code of a 409 that says so."""

_CREATED = Classification(ReplyKind.CREATED, SideEffect.NONE)
_NOT_DONE = Classification(ReplyKind.TRANSIENT, SideEffect.NONE)
_PERHAPS_DONE = Classification(ReplyKind.TRANSIENT, SideEffect.UNKNOWN)
_UNAUTHENTICATED = Classification(ReplyKind.UNAUTHENTICATED, SideEffect.NONE)
_DENIED = Classification(ReplyKind.DENIED, SideEffect.NONE)
_REFUSED = Classification(ReplyKind.REFUSED, SideEffect.NONE)

_BY_CODE = {
    (404, "RESOURCE_DOES_NOT_EXIST"): _REFUSED,  # MLflow's word for a missing experiment
    (409, "IncorrectState"): _NOT_DONE,
    (409, "LockConflict"): _NOT_DONE,
    (409, "ExternalServerIncorrectState"): _NOT_DONE,
    (409, INVALIDATED_TOKEN): Classification(ReplyKind.INVALIDATED, SideEffect.UNKNOWN),
}
_BY_STATUS = {
    401: _UNAUTHENTICATED,
    403: _DENIED,
    404: _DENIED,
    405: _DENIED,
    407: _DENIED,
    408: _PERHAPS_DONE,
    413: _REFUSED,  # proxies say it too, without a code, and it is about the request all the same
    414: _REFUSED,
    425: _NOT_DONE,
    429: Classification(ReplyKind.THROTTLED, SideEffect.NONE),
    431: _REFUSED,
    501: _DENIED,
}


def classify(reply: Reply) -> Classification:
    """Say what a reply means."""
    if reply.fault is Fault.UNSIGNED:
        return _UNAUTHENTICATED
    if reply.fault is not None or reply.status is None:
        return _NOT_DONE if reply.fault is not None and reply.fault.sent_nothing else _PERHAPS_DONE
    if reply.status // 100 == 2:
        return _CREATED if reply.run_id is not None else _PERHAPS_DONE
    return _classify_refusal(reply.status, reply.code)


def is_failure_of_the_service(reply: Reply) -> bool:
    """Say whether a reply is what a service that is down would give to anyone: no answer, or a 5xx other than 501."""
    if reply.status is None:
        return not is_our_own_failure(reply)
    return reply.status // 100 == 5 and reply.status != 501


def is_our_own_failure(reply: Reply) -> bool:
    """Say whether there is no answer for a reason of our own, which says nothing of the service."""
    return reply.fault in {Fault.UNSIGNED, Fault.LOST}


def _classify_refusal(status: int, code: str | None) -> Classification:
    known = _BY_CODE.get((status, code or "")) or _BY_STATUS.get(status)
    if known is not None:
        return known
    if status // 100 == 5:
        return _PERHAPS_DONE
    return _DENIED if code is None else _REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """What one job may cost.

    Attributes:
        max_attempts: attempts that count (429s and refused credentials do not), at least 1.
        max_seconds: from the first attempt to the start of the last.
        base: the back-off's first ceiling, seconds.
        cap: the back-off's highest ceiling, seconds.
        longest_wait: the most of a Retry-After that is honoured, seconds.
    """

    max_attempts: int = 8
    max_seconds: float = 600.0
    base: float = 1.0
    cap: float = 30.0
    longest_wait: float = 300.0


class Recovery(StrEnum):
    """What can be done about an attempt of unknown effect."""

    TOKEN = "token"  # noqa: S105 - a name, not a token
    """Repeat it: the service honours retry tokens."""
    LOOKUP = "lookup"
    """Look for its run, and repeat it where there is none."""
    NONE = "none"
    """Nothing."""


@dataclass(slots=True)
class History:
    """What is known of a job that is being delivered.

    Attributes:
        may_exist: an attempt may have created the run without our knowing.
        attempts: all attempts of this process.
        counted: those that count against the budget.
        first_at: when the first of them, or of the look-ups, began, on the clock of `now` below.
        quiescent_at: from when on a look-up shows whether the run exists (see `policy.lookup`), by a monotonic clock
            that does not stop while the service is down.
    """

    may_exist: bool = False
    attempts: int = 0
    counted: int = 0
    first_at: float = inf
    quiescent_at: float = -inf

    @contextmanager
    def doubt_while_under_way(self) -> Iterator[None]:
        """Be in doubt while an attempt is under way, and stay so where it is torn off without a reply."""
        before, self.may_exist = self.may_exist, True
        yield
        self.may_exist = before

    def learn(self, classification: Classification, *, quiescent_at: float) -> None:
        """Take what a reply proves of its attempt, whatever is decided about the job; `quiescent_at` as above."""
        if classification.effect is SideEffect.UNKNOWN:
            self.may_exist = True
            self.quiescent_at = quiescent_at


@dataclass(frozen=True, slots=True)
class Settle:
    """The job ends."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """The job is tried again in `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class LookUp:
    """The job's run is looked for before anything else (see `policy.lookup`)."""


Decision = Settle | Retry | LookUp


def decide(
    history: History,
    classification: Classification,
    reply: Reply,
    budget: RetryBudget,
    *,
    now: float,
    recovery: Recovery,
    uniform: Callable[[float, float], float],
) -> Decision:
    """Decide what follows an attempt that `history` has learnt of, and count it.

    `now` and `history.first_at` share one monotonic clock. `recovery` says what may be done where the effect of
    an attempt is not known. `uniform` is the random source.
    """
    match classification.kind:
        case ReplyKind.CREATED:
            return Settle(Outcome.CREATED)
        case ReplyKind.REFUSED | ReplyKind.DENIED:
            return Settle(Outcome.UNRESOLVED if history.may_exist else Outcome.FAILED)
        case ReplyKind.INVALIDATED:
            return Settle(Outcome.UNRESOLVED)
        case ReplyKind.THROTTLED | ReplyKind.UNAUTHENTICATED:
            return Retry(waiting(reply, budget, backoff(1, budget, uniform)))
        case ReplyKind.TRANSIENT:
            return _after_transient(history, reply, budget, now=now, recovery=recovery, uniform=uniform)


def backoff(attempt: int, budget: RetryBudget, uniform: Callable[[float, float], float]) -> float:
    """Draw an exponential back-off with full jitter: uniform in 0 .. min(cap, base * 2**(attempt - 1)), seconds."""
    return uniform(0.0, min(budget.cap, budget.base * 2.0 ** min(attempt - 1, 32)))


def _after_transient(
    history: History,
    reply: Reply,
    budget: RetryBudget,
    *,
    now: float,
    recovery: Recovery,
    uniform: Callable[[float, float], float],
) -> Decision:
    history.counted += 1
    if history.may_exist and recovery is not Recovery.TOKEN:
        return LookUp() if recovery is Recovery.LOOKUP else Settle(Outcome.UNRESOLVED)
    delay = waiting(reply, budget, backoff(history.counted, budget, uniform))
    if exhausted(history, budget, now + delay):
        return Settle(Outcome.UNRESOLVED if history.may_exist else Outcome.FAILED)
    return Retry(delay)


def exhausted(history: History, budget: RetryBudget, then: float) -> bool:
    """Whether a job's budget allows no attempt at `then`."""
    return history.counted >= budget.max_attempts or then - history.first_at > budget.max_seconds


def waiting(reply: Reply, budget: RetryBudget, delay: float) -> float:
    """Return a delay, or what the service asks to wait where that is more, in seconds."""
    if reply.retry_after is None:
        return delay
    return max(delay, min(reply.retry_after, budget.longest_wait))
