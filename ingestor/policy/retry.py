"""What a reply means, and the decision that follows: classify(reply) -> classification, decide(…) -> decision.

The statuses and codes follow the API page, Oracle's table of API errors and the OCI SDK's default retry strategy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from ingestor.model.record import Outcome
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Request

Uniform = Callable[[float, float], float]
"""A random source: draws a number between two bounds."""


class ReplyKind(StrEnum):
    """What a reply says about its request."""

    SUCCEEDED = "succeeded"
    """The request was carried out; create's answer names the run."""
    THROTTLED = "throttled"
    """Too many requests (429): slow down. It costs the job no retry budget."""
    UNAUTHENTICATED = "unauthenticated"
    """The credentials are not accepted (401), or could not sign."""
    DENIED = "denied"
    """A refusal that can also come from a wrong address or missing rights (403, 404, no API at all)."""
    REFUSED = "refused"
    """The service does not accept this request."""
    INVALIDATED = "invalidated"
    """The service has withdrawn the retry token (409 InvalidatedRetryToken)."""
    TRANSIENT = "transient"
    """Another attempt may succeed."""


class SideEffect(StrEnum):
    """Whether the attempt may have created a run whose id is not known: certainly not, or perhaps."""

    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Classification:
    """What a reply says, and what it proves."""

    kind: ReplyKind
    side_effect: SideEffect


INVALIDATED_TOKEN = "InvalidatedRetryToken"  # noqa: S105 - of a 409: the service has withdrawn the retry token

_SUCCEEDED = Classification(ReplyKind.SUCCEEDED, SideEffect.NONE)
_NOT_DONE = Classification(ReplyKind.TRANSIENT, SideEffect.NONE)
_MAY_BE_DONE = Classification(ReplyKind.TRANSIENT, SideEffect.UNKNOWN)
_UNAUTHENTICATED = Classification(ReplyKind.UNAUTHENTICATED, SideEffect.NONE)
_DENIED = Classification(ReplyKind.DENIED, SideEffect.NONE)
_REFUSED = Classification(ReplyKind.REFUSED, SideEffect.NONE)

_FREE = frozenset({ReplyKind.THROTTLED, ReplyKind.UNAUTHENTICATED})  # such attempts cost no retry budget
_NO_CONNECTION_LEFT = "QueuePool limit"  # of SQLAlchemy: an overloaded MLflow server passes it on in a 400
_BY_CODE = {
    (404, "RESOURCE_DOES_NOT_EXIST"): _REFUSED,  # MLflow's code for a missing experiment
    **dict.fromkeys([(409, "IncorrectState"), (409, "LockConflict"), (409, "ExternalServerIncorrectState")], _NOT_DONE),
    (409, INVALIDATED_TOKEN): Classification(ReplyKind.INVALIDATED, SideEffect.UNKNOWN),
}
_BY_STATUS = {
    **dict.fromkeys((403, 404, 405, 407, 501), _DENIED),
    **dict.fromkeys((413, 414, 431), _REFUSED),  # even without a code, as from a proxy: they concern the request
    401: _UNAUTHENTICATED,
    408: _MAY_BE_DONE,
    425: _NOT_DONE,
    429: Classification(ReplyKind.THROTTLED, SideEffect.NONE),
}


def classify(reply: Reply, request: Request | None = None) -> Classification:
    """Return what a reply to `request` means.

    Create succeeds if a 2xx names the run; a repeatable request succeeds with any 2xx and has no unknown side effect.
    Without a request, it is the reply to a look-up that could not be decided: no 2xx is a success.
    """
    if request is None or not request.is_repeatable:
        return _classify(reply)
    if reply.is_success:
        return _SUCCEEDED
    return replace(_classify(reply), side_effect=SideEffect.NONE)


def _classify(reply: Reply) -> Classification:
    if reply.fault is Fault.UNSIGNED:
        return _UNAUTHENTICATED
    if reply.fault is not None or reply.status is None:
        return _NOT_DONE if reply.fault is not None and reply.fault.sent_nothing else _MAY_BE_DONE
    if reply.is_success:
        return _SUCCEEDED if reply.run_id is not None else _MAY_BE_DONE
    if reply.status == 400 and _NO_CONNECTION_LEFT in reply.message:
        return _MAY_BE_DONE
    return _classify_refusal(reply.status, reply.code)


def _classify_refusal(status: int, code: str | None) -> Classification:
    known = _BY_CODE.get((status, code or "")) or _BY_STATUS.get(status)
    if known is not None:
        return known
    if status // 100 == 5:
        return _MAY_BE_DONE
    return _DENIED if code is None else _REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How many attempts and how much time one job may use.

    Attributes:
        max_attempts: attempts of one request that count (429s and refused credentials do not), at least 1.
        max_seconds: from the first attempt of a request to the start of its last, without the service's downtime and
            without the time from an attempt that does not count to the next one.
        base: the first ceiling of the backoff, seconds.
        cap: the highest ceiling of the backoff, seconds.
        longest_wait: the longest Retry-After that is honoured, seconds.
    """

    max_attempts: int = 8
    max_seconds: float = 600.0
    base: float = 1.0
    cap: float = 30.0
    longest_wait: float = 300.0


class Recovery(StrEnum):
    """After a create that may have been carried out: repeat it under its token, or only if a look-up finds no run."""

    TOKEN = "token"  # noqa: S105 - a name, not a token
    LOOKUP = "lookup"
    NONE = "none"


@dataclass(slots=True)
class AttemptHistory:
    """What the attempts of a job in flight have shown. `counted` and `first_at` are those of its current request.

    Attributes:
        may_exist: an attempt may have created the run, and its id is not known.
        attempts: all attempts of this process.
        counted: those that count against the budget.
        first_at: when the first of them, or of the look-ups, began (as `now`), and later by what does not count.
        quiescent_at: from when on a look-up shows whether the run exists (monotonic; see `policy.lookup`).
    """

    may_exist: bool = False
    attempts: int = 0
    counted: int = 0
    first_at: float = inf
    quiescent_at: float = -inf
    _may_have_existed: bool = field(default=False, init=False, repr=False)
    _began_at: float = field(default=inf, init=False, repr=False)
    _is_free: bool = field(default=False, init=False, repr=False)

    def sending(self, request: Request, now: float) -> None:
        """Count an attempt that is about to leave. Until `learn` is called, it may have created the run."""
        self.attempts += 1
        self._begin(now)
        self._may_have_existed = self.may_exist
        self.may_exist = self.may_exist or not request.is_repeatable

    def learn(self, classification: Classification, *, quiescent_at: float) -> None:
        """Record what the reply proves; the decision about the job does not matter here."""
        self.may_exist = self._may_have_existed
        self.spend(classification.kind)
        if classification.side_effect is SideEffect.UNKNOWN:
            self.may_exist = True
            self.quiescent_at = quiescent_at

    def held(self) -> None:
        """Take back an attempt that did not leave. Its time does not count."""
        self.attempts -= 1
        self.may_exist = self._may_have_existed
        self._is_free = True

    def looking_up(self, now: float) -> None:
        """Record that a look-up begins."""
        self._begin(now)

    def spend(self, kind: ReplyKind) -> None:
        """Take how the attempt or look-up ended: throttled or with refused credentials, its time does not count."""
        self._is_free = kind in _FREE

    def _begin(self, now: float) -> None:
        if self._is_free:
            self.first_at += now - self._began_at
        self._began_at, self._is_free = now, False
        self.first_at = min(self.first_at, now)

    def next_request(self) -> None:
        """Begin the next request of the plan: the run exists, its id is known, and the budget is new."""
        self.may_exist = False
        self.counted, self.first_at, self._is_free = 0, inf, False


@dataclass(frozen=True, slots=True)
class End:
    """The job ends."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """The request is sent again in `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class LookUp:
    """A look-up for the job's run comes before anything else (see `policy.lookup`)."""


RetryDecision = End | Retry | LookUp


def decide(
    history: AttemptHistory,
    classification: Classification,
    reply: Reply,
    budget: RetryBudget,
    *,
    now: float,
    recovery: Recovery,
    uniform: Uniform,
) -> RetryDecision:
    """Decide what follows an attempt of create, and count it. Call `history.learn` first.

    SUCCEEDED ends a job without steps. `now` and `history.first_at` share one monotonic clock.
    """
    without_run = End(Outcome.UNRESOLVED if history.may_exist else Outcome.FAILED)
    match classification.kind:
        case ReplyKind.SUCCEEDED:
            return End(Outcome.CREATED)
        case ReplyKind.REFUSED | ReplyKind.DENIED:
            return without_run
        case ReplyKind.INVALIDATED:
            return End(Outcome.UNRESOLVED)
        case ReplyKind.THROTTLED | ReplyKind.UNAUTHENTICATED:
            return Retry(delay_or_longer(reply, budget, backoff(1, budget, uniform)))
    if history.may_exist and recovery is not Recovery.TOKEN:
        history.counted += 1
        return LookUp() if recovery is Recovery.LOOKUP else End(Outcome.UNRESOLVED)
    delay = next_delay(history, reply, budget, now=now, uniform=uniform)
    return without_run if delay is None else Retry(delay)


def decide_step(
    history: AttemptHistory,
    classification: Classification,
    reply: Reply,
    budget: RetryBudget,
    *,
    now: float,
    uniform: Uniform,
) -> RetryDecision:
    """Decide what follows an attempt of a step, and count it: as `decide` does, but the run exists and its id is known.

    SUCCEEDED ends the job where the step is its last. A refused step leaves it PARTIAL. A step whose budget is used up
    leaves it UNRESOLVED: the next execution sends it again.
    """
    if classification.kind in (ReplyKind.REFUSED, ReplyKind.DENIED, ReplyKind.INVALIDATED):
        return End(Outcome.PARTIAL)
    # A repeated step does no harm, as with a token that protects; `may_exist` is False, since the run's id is known.
    decision = decide(history, classification, reply, budget, now=now, recovery=Recovery.TOKEN, uniform=uniform)
    return End(Outcome.UNRESOLVED) if decision == End(Outcome.FAILED) else decision


def next_delay(
    history: AttemptHistory, reply: Reply, budget: RetryBudget, *, now: float, uniform: Uniform
) -> float | None:
    """Count a transient failure; return the seconds until the next attempt, None if the budget allows none."""
    history.counted += 1
    delay = delay_or_longer(reply, budget, backoff(history.counted, budget, uniform))
    return None if is_exhausted(history, budget, now + delay) else delay


def backoff(attempt: int, budget: RetryBudget, uniform: Uniform) -> float:
    """Draw an exponential backoff with full jitter: uniform in 0 .. min(cap, base * 2**(attempt - 1)), seconds."""
    return uniform(0.0, min(budget.cap, budget.base * 2.0 ** min(attempt - 1, 32)))


def is_exhausted(history: AttemptHistory, budget: RetryBudget, then: float) -> bool:
    """Whether the budget allows no attempt at `then`."""
    return history.counted >= budget.max_attempts or then - history.first_at > budget.max_seconds


def delay_or_longer(reply: Reply, budget: RetryBudget, delay: float) -> float:
    """Return a delay, or what the service asks the client to wait where that is longer, in seconds."""
    if reply.retry_after is None:
        return delay
    return max(delay, min(reply.retry_after, budget.longest_wait))
