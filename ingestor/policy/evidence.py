"""Evidence that a setting is wrong for every record, as opposed to a record that is wrong.

A wrong address, a missing right or a bad credential causes the same replies as a bad record. Until something proves
that the setting is right, such a reply counts as evidence that it is wrong. There are two proofs:

- A request of a job that succeeds proves the address, the credentials, and the right to create runs.
- A probe or a look-up that succeeds proves the address and the credentials: a policy may allow to read and not to
  create. It ends the doubt about denied requests only in a batch that has created runs.

Many denials in a row cancel the proof: rights and workspaces can be lost in the middle of a batch.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt, credentials_halt, refused_halt, unreached_halt
from ingestor.policy.retry import Classification, ReplyKind

MAX_REFUSALS = 5
"""How many attempts may be refused before the batch is halted, if the evidence is clear."""

MANY_REFUSALS = 4 * MAX_REFUSALS
"""How many attempts may be refused if the evidence is not clear.

For example: one missing experiment, and an API that does not answer the probe."""

MAX_FAULTS = 2 * MAX_REFUSALS
"""How many attempts may end without an answer before the first answer."""

LONGEST_UNANSWERED = 25.0
"""Seconds after the first request in which a service must answer something."""

REQUEUE_DELAY = 0.5
"""Seconds between attempts of a job whose reply may concern every record."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """The reply may concern every record: queue the job again, due in `delay` seconds.

    `renew_credentials`: fetch fresh credentials first.
    """

    delay: float
    renew_credentials: bool = False


Weight = Halt | Requeue | None
"""What a reply means as evidence; None: it concerns its record only."""

_REQUEUE = Requeue(REQUEUE_DELAY)
_RENEW = Requeue(REQUEUE_DELAY, renew_credentials=True)


class _Probe(Enum):
    """What is known from probes since the last proof."""

    NOT_SENT = auto()
    SENT = auto()
    """It was requested; its reply is missing or unclear."""
    DENIED = auto()
    GRANTED = auto()


@dataclass(slots=True)
class _Denials:
    """Attempts that were denied, or look-ups. The proof that is about them clears it."""

    in_a_row: int = 0
    """While the setting counts as right."""
    by_job: Counter[str] = field(default_factory=Counter)
    """While it does not."""
    experiments: set[str | None] = field(default_factory=set)

    def suspect(self, job: Job) -> None:
        self.by_job[job.key] += 1
        self.experiments.add(job.experiment_id)

    def clear(self) -> None:
        if self.in_a_row or self.by_job:
            self.in_a_row = 0
            self.by_job.clear()
            self.experiments.clear()


@dataclass(slots=True)
class _SameRefusals:
    """Requests in a row that were refused with the same message. Every proof clears it."""

    words: tuple[str | None, str] = ("", "")
    count: int = 0

    def add(self, reply: Reply) -> None:
        words = (reply.code, reply.message)
        self.count = self.count + 1 if words == self.words else 1
        self.words = words


@dataclass(slots=True)
class _Credentials:
    """Refused credentials: one refusal counts for each renewal. Every proof clears the count.

    A 401 to an attempt that was sent before the renewal ended says nothing about the new credentials.
    """

    refusals: int = 0
    is_renewing: bool = False
    renewed_at: float = -inf

    def weigh(self, reply: Reply, sent_at: float) -> Halt | Requeue:
        if self.is_renewing or sent_at < self.renewed_at:
            return _REQUEUE
        self.refusals += 1
        if self.refusals >= MAX_REFUSALS:
            return credentials_halt(reply)
        self.is_renewing = True
        return _RENEW


@dataclass(slots=True)
class _Faults:
    """Attempts that ended without an answer, before the first answer. Nothing clears it."""

    count: int = 0
    unsent: int = 0

    def add(self, fault: Fault) -> bool:
        """Count a fault; return whether there are enough to halt."""
        self.count += 1
        self.unsent += fault.sent_nothing
        return self.unsent >= MAX_REFUSALS or self.count >= MAX_FAULTS


class SettingEvidence:
    """Counts the replies that a wrong setting causes. `wait_for_service`: a service that never answered is waited for.

    Attributes:
        proven: whether address and credentials are right.
        has_answered: whether the service ever answered.
        wants_probe: whether a probe would make the evidence clear.
    """

    def __init__(self, *, wait_for_service: bool) -> None:
        self.proven = False
        self.has_answered = False
        self.wants_probe = False
        self._wait_for_service = wait_for_service
        self._has_created = False
        self._probe = _Probe.NOT_SENT
        self._denials = _Denials()
        self._look_up_denials = _Denials()
        self._refusals = _SameRefusals()
        self._credentials = _Credentials()
        self._faults = _Faults()

    def renewal_ended(self, now: float) -> None:
        """Record that the renewal which a Requeue requested has ended, with or without new credentials."""
        self._credentials.is_renewing = False
        self._credentials.renewed_at = now

    def is_outage(self, reply: Reply) -> bool:
        """Whether this failure means that the service is down.

        A service that never answered can't be down, unless it is waited for. A refused TLS certificate always means a
        wrong setting.
        """
        return self.has_answered or (self._wait_for_service and reply.fault is not Fault.TLS)

    def weigh_probe(self, reply: Reply) -> None:
        """Record the reply to a probe, or the answer to a look-up."""
        self.has_answered = self.has_answered or reply.status is not None
        self.wants_probe = False
        if _is_success(reply):
            self._prove()
        elif reply.status is not None and reply.status < 500 and reply.status != 429 and reply.code is not None:
            self._probe = _Probe.DENIED

    def weigh(
        self,
        job: Job,
        classification: Classification,
        reply: Reply,
        *,
        sent_at: float,
        seconds: float,
        is_look_up: bool = False,
    ) -> Weight:
        """Weigh the reply to an attempt or a look-up; `seconds` have passed since the first one of the batch."""
        self.has_answered = self.has_answered or reply.status is not None
        match classification.kind:
            case ReplyKind.SUCCEEDED:
                self._has_created = True
                self._prove()
            case ReplyKind.UNAUTHENTICATED:
                return self._credentials.weigh(reply, sent_at)
            case ReplyKind.DENIED:
                return self._weigh_denial(job, reply, is_look_up=is_look_up)
            case ReplyKind.REFUSED:
                return self._weigh_refusal(reply)
            case ReplyKind.TRANSIENT:
                return self._weigh_transient(job, reply, seconds)
        return None

    def _prove(self) -> None:
        """Record a success: it proves address and credentials, and the right to create if a run was created."""
        self.proven, self.wants_probe = True, False
        self._credentials.refusals = self._refusals.count = 0
        self._probe = _Probe.NOT_SENT if self._has_created else _Probe.GRANTED
        self._look_up_denials.clear()
        if self._has_created:
            self._denials.clear()

    def _weigh_denial(self, job: Job, reply: Reply, *, is_look_up: bool) -> Weight:
        if _names_the_experiment(reply):
            return None
        denials = self._look_up_denials if is_look_up else self._denials
        if self.proven and (is_look_up or self._has_created):
            denials.in_a_row += 1
            if reply.code is not None and denials.in_a_row < MANY_REFUSALS:
                return None
            if denials.in_a_row < MAX_REFUSALS:
                return _REQUEUE  # without a code, the service has not looked at the record
            self.proven, self._probe = False, _Probe.NOT_SENT
        return self._suspect(denials, job, reply)

    def _suspect(self, denials: _Denials, job: Job, reply: Reply) -> Weight:
        """Count a reply against the setting, unless a probe was granted and only this job is denied repeatedly."""
        denials.suspect(job)
        is_granted = self._probe is _Probe.GRANTED
        many_experiments = len(denials.experiments) >= MAX_REFUSALS and not is_granted
        is_clear = reply.code is None or self._probe is _Probe.DENIED or many_experiments
        if denials.by_job.total() >= (MAX_REFUSALS if is_clear else MANY_REFUSALS):
            return refused_halt(reply)
        if is_granted and denials.by_job[job.key] >= MAX_REFUSALS:
            return None
        self._probe_once()
        return _REQUEUE

    def _weigh_refusal(self, reply: Reply) -> Weight:
        """Weigh a 400: several with the same message may concern the address, if the probe is denied too."""
        if self.proven:
            return None
        self._refusals.add(reply)
        if self._refusals.count < MAX_REFUSALS:
            return None
        if self._probe is _Probe.DENIED:
            return refused_halt(reply)
        return _REQUEUE if self._probe_once() else None

    def _probe_once(self) -> bool:
        """Request a probe, if there was none since the last proof; return whether there was none."""
        is_first = self._probe is _Probe.NOT_SENT
        if is_first:
            self._probe, self.wants_probe = _Probe.SENT, True
        return is_first

    def _weigh_transient(self, job: Job, reply: Reply, seconds: float) -> Weight:
        if reply.fault is not None:
            return self._weigh_fault(reply.fault, reply, seconds)
        if _is_success(reply) and not self.proven:
            return self._suspect(
                self._denials, job, reply
            )  # a page where a run is expected: a captive portal, a sign-in page
        return None

    def _weigh_fault(self, fault: Fault, reply: Reply, seconds: float) -> Weight:
        if fault is Fault.LOST or self.is_outage(reply):
            return None
        is_enough = self._faults.add(fault)
        return unreached_halt(reply) if is_enough or seconds >= LONGEST_UNANSWERED else None


def _is_success(reply: Reply) -> bool:
    return reply.status is not None and reply.status // 100 == 2


def _names_the_experiment(reply: Reply) -> bool:
    return reply.status == 404 and reply.code is not None and "experiment" in reply.message.lower()
