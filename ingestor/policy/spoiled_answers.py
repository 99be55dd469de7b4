"""Answers that a proxy in between spoils: they violate HTTP, they are its own pages, or they come from its cache."""

from collections import Counter

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt, malformed_halt
from ingestor.policy.decisions import Distrust
from ingestor.policy.run_ids import RecentRunIds
from ingestor.policy.tallies import Row


class SpoiledAnswers:
    """Counts them.

    Args:
        many: of so many different records, without a success in between, they are no coincidence.
        run_ids: the runs that an answer is compared with.

    Attributes:
        spoils_probes: whether the last probe got a malformed answer.
    """

    def __init__(self, many: int, run_ids: RecentRunIds) -> None:
        self._many = many
        self._malformed = Row(many)
        self._pages = Row(many)
        self._pages_of = Counter[str]()
        self.spoils_probes = False
        self._run_ids = run_ids
        self._repeated = 0

    def probed(self, reply: Reply) -> None:
        """Record the reply to a probe."""
        self.spoils_probes = reply.fault is Fault.MALFORMED

    def look_up_answered(self) -> None:
        """Record the answer to a look-up: not all answers are spoiled."""
        self.spoils_probes = False
        self._malformed.clear()
        self._pages.clear()

    def succeeded(self, job: Job, reply: Reply) -> Distrust | None:
        """Record an answer that names its run, or that of a step; Distrust: the run is that of another record."""
        if reply.run_id is not None and self._run_ids.is_repeated(reply.run_id, job.token):
            self._repeated += 1
            return Distrust(reply.run_id, halts=self._repeated >= self._many)
        self._malformed.clear()
        self._pages.clear()
        if self._pages_of:
            self._pages_of.pop(job.key, None)
        return None

    def malformed(self, job: Job, reply: Reply) -> Halt | None:
        """Record an answer that violates HTTP; a Halt if answers to many records do, or those to probes too."""
        self._malformed.add(job)
        is_every_answer = len(self._malformed.jobs) >= self._many or self.spoils_probes
        return malformed_halt(reply) if self._malformed.count >= self._many and is_every_answer else None

    @property
    def is_first_malformed(self) -> bool:
        """Whether only one answer was malformed since the last success."""
        return self._malformed.count == 1

    def page(self, job: Job) -> int:
        """Record a page where a run is expected; return how many there were if many records got one, else 0."""
        self._pages.add(job)
        self._pages_of[job.key] += 1
        return self._pages.count if len(self._pages.jobs) >= self._many else 0

    def pages_of(self, job: Job) -> int:
        """Return how many pages one job got; a success of other jobs changes nothing."""
        return self._pages_of[job.key]
