"""Evidence that a setting is wrong for every record, as opposed to a record that is wrong.

A wrong address, a missing right or a bad credential causes the same replies as a bad record. Until something proves
that the setting is right, such a reply counts as evidence that it is wrong. There are these proofs:

- A request of a job that succeeds proves the address, the credentials, and the right to create runs. A run that an
  earlier execution created on the same target (`has_created`) proves that the target exists and that runs could be
  created. It does not prove the credentials of today.
- A probe or a look-up that succeeds proves the address and the credentials: a policy may allow to read and not to
  create.

Many denials in a row (403, 404) cancel the proof: rights and workspaces can be lost in the middle of a batch. What
denials mean depends on what is known:

| runs were created | the probe is | the batch halts after               | a record that is denied five times |
|-------------------|--------------|-------------------------------------|------------------------------------|
| yes               | granted      | no denials: they concern records    | is failed, even at once            |
| yes               | denied       | denials of five records             | is failed                          |
| yes               | unclear      | denials of twenty records           | is failed                          |
| no                | granted      | denials of five records (see below) | is failed                          |
| no                | denied       | five denials, also of one record    | halts the batch                    |
| no                | unclear      | twenty, or of five experiments      | counts each time                   |

A denial without an error code is clear in every case: it does not come from the API.

In the fourth case the right to create may be missing, or the experiments of the records. The list of experiments
decides: a denied record whose experiment is not in it is failed at once, and does not count. If the list can't be read,
twenty denials of at least five records halt the batch: a missing right would fail every record.
"""

from collections.abc import Collection

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Presence, Reply
from ingestor.policy.advice import Access, Halt, credentials_halt, refused_halt, unreached_halt
from ingestor.policy.decisions import Distrust, Requeue
from ingestor.policy.proxies import SpoiledAnswers
from ingestor.policy.retry import Classification, ReplyKind
from ingestor.policy.tallies import Credentials, Denials, Faults, ProbeState, Row, SameRefusals, is_quota

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

Weight = Halt | Requeue | Distrust | None
"""What a reply means as evidence; None: it concerns its record only."""

_REQUEUE = Requeue(REQUEUE_DELAY)
_RENEW = Requeue(REQUEUE_DELAY, renew_credentials=True)
_OUTAGE = Requeue(REQUEUE_DELAY, is_outage=True)


class SettingEvidence:
    """Counts the replies that a wrong setting causes.

    Args:
        wait_for_service: a service that never answered is waited for.
        has_created: an earlier execution has created runs on this very target.
        access: what advice is about.

    Attributes:
        proven: whether address and credentials are right.
        has_answered: whether the service ever answered.
        wants_probe: whether a probe would make the evidence clear.
        wants_list: whether the list of the service's experiments would make the evidence clear.
    """

    def __init__(self, *, wait_for_service: bool, has_created: bool = False, access: Access | None = None) -> None:
        self.proven = False
        self.has_answered = False
        self.wants_probe = False
        self.wants_list = False
        self._wait_for_service = wait_for_service
        self._has_created = has_created
        self._access = access or Access()
        self._probe = ProbeState.NOT_SENT
        self._experiments: Collection[str] | None = None
        self._has_list = False
        self._denials = Denials()
        self._look_up_denials = Denials()
        self._refusals = SameRefusals()
        self._quotas = Row(MAX_REFUSALS)
        self._spoiled = SpoiledAnswers(MAX_REFUSALS)
        self._credentials = Credentials()
        self._faults = Faults()

    def renewal_ended(self, now: float) -> None:
        """Record that the renewal which a Requeue requested has ended, with or without new credentials."""
        self._credentials.renewed(now)

    def is_outage(self, reply: Reply) -> bool:
        """Whether this failure means that the service is down.

        A service that never answered can't be down, unless it is waited for. A refused TLS certificate always means a
        wrong setting.
        """
        return self.has_answered or (self._wait_for_service and reply.fault is not Fault.TLS)

    def weigh_probe(self, reply: Reply) -> None:
        """Record the reply to a probe, or the answer to a look-up."""
        self.has_answered = self.has_answered or is_answer(reply)
        self.wants_probe = False
        self._spoiled.probed(reply)
        if _is_success(reply):
            self._prove()
        elif reply.status is not None and reply.status < 500 and reply.status != 429 and reply.code is not None:
            self._probe = ProbeState.DENIED

    def weigh_list(self, experiments: Collection[str] | None) -> None:
        """Record the list of the service's experiments; None: it can't be read."""
        self.wants_list, self._has_list, self._experiments = False, True, experiments

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
        self.has_answered = self.has_answered or is_answer(reply)
        match classification.kind:
            case ReplyKind.SUCCEEDED:
                return self._weigh_success(job, reply)
            case ReplyKind.UNAUTHENTICATED:
                return self._weigh_credentials(reply, sent_at)
            case ReplyKind.DENIED:
                return self._weigh_denial(job, reply, is_look_up=is_look_up)
            case ReplyKind.REFUSED:
                return self._weigh_refusal(job, reply)
            case ReplyKind.TRANSIENT:
                return self._weigh_transient(job, reply, seconds)
        return None

    def _weigh_success(self, job: Job, reply: Reply) -> Weight:
        if (distrust := self._spoiled.succeeded(job, reply)) is not None:
            return distrust
        self._has_created = True
        self._quotas.clear()
        self._prove()
        return None

    def _prove(self) -> None:
        """Record a success: it proves address and credentials, and the right to create if a run was created."""
        self.proven, self.wants_probe = True, False
        self._credentials.refusals = self._refusals.count = 0
        self._probe = ProbeState.NOT_SENT if self._has_created else ProbeState.GRANTED
        self._look_up_denials.clear()
        if self._has_created:
            self._denials.clear()
            self.wants_list, self._has_list, self._experiments = False, False, None

    def _weigh_credentials(self, reply: Reply, sent_at: float) -> Weight:
        if not self._credentials.count(sent_at):
            return _REQUEUE
        return credentials_halt(reply, self._access) if self._credentials.refusals >= MAX_REFUSALS else _RENEW

    def _weigh_denial(self, job: Job, reply: Reply, *, is_look_up: bool) -> Weight:
        if _names_the_experiment(reply):
            return None
        if is_quota(reply):
            return self._weigh_quota(job)
        denials = self._look_up_denials if is_look_up else self._denials
        is_known = self._has_created or (is_look_up and self.proven)
        if self.proven and is_known:
            denials.in_a_row += 1
            if reply.code is not None and denials.in_a_row < MANY_REFUSALS:
                return None
            if denials.in_a_row < MAX_REFUSALS:
                return _REQUEUE  # without a code, the service has not looked at the record
            self.proven, self._probe = False, ProbeState.NOT_SENT
        if self._probe is ProbeState.GRANTED and not is_known and reply.code is not None:
            return self._suspect_right(denials, job, reply)
        return self._suspect(denials, job, reply, is_known=is_known)

    def _suspect_right(self, denials: Denials, job: Job, reply: Reply) -> Weight:
        """Weigh a denial while the right to create is not known: is it the right, or the record's experiment?"""
        presence = self._presence(job.experiment_id)
        if presence is None:
            return _REQUEUE
        if presence is Presence.ABSENT:
            denials.acquit(job)
            return None
        denials.suspect(job)
        is_clear = presence is Presence.FOUND or denials.by_job.total() >= MANY_REFUSALS
        if is_clear and len(denials.by_job) >= MAX_REFUSALS:
            return refused_halt(reply, self._access)
        return None if denials.by_job[job.key] >= MAX_REFUSALS else _REQUEUE

    def _presence(self, experiment_id: str | None) -> Presence | None:
        """Return whether the service lists an experiment; None if the list is not known yet. Requests it then."""
        if not experiment_id:
            return Presence.FOUND  # the default experiment
        if not self._has_list:
            self.wants_list = True
            return None
        if self._experiments is None:
            return Presence.UNDECIDED
        return Presence.FOUND if experiment_id in self._experiments else Presence.ABSENT

    def _suspect(self, denials: Denials, job: Job, reply: Reply, *, is_known: bool) -> Weight:
        """Count a reply against the setting. On a target that is known to be right, one record alone never counts."""
        denials.suspect(job)
        is_granted = self._probe is ProbeState.GRANTED
        many_experiments = len(denials.experiments) >= MAX_REFUSALS and not is_granted and not is_known
        is_clear = reply.code is None or self._probe is ProbeState.DENIED or many_experiments
        trusts_target = is_known or is_granted
        count = len(denials.by_job) if trusts_target else denials.by_job.total()
        if count >= (MAX_REFUSALS if is_clear else MANY_REFUSALS):
            return refused_halt(reply, self._access)
        if trusts_target and denials.by_job[job.key] >= MAX_REFUSALS:
            return None
        self._probe_once()
        return _REQUEUE

    def _weigh_refusal(self, job: Job, reply: Reply) -> Weight:
        """Weigh a 400: several with the same message may concern the address, if the probe is denied too."""
        if is_quota(reply):
            return self._weigh_quota(job)
        if self.proven:
            return None
        self._refusals.add(reply)
        if self._refusals.count < MAX_REFUSALS:
            return None
        if self._probe is ProbeState.DENIED and not self._has_created:
            return refused_halt(reply, self._access)
        return _REQUEUE if self._probe_once() else None

    def _weigh_quota(self, job: Job) -> Weight:
        """Weigh a limit that is used up: if many records meet it in a row, it is no record's fault."""
        self._quotas.add(job)
        return _OUTAGE if len(self._quotas.jobs) >= MAX_REFUSALS else None

    def _probe_once(self) -> bool:
        """Request a probe, if there was none since the last proof; return whether there was none."""
        is_first = self._probe is ProbeState.NOT_SENT
        if is_first:
            self._probe, self.wants_probe = ProbeState.SENT, True
        return is_first

    def _weigh_transient(self, job: Job, reply: Reply, seconds: float) -> Weight:
        if reply.fault is Fault.MALFORMED:
            return self._weigh_malformed(job, reply)
        if reply.fault is not None:
            return self._weigh_fault(reply.fault, reply, seconds)
        return self._weigh_page(job, reply) if _is_success(reply) else None

    def _weigh_page(self, job: Job, reply: Reply) -> Weight:
        """Weigh a page where a run is expected: a captive portal, a sign-in page."""
        count = self._spoiled.page(job)
        if not self.proven:
            return self._suspect(self._denials, job, reply, is_known=self._has_created)
        if count >= MANY_REFUSALS:
            return refused_halt(reply, self._access)
        return _REQUEUE if count else None

    def _weigh_malformed(self, job: Job, reply: Reply) -> Weight:
        """Weigh an answer that violates HTTP; a probe shows whether all do."""
        weight = self._spoiled.malformed(job, reply)
        if isinstance(weight, Halt):
            return weight
        self.wants_probe = self.wants_probe or weight
        return _REQUEUE if self.wants_probe or self._spoiled.spoils_probes else None

    def _weigh_fault(self, fault: Fault, reply: Reply, seconds: float) -> Weight:
        if fault is Fault.LOST or self.is_outage(reply):
            return None
        faults = self._faults
        faults.add(fault)
        is_enough = faults.unsent >= MAX_REFUSALS or faults.count >= MAX_FAULTS or seconds >= LONGEST_UNANSWERED
        return unreached_halt(reply, self._access) if is_enough else None


def is_answer(reply: Reply) -> bool:
    """Whether the service answered at all, or a proxy in between did."""
    return reply.status is not None or reply.fault is Fault.MALFORMED


def _is_success(reply: Reply) -> bool:
    return reply.status is not None and reply.status // 100 == 2


def _names_the_experiment(reply: Reply) -> bool:
    return reply.status == 404 and reply.code is not None and "experiment" in reply.message.lower()
