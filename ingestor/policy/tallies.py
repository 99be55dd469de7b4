"""Counts of the replies that a wrong setting causes; `policy.evidence` decides what they mean."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply

_QUOTA_CODES = frozenset({"QuotaExceeded", "LimitExceeded", "QUOTA_EXCEEDED", "RESOURCE_LIMIT_EXCEEDED"})
_PAYMENT_REQUIRED = 402


def is_quota(reply: Reply) -> bool:
    """Whether a refusal says that a limit of the tenancy or the workspace is used up."""
    return reply.code in _QUOTA_CODES or reply.status == _PAYMENT_REQUIRED


class ProbeState(Enum):
    """What is known from probes since the last proof."""

    NOT_SENT = auto()
    SENT = auto()
    """It was requested; its reply is missing or unclear."""
    DENIED = auto()
    GRANTED = auto()


@dataclass(slots=True)
class Denials:
    """Attempts that were denied, or look-ups. The proof that is about them clears it."""

    in_a_row: int = 0
    """While the setting counts as right."""
    by_job: Counter[str] = field(default_factory=Counter)
    """While it does not."""
    experiments: set[str | None] = field(default_factory=set)

    def suspect(self, job: Job) -> None:
        """Count one against the setting."""
        self.by_job[job.key] += 1
        self.experiments.add(job.experiment_id)

    def acquit(self, job: Job) -> None:
        """Take back what was counted for a job: its denials concern its record."""
        self.by_job.pop(job.key, None)
        self.experiments.discard(job.experiment_id)

    def clear(self) -> None:
        """Begin anew."""
        if self.in_a_row or self.by_job:
            self.in_a_row = 0
            self.by_job.clear()
            self.experiments.clear()


@dataclass(slots=True)
class SameRefusals:
    """Requests in a row that were refused with the same message. Every proof clears it."""

    words: tuple[str | None, str] = ("", "")
    count: int = 0

    def add(self, reply: Reply) -> None:
        """Count one."""
        words = (reply.code, reply.message)
        self.count = self.count + 1 if words == self.words else 1
        self.words = words


@dataclass(slots=True)
class Credentials:
    """Refused credentials: one refusal counts for each renewal. Every proof clears the count.

    A 401 to an attempt that was sent before the renewal ended says nothing about the new credentials.
    """

    refusals: int = 0
    is_renewing: bool = False
    renewed_at: float = -inf

    def count(self, sent_at: float) -> bool:
        """Count a refusal, and begin a renewal; False if it says nothing about the present credentials."""
        if self.is_renewing or sent_at < self.renewed_at:
            return False
        self.refusals += 1
        self.is_renewing = True
        return True

    def renewed(self, now: float) -> None:
        """Record that the renewal has ended, with or without new credentials."""
        self.is_renewing, self.renewed_at = False, now


@dataclass(slots=True)
class Faults:
    """Attempts that ended without an answer, before the first answer. Nothing clears it."""

    count: int = 0
    unsent: int = 0

    def add(self, fault: Fault) -> None:
        """Count a fault."""
        self.count += 1
        self.unsent += fault.sent_nothing


@dataclass(slots=True)
class Row:
    """Replies of one kind since the last success, and the jobs that got them."""

    most: int
    """How many different jobs are counted, at most."""
    count: int = 0
    jobs: set[str] = field(default_factory=set)

    def add(self, job: Job) -> None:
        """Count one."""
        self.count += 1
        if len(self.jobs) < self.most:
            self.jobs.add(job.key)

    def clear(self) -> None:
        """Begin anew."""
        if self.count:
            self.count = 0
            self.jobs.clear()
