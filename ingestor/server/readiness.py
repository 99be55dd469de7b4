"""Whether a batch does its work: what its event loop last knew of credentials, journal and service."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestor.model.activity import Activity, Health, Phase
from ingestor.report.attempt_classes import AttemptClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One of the things that must be all right.

    Attributes:
        ok: whether nothing is known to be wrong with it.
        reason: what is known, in words.
        age: seconds since it was last seen; None if it was never seen.
    """

    ok: bool
    reason: str
    age: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What `/readyz` answers.

    Attributes:
        ready: whether every check is all right, except `accepting`.
        phase: how far the execution is.
        sentence: what the batch does now (`report.situation`).
        checks: the checks by name.
    """

    ready: bool
    phase: Phase
    sentence: str
    checks: Mapping[str, Check]


_AUTHENTICATED = (AttemptClass.SUCCESS, AttemptClass.DENIED, AttemptClass.REFUSED)
_ANSWERED = (*_AUTHENTICATED, AttemptClass.THROTTLED, AttemptClass.UNAUTHENTICATED, AttemptClass.SERVER_ERROR)
_DOWN = (Health.DOWN, Health.HALF_OPEN, Health.HALTED)


class AnswersSeen:
    """When the service last answered, and last accepted the credentials, to the interval between two looks.

    Attributes:
        accepted: whether the last answers that show it have accepted the credentials; None before there is one.
    """

    def __init__(self) -> None:
        self._counts: Mapping[AttemptClass, int] = dict.fromkeys(AttemptClass, 0)
        self._answered_at: float | None = None
        self._shown_at: float | None = None
        self.accepted: bool | None = None

    def look(self, counts: Mapping[AttemptClass, int], now: float) -> None:
        """Take the present counts of attempts. `now` is a monotonic time in seconds."""
        before, self._counts = self._counts, counts
        new = {it for it in AttemptClass if counts[it] > before[it]}
        if not new.isdisjoint(_ANSWERED):
            self._answered_at = now
        if not new.isdisjoint((*_AUTHENTICATED, AttemptClass.UNAUTHENTICATED)):
            self._shown_at, self.accepted = now, not new.isdisjoint(_AUTHENTICATED)

    def credentials(self, now: float) -> Check:
        """Return what is known of the credentials."""
        age = None if self._shown_at is None else round(now - self._shown_at, 3)
        if self.accepted is None:
            return Check(ok=True, reason="no answer has shown yet whether they are right", age=age)
        reason = "the service accepts them" if self.accepted else "the service refuses them, or they can't sign"
        return Check(ok=self.accepted, reason=reason, age=age)

    def service(self, activity: Activity | None, now: float) -> Check:
        """Return what is known of the service."""
        age = None if self._answered_at is None else round(now - self._answered_at, 3)
        if activity is None:
            return Check(ok=True, reason="nothing is sent at present", age=age)
        if activity.health in _DOWN or activity.hold is not None:
            why = "it does not answer as it should" if activity.hold is None else activity.hold.reason
            return Check(ok=False, reason=why, age=age)
        reason = "no request was answered yet" if activity.health is Health.UNPROVEN else "it answers"
        return Check(ok=True, reason=reason, age=age)


def readiness(phase: Phase, sentence: str, *, accepting: Check | None = None, **checks: Check) -> Readiness:
    """Return what to answer: a batch that ends, or has not begun, is not ready.

    `accepting` is reported and does not decide: only a request shows that the disk has room again, and a load balancer
    sends none to a program that is not ready.
    """
    ready = phase is Phase.RUNNING and all(check.ok for check in checks.values())
    if accepting is not None:
        checks["accepting"] = accepting
    return Readiness(ready=ready, phase=phase, sentence=sentence, checks=checks)
