"""What the journal decides: the time, and whether a job may be sent."""

from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.record import Job
from ingestor.model.value import value


@dataclass(frozen=True, slots=True)
class JournalTime:
    """A point in time that means the same in every execution that uses a journal.

    Seconds since the epoch (see `policy.expiry`).

    Attributes:
        time: never runs backwards, even if the wall clock does.
        wall: the wall clock.
        trusted_since: a value of `time`. Ages are right for what happened after it. What happened before it is older
            than it seems, by an unknown time.
    """

    time: float
    wall: float
    trusted_since: float = 0.0


class AdmissionStatus(StrEnum):
    """Whether a job may be sent."""

    NEW = "new"
    """The journal did not have it; its intent is durable now."""
    RESEND = "resend"
    """The journal has it, there is no run so far, and its token still protects: send it under that token."""
    BEGUN = "begun"
    """Its run exists, and the rest of its plan is missing or unknown: send every step after create."""
    DONE = "done"
    """Its run exists and is complete."""
    FORGOTTEN = "forgotten"
    """The user gave it up: it is not sent, and counts as done."""
    CONFLICT = "conflict"
    """The key was used with another digest."""
    EXPIRED = "expired"
    """Its run may exist, and its token no longer protects: only `reconcile` can settle it."""


@value(frozen=True, slots=True)
class Admission:
    """The journal's decision on one job.

    Attributes:
        job: the job, with the token to send it under.
        status: whether it may be sent.
        stamped: whether create carries the tag `ingestor.token`, the same as in the first attempt.
        first_sent_at: when the token's life began (a `JournalTime.time`).
        may_exist: an earlier execution may have sent it, and its result is not known.
        run_id: the run's id, if the status is DONE or BEGUN.
        done_in_this_execution: DONE only: this execution completed it, not an earlier one.
        invalidated: the service has withdrawn the token in an earlier execution; set only in an `UnsettledJob`.
    """

    job: Job
    status: AdmissionStatus
    stamped: bool
    first_sent_at: float
    may_exist: bool = False
    run_id: str | None = None
    done_in_this_execution: bool = False
    invalidated: bool = False


@dataclass(frozen=True, slots=True)
class UnsettledJob:
    """A job whose outcome is not known, as the journal has it: `may_exist` is true, and body and text are empty.

    `number` grows from job to job. `has_steps`: its plan has steps, which the journal does not store.
    """

    number: int
    admission: Admission
    has_steps: bool = False
