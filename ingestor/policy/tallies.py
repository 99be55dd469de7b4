"""Counts of the replies that a wrong setting causes; `policy.evidence` decides what they mean."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply

MAX_REFUSALS = 5
"""How many attempts may be refused before the batch is halted, if the evidence is clear."""

MANY_REFUSALS = 4 * MAX_REFUSALS
"""How many attempts may be refused if the evidence is not clear.

For example: one missing experiment, and an API that does not answer the probe."""

_QUOTA_CODES = frozenset({"QuotaExceeded", "LimitExceeded", "QUOTA_EXCEEDED", "RESOURCE_LIMIT_EXCEEDED"})
_PAYMENT_REQUIRED = 402


def is_quota(reply: Reply) -> bool:
    """Whether a refusal says that a limit of the tenancy or the workspace is used up."""
    return reply.code in _QUOTA_CODES or reply.status == _PAYMENT_REQUIRED


@dataclass(slots=True)
class Denials:
    """Attempts that were denied, or look-ups. The proof that is about them clears it."""

    most_in_a_row: int = MANY_REFUSALS
    """How many in a row cancel the proof. Each granted probe between them doubles it, up to 16 times as many."""
    in_a_row: int = 0
    """While the setting counts as right."""
    by_job: Counter[str] = field(default_factory=Counter)
    """While it does not."""
    experiments: set[str | None] = field(default_factory=set)
    since_new: int = 0
    """How many came since the last one of a job that had none before."""

    def suspect(self, job: Job) -> None:
        """Count one against the setting."""
        self.since_new = self.since_new + 1 if job.key in self.by_job else 0
        self.by_job[job.key] += 1
        self.experiments.add(job.experiment_id)

    def acquit(self, job: Job) -> None:
        """Take back what was counted for a job: its denials concern its record."""
        self.by_job.pop(job.key, None)
        self.experiments.discard(job.experiment_id)

    def granted(self) -> None:
        """Begin anew after a granted probe: the denials so far concern their records."""
        if self.in_a_row or self.by_job:
            most = min(2 * self.most_in_a_row, 16 * MANY_REFUSALS)
            self.clear()
            self.most_in_a_row = most

    def clear(self) -> None:
        """Begin anew after a success."""
        if self.in_a_row or self.by_job or self.most_in_a_row > MANY_REFUSALS:
            self.in_a_row, self.most_in_a_row = 0, MANY_REFUSALS
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
class CredentialRefusals:
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
