"""Evidence that a setting is wrong for every record, as opposed to a record that is wrong.

A wrong address, a missing right or a bad credential causes the same replies as a bad record. Until something proves
that the setting is right, such a reply counts as evidence that it is wrong. There are these proofs:

- A request of a job that succeeds proves the address, the credentials, and the right to create runs. A run that an
  earlier execution created on the same target (`has_created`) proves that the target exists and that runs could be
  created. It does not prove the credentials of today.
- A probe or a look-up that succeeds proves the address and the credentials: a policy may allow to read and not to
  create.

Many denials in a row (403, 404) cancel the proof: rights and workspaces can be lost in the middle of a batch.
`policy.denials` has the table of what they mean.
"""

from collections.abc import Collection
from math import inf

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Access, credentials_halt, unreached_halt
from ingestor.policy.decisions import CONTINUE, MISSING, REQUEUE, REQUEUE_DELAY, HealthDecision, Requeue
from ingestor.policy.denials import DenialEvidence
from ingestor.policy.proof import ProbeState, Proof
from ingestor.policy.retry import Classification, ReplyKind
from ingestor.policy.run_ids import RecentRunIds
from ingestor.policy.spoiled_answers import SpoiledAnswers
from ingestor.policy.tallies import MAX_REFUSALS, CredentialRefusals, Faults, Row, SameRefusals, is_quota

MAX_FAULTS = 2 * MAX_REFUSALS
"""How many attempts may end without an answer before the first answer."""

LONGEST_UNANSWERED = 25.0
"""Seconds after the first request in which a service must answer something."""

_RENEW = Requeue(REQUEUE_DELAY, renew_credentials=True)
_OUTAGE = Requeue(REQUEUE_DELAY, is_outage=True)


class SettingEvidence:
    """Counts the replies that a wrong setting causes.

    Args:
        wait_for_service: a service that never answered is waited for.
        has_created: an earlier execution has created runs on this very target.
        access: what advice is about.
        run_ids: the runs that an answer is compared with.

    Attributes:
        has_answered: whether the service ever answered.
    """

    def __init__(self, *, wait_for_service: bool, has_created: bool, access: Access, run_ids: RecentRunIds) -> None:
        self.has_answered = False
        self._wait_for_service = wait_for_service
        self._access = access
        self._proof = Proof(has_created=has_created)
        self._spoiled = SpoiledAnswers(MAX_REFUSALS, run_ids)
        self._denials = DenialEvidence(self._proof, self._spoiled, access)
        self._refusals = SameRefusals()
        self._quotas = Row(MAX_REFUSALS)
        self._credentials = CredentialRefusals()
        self._faults = Faults()

    @property
    def proven(self) -> bool:
        """Whether address and credentials are right."""
        return self._proof.holds

    @property
    def probe_at(self) -> float:
        """When a probe is due that would make the evidence clear; infinity if none is needed."""
        return self._proof.probe_at

    @property
    def wants_list(self) -> bool:
        """Whether the list of the service's experiments would make the evidence clear."""
        return self._denials.experiments.is_wanted

    def renewal_ended(self, now: float) -> None:
        """Record that the renewal which a Requeue requested has ended, with or without new credentials."""
        self._credentials.renewed(now)

    def is_outage(self, reply: Reply) -> bool:
        """Whether this failure means that the service is down.

        A service that never answered can't be down, unless it is waited for. A refused TLS certificate always means a
        wrong setting.
        """
        return self.has_answered or (self._wait_for_service and reply.fault is not Fault.TLS)

    def weigh_probe(self, reply: Reply, now: float) -> None:
        """Record the reply to a probe."""
        self.has_answered = self.has_answered or is_answer(reply)
        self._spoiled.probed(reply)
        if self._proof.probed(reply, now):
            self._credentials.refusals = self._refusals.count = 0
            self._denials.granted()

    def weigh_look_up(self) -> None:
        """Record the answer to a look-up: it proves what a granted probe proves."""
        self.has_answered = True
        self._spoiled.look_up_answered()
        self._proof.give()
        self._credentials.refusals = self._refusals.count = 0
        self._denials.look_up_answered()

    def weigh_list(self, experiments: Collection[str] | None) -> None:
        """Record the list of the service's experiments; None: it can't be read."""
        self._denials.experiments.read(experiments)

    def weigh(
        self,
        job: Job,
        classification: Classification,
        reply: Reply,
        *,
        sent_at: float,
        seconds: float,
        is_look_up: bool = False,
        failed_before: bool = False,
    ) -> HealthDecision:
        """Weigh the reply to an attempt or a look-up; `seconds` have passed since the first one of the batch."""
        self.has_answered = self.has_answered or is_answer(reply)
        match classification.kind:
            case ReplyKind.SUCCEEDED:
                return self._weigh_success(job, reply, sent_at)
            case ReplyKind.UNAUTHENTICATED:
                return self._weigh_credentials(reply, sent_at)
            case ReplyKind.DENIED:
                return self._weigh_denial(job, reply, is_look_up=is_look_up, failed_before=failed_before)
            case ReplyKind.REFUSED:
                return self._weigh_refusal(job, reply)
            case ReplyKind.TRANSIENT:
                return self._weigh_transient(job, reply, seconds)
        return CONTINUE

    def _weigh_success(self, job: Job, reply: Reply, sent_at: float) -> HealthDecision:
        if (distrust := self._spoiled.succeeded(job, reply)) is not None:
            return distrust
        self._quotas.clear()
        self._proof.created(sent_at)
        self._credentials.refusals = self._refusals.count = 0
        self._denials.created()
        return CONTINUE

    def _weigh_credentials(self, reply: Reply, sent_at: float) -> HealthDecision:
        if not self._credentials.count(sent_at):
            return REQUEUE
        return credentials_halt(reply, self._access) if self._credentials.refusals >= MAX_REFUSALS else _RENEW

    def _weigh_denial(self, job: Job, reply: Reply, *, is_look_up: bool, failed_before: bool) -> HealthDecision:
        if _names_the_experiment(reply):
            return MISSING
        if is_quota(reply):
            return self._weigh_quota(job)
        return self._denials.weigh(job, reply, is_look_up=is_look_up, failed_before=failed_before)

    def _weigh_refusal(self, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a 400: several with the same message may concern the address, if the probe is denied too."""
        if is_quota(reply):
            return self._weigh_quota(job)
        if self._proof.holds:
            return CONTINUE
        self._refusals.add(reply)
        if self._refusals.count < MAX_REFUSALS:
            return CONTINUE
        if self._proof.probe is ProbeState.DENIED and not self._proof.has_created:
            return self._denials.halt(reply)
        return REQUEUE if self._proof.ask_once() else CONTINUE

    def _weigh_quota(self, job: Job) -> HealthDecision:
        """Weigh a limit that is used up: if many records meet it in a row, it is no record's fault."""
        self._quotas.add(job)
        return _OUTAGE if len(self._quotas.jobs) >= MAX_REFUSALS else CONTINUE

    def _weigh_transient(self, job: Job, reply: Reply, seconds: float) -> HealthDecision:
        if reply.fault is Fault.MALFORMED:
            return self._weigh_malformed(job, reply)
        if reply.fault is not None:
            return self._weigh_fault(reply.fault, reply, seconds)
        return self._denials.weigh_page(job, reply) if reply.is_success else CONTINUE

    def _weigh_malformed(self, job: Job, reply: Reply) -> HealthDecision:
        """Weigh an answer that violates HTTP; a probe shows whether all do."""
        if (halt := self._spoiled.malformed(job, reply)) is not None:
            return halt
        if self._spoiled.is_first_malformed:
            self._proof.request_probe()
        return REQUEUE if self.probe_at < inf or self._spoiled.spoils_probes else CONTINUE

    def _weigh_fault(self, fault: Fault, reply: Reply, seconds: float) -> HealthDecision:
        if fault is Fault.LOST or self.is_outage(reply):
            return CONTINUE
        faults = self._faults
        faults.add(fault)
        is_enough = faults.unsent >= MAX_REFUSALS or faults.count >= MAX_FAULTS or seconds >= LONGEST_UNANSWERED
        return unreached_halt(reply, self._access) if is_enough else CONTINUE


def is_answer(reply: Reply) -> bool:
    """Whether the service answered at all, or a proxy in between did."""
    return reply.status is not None or reply.fault is Fault.MALFORMED


def is_failure(reply: Reply) -> bool:
    """Whether this reply means that the service is down: no answer, or a 5xx other than 501."""
    if reply.status is None:
        return not is_answer(reply) and not is_local(reply)
    return reply.status // 100 == 5 and reply.status != 501


def is_local(reply: Reply) -> bool:
    """Whether the missing answer has a local cause, which says nothing about the service."""
    return reply.fault in {Fault.UNSIGNED, Fault.LOST}


def _names_the_experiment(reply: Reply) -> bool:
    return reply.status == 404 and reply.code is not None and "experiment" in reply.message.lower()
