"""What follows a reply, beyond its own job: the decisions of `policy.health`."""

from dataclasses import dataclass, field

from ingestor.policy.advice import Halt


@dataclass(frozen=True, slots=True)
class Continue:
    """The reply concerns its job only.

    `misses_experiment`: it says that the experiment does not exist, or the list of experiments does.
    """

    misses_experiment: bool = field(default=False, compare=False)


CONTINUE = Continue()
"""The ordinary one."""

MISSING = Continue(misses_experiment=True)
"""The one for a job whose experiment does not exist."""


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


REQUEUE_DELAY = 0.5
"""Seconds between attempts of a job whose reply may concern every record."""

REQUEUE = Requeue(REQUEUE_DELAY)
"""The ordinary one."""


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


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the batch does not advance, in words, and when the next probe, or the end, is due."""

    reason: str
    until: float


HealthDecision = Continue | Requeue | Distrust | Halt | GiveUp
