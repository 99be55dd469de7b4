"""What the journal knows: the time, and whether a job may be sent."""

from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.record import Job
from ingestor.model.value import value


@dataclass(frozen=True, slots=True)
class JournalTime:
    """A point in time that means the same to every process that uses a journal, one after the other.

    Seconds since the epoch (see `policy.expiry`).

    Attributes:
        time: never runs backwards, whatever happens to the wall clock.
        wall: the wall clock.
        trusted_since: from this point on, in terms of `time`, all time that passed is accounted for. What happened
            before is older than it seems, and nobody knows by how much.
    """

    time: float
    wall: float
    trusted_since: float = 0.0


class AdmissionStatus(StrEnum):
    """Whether a job may be sent."""

    NEW = "new"
    """Never seen: its intent is durable now."""
    RESEND = "resend"
    """Seen and without a run so far, and its token protects: send it under the token of the admission."""
    BEGUN = "begun"
    """Its run exists, and the rest of its plan is missing or unknown: send every step after create."""
    DONE = "done"
    """Its run exists and is complete."""
    CONFLICT = "conflict"
    """The key was used with another body."""
    EXPIRED = "expired"
    """It may have been carried out, and its token no longer protects: only `reconcile` can settle it."""


@value(frozen=True, slots=True)
class Admission:
    """The journal's decision on one job.

    Attributes:
        job: the job, with the token to send it under.
        status: whether it may be sent.
        stamped: whether create carries the tag `ingestor.token`: as the first attempt did.
        first_sent_at: when the token's life began (a `JournalTime.time`).
        may_exist: an earlier process may have sent it without learning the result.
        run_id: the run's id, where the status is DONE or BEGUN.
        is_recent: DONE only: this execution did it, not an earlier one.
        invalidated: an earlier process learnt that the token no longer protects (only on the way of `UnsettledJob`).
    """

    job: Job
    status: AdmissionStatus
    stamped: bool
    first_sent_at: float
    may_exist: bool = False
    run_id: str | None = None
    is_recent: bool = False
    invalidated: bool = False


@dataclass(frozen=True, slots=True)
class UnsettledJob:
    """A job whose outcome is not known, as the journal has it: `may_exist` is true, and body and text are empty.

    `number` grows from job to job. `has_steps`: its plan has steps, which the journal does not know.
    """

    number: int
    admission: Admission
    has_steps: bool = False
