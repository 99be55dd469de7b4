"""What follows a reply, beyond its own job: the decisions of `policy.health`."""

from dataclasses import dataclass

from ingestor.policy.advice import Halt


@dataclass(frozen=True, slots=True)
class Continue:
    """The reply concerns its job only."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """The reply may concern every record: queue the job again, due in `delay` seconds.

    Attributes:
        delay: seconds.
        renew_credentials: fetch fresh credentials first.
        is_outage: the service does not serve any record, although it answers.
    """

    delay: float
    renew_credentials: bool = False
    is_outage: bool = False


@dataclass(frozen=True, slots=True)
class Distrust:
    """The answer names a run that belongs to another record: the job ends unresolved.

    `halts`: so many answers were like that that the batch halts.
    """

    run_id: str
    halts: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The service was down, or refused every request, for too long: stop the batch; it can be resumed."""

    reason: str


HealthDecision = Continue | Requeue | Distrust | Halt | GiveUp
