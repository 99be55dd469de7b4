"""What denials mean (403, 404, an answer of no API): is the setting wrong, or are the records?

| target has runs | the probe is | denials                                                                        |
|-----------------|--------------|--------------------------------------------------------------------------------|
| yes             | not needed   | concern their records, until many come in a row: they cancel the proof         |
| yes             | granted      | of five records whose experiments exist halt the batch: see below              |
| yes             | denied       | halt the batch if those of many records do, and no run is created: see below   |
| yes             | unclear      | decide nothing: the records wait, and the probe is sent again                  |
| no              | granted      | of five records whose experiments exist halt the batch: see below              |
| no              | denied       | five halt the batch, also of one record                                        |
| no              | unclear      | twenty halt the batch, or those of five experiments                            |

The probe is not needed while this execution creates runs. While a probe is in flight, denials decide nothing. Denials
of look-ups need no list: a look-up needs no other right than a probe. A record that an earlier execution failed is
failed again by its first denial, and does not count, if the target has runs.

If the probe is granted, the right to create may be missing, or the experiments of the records. The list of experiments
decides: a denied record whose experiment is not in it is failed at once, and does not count. If the list can't be read,
denials on a target with runs concern their records. On one without, twenty denials of at least five records halt.

If the probe is denied on a target with runs, the right is lost, or this principal may create and never search. So the
batch waits for a run that is created, which clears the denials, and halts after the denials of MOST_SAMPLED records. If
no other record is left before that, five denied records halt the batch, and fewer are failed after five denials each.
Once a run was created after a denied probe, the search is known to be forbidden, and probes are no evidence: then
MOST_SAMPLED_BLINDLY denied records without a run in between halt the batch, and fewer are failed.

A denial without an error code does not come from the API, but from a proxy in between. On a target without runs, five
of them halt the batch, with any probe. On a target with runs, a single record fails with its sixth; if many records get
them and no run is created in between, they halt the batch, even if every probe is granted.
"""

from collections.abc import Collection

from ingestor.model.record import Job
from ingestor.model.reply import Presence, Reply
from ingestor.policy.advice import Access, Halt, refused_halt
from ingestor.policy.decisions import CONTINUE, MISSING, REQUEUE, REQUEUE_DELAY, HealthDecision, Requeue
from ingestor.policy.proof import ProbeState, Proof
from ingestor.policy.spoiled_answers import SpoiledAnswers
from ingestor.policy.tallies import MANY_REFUSALS, MAX_REFUSALS, Denials

MOST_SAMPLED = 5 * MANY_REFUSALS
"""How many records may be denied while probes are denied too and no run is created, on a target with runs."""

MOST_SAMPLED_BLINDLY = 16 * MANY_REFUSALS
"""The same, if this principal may create runs and may not search."""


class DenialEvidence:
    """Counts denials, and cancels the proof."""

    def __init__(self, proof: Proof, spoiled: SpoiledAnswers, access: Access) -> None:
        self._proof = proof
        self._spoiled = spoiled
        self._access = access
        self._of_creates = Denials()
        self._of_look_ups = Denials()
        self.experiments = ExperimentList()

    def created(self) -> None:
        """Record that a run was created."""
        self._of_creates.clear()
        self._of_look_ups.clear()
        if self.experiments.is_in_use:
            self.experiments = ExperimentList()

    def granted(self) -> None:
        """Record that a probe was granted: it says nothing about the right to create where no run was created."""
        self._of_look_ups.granted()
        self._clear_creates()

    def look_up_answered(self) -> None:
        """Record the answer to a look-up."""
        self._of_look_ups.clear()
        self._clear_creates()

    def _clear_creates(self) -> None:
        """Begin anew, unless the list of experiments decides: a right to search is no right to create."""
        if self._proof.has_created and not self.experiments.is_readable:
            self._of_creates.granted()

    def weigh(self, job: Job, reply: Reply, *, is_look_up: bool, failed_before: bool) -> HealthDecision:
        """Weigh a denial; `failed_before`: an earlier execution has failed this record."""
        proof, denials = self._proof, self._of_creates
        if is_look_up:
            return self._weigh_known(self._of_look_ups, job, reply)
        if reply.code is not None and proof.has_created and failed_before:
            return CONTINUE
        if reply.code is not None and proof.holds and not proof.may_create:
            return self._suspect_right(denials, job, reply)
        return (self._weigh_known if proof.has_created else self._suspect)(denials, job, reply)

    def weigh_page(self, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a page where a run is expected: a captive portal, a sign-in page."""
        count = self._spoiled.page(job)
        if not self._proof.holds:
            suspect = self._doubt if self._proof.has_created else self._suspect
            return suspect(self._of_creates, job, reply)
        if count >= MANY_REFUSALS:
            return self.halt(reply)
        return REQUEUE if count else CONTINUE

    def halt(self, reply: Reply) -> Halt:
        """Return the halt of a batch whose requests are all refused."""
        return refused_halt(reply, self._access, has_runs=self._proof.has_created)

    def _weigh_known(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a denial where runs exist, or of a look-up: only a probe can show that the setting is wrong."""
        if not self._proof.holds:
            return self._doubt(denials, job, reply)
        denials.in_a_row += 1
        if reply.code is None:
            return self._weigh_known_page(denials, job, reply)
        is_doubtful = denials.in_a_row >= denials.most_in_a_row
        return self._doubt(denials, job, reply) if is_doubtful else CONTINUE

    def _weigh_known_page(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a denial without a code, which says nothing about its record at first."""
        count = self._spoiled.page(job)
        if count >= MANY_REFUSALS:
            return self.halt(reply)
        if not count and self._spoiled.pages_of(job) > MAX_REFUSALS:
            return CONTINUE
        return self._doubt(denials, job, reply) if denials.in_a_row >= MAX_REFUSALS else REQUEUE

    def _doubt(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Cancel the proof, and let the job wait until a probe is answered. One record alone never halts the batch."""
        proof = self._proof
        proof.cancel()
        denials.suspect(job)
        is_create = denials is self._of_creates and reply.code is not None and proof.has_created
        if is_create and (proof.search_is_forbidden or proof.probe is ProbeState.DENIED):
            return self._sample(denials, job, reply)
        if proof.probe not in (ProbeState.DENIED, ProbeState.PAGE):
            proof.ask()
            return REQUEUE
        count = len(denials.by_job) if proof.has_created else denials.by_job.total()
        if count >= MAX_REFUSALS:
            return self.halt(reply)
        is_failed = proof.has_created and denials.by_job[job.key] >= MAX_REFUSALS
        return CONTINUE if is_failed else REQUEUE

    def _sample(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a denial while probes are denied too: other records are sent first, and may be created."""
        is_blind, count = self._proof.search_is_forbidden, len(denials.by_job)
        if count >= (MOST_SAMPLED_BLINDLY if is_blind else MOST_SAMPLED):
            return self.halt(reply)
        if count < MAX_REFUSALS:
            return CONTINUE if denials.by_job[job.key] >= MAX_REFUSALS else REQUEUE
        if denials.since_new < count:
            return Requeue(REQUEUE_DELAY * count)  # so that retries leave room for other records
        return CONTINUE if is_blind else self.halt(reply)

    def _suspect_right(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Weigh a denial while the right to create is not known: is it the right, or the record's experiment?"""
        presence = self.experiments.presence(job.experiment_id)
        if presence is None:
            return REQUEUE
        if presence is Presence.ABSENT:
            denials.acquit(job)
            return MISSING
        if presence is Presence.UNDECIDED and self._proof.has_created:
            return self._weigh_known(denials, job, reply)
        denials.suspect(job)
        is_clear = presence is Presence.FOUND or denials.by_job.total() >= MANY_REFUSALS
        if is_clear and len(denials.by_job) >= MAX_REFUSALS:
            return self.halt(reply)
        return CONTINUE if denials.by_job[job.key] >= MAX_REFUSALS else REQUEUE

    def _suspect(self, denials: Denials, job: Job, reply: Reply) -> HealthDecision:
        """Count a reply against the setting of a target without runs."""
        probe, has_code = self._proof.probe, reply.code is not None
        denials.suspect(job)
        if has_code and (probe is ProbeState.SENT or self._proof.ask_once()):
            return REQUEUE
        is_granted = probe is ProbeState.GRANTED
        many_experiments = len(denials.experiments) >= MAX_REFUSALS and not is_granted
        is_clear = not has_code or probe is ProbeState.DENIED or many_experiments
        count = len(denials.by_job) if is_granted else denials.by_job.total()
        if count >= (MAX_REFUSALS if is_clear else MANY_REFUSALS):
            return self.halt(reply)
        if is_granted and denials.by_job[job.key] >= MAX_REFUSALS:
            return CONTINUE
        self._proof.ask_once()
        return REQUEUE


class ExperimentList:
    """The list of the service's experiments, if it is needed and can be read.

    Attributes:
        is_wanted: whether it is needed, and was not read yet.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self._is_known = False
        self._ids: Collection[str] | None = None

    @property
    def is_readable(self) -> bool:
        """Whether it was read."""
        return self._ids is not None

    @property
    def is_in_use(self) -> bool:
        """Whether it was ever needed."""
        return self.is_wanted or self._is_known

    def read(self, ids: Collection[str] | None) -> None:
        """Record the list; None: it can't be read."""
        self.is_wanted, self._is_known, self._ids = False, True, ids

    def presence(self, experiment_id: str | None) -> Presence | None:
        """Return whether the service lists an experiment; None if the list is not known yet. Requests it then."""
        if not experiment_id:
            return Presence.FOUND  # the default experiment
        if not self._is_known:
            self.is_wanted = True
            return None
        if self._ids is None:
            return Presence.UNDECIDED
        return Presence.FOUND if experiment_id in self._ids else Presence.ABSENT
