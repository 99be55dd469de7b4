"""Answers that a proxy in between spoils: they violate HTTP, they are its own pages, or they come from its cache."""

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt, malformed_halt
from ingestor.policy.decisions import Distrust
from ingestor.policy.run_ids import RecentRunIds
from ingestor.policy.tallies import Row


class SpoiledAnswers:
    """Counts them. `many`: of so many different records, without a success in between, they are no coincidence."""

    def __init__(self, many: int) -> None:
        self._many = many
        self._malformed = Row(many)
        self._pages = Row(many)
        self._spoils_probes = False
        self._run_ids = RecentRunIds()
        self._repeated = 0

    def probed(self, reply: Reply) -> None:
        """Record the reply to a probe."""
        self._spoils_probes = reply.fault is Fault.MALFORMED

    def succeeded(self, job: Job, reply: Reply) -> Distrust | None:
        """Record an answer that names its run, or that of a step; Distrust: the run is that of another record."""
        if reply.run_id is not None and self._run_ids.is_repeated(reply.run_id, job.token):
            self._repeated += 1
            return Distrust(reply.run_id, halts=self._repeated >= self._many)
        self._malformed.clear()
        self._pages.clear()
        return None

    def malformed(self, job: Job, reply: Reply) -> Halt | bool:
        """Record an answer that violates HTTP.

        Returns a Halt if answers to many records do, or if probes get such answers too; else whether it is the first.
        """
        self._malformed.add(job)
        is_every_answer = len(self._malformed.jobs) >= self._many or self._spoils_probes
        if self._malformed.count >= self._many and is_every_answer:
            return malformed_halt(reply)
        return self._malformed.count == 1

    @property
    def spoils_probes(self) -> bool:
        """Whether the last probe got a malformed answer."""
        return self._spoils_probes

    def page(self, job: Job) -> int:
        """Record a page where a run is expected; return how many there were if many records got one, else 0."""
        self._pages.add(job)
        return self._pages.count if len(self._pages.jobs) >= self._many else 0
