"""How a batch is processed, and how that ended."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from ingestor.policy.advice import UNKNOWN, Access, Halt
from ingestor.policy.lookup import LOOKUP_DELAY
from ingestor.policy.reported import ReportedRejects
from ingestor.policy.retry import Recovery, RetryBudget

_LOOK_AHEAD = 16  # jobs for each slot


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """How a batch is processed.

    Attributes:
        concurrency: the most attempts that have a slot, at least 1.
        first_concurrency: how many have one at first; None for `concurrency`.
        most_outside: the most attempts that wait outside the slots, in addition.
        most_jobs: the most jobs in flight, if that is more than the look-ahead.
        timeout: seconds that one attempt may take.
        stamped: whether new runs carry the tag `ingestor.token`.
        drain_timeout: seconds that attempts in flight have to end after a stop.
        give_up_after: seconds without a success after which the batch ends, if the service is down or refuses every
            request.
        wait_for_service: whether a service that was never reached is waited for as well.
        budget: what one request of a job may cost.
        idempotent: whether the service honours retry tokens.
        crash_quiescence: seconds after which the service has ended the requests of a killed execution (see
            `policy.lookup`).
        access: what advice is about.
        uniform: the random source of backoffs.
    """

    concurrency: int
    first_concurrency: int | None = None
    most_outside: int = 0
    most_jobs: int = 0
    timeout: float = 60.0
    stamped: bool
    drain_timeout: float
    give_up_after: float
    wait_for_service: bool = False
    budget: RetryBudget = field(default_factory=RetryBudget)
    idempotent: bool = True
    crash_quiescence: float = LOOKUP_DELAY
    access: Access = UNKNOWN
    uniform: Callable[[float, float], float] = random.SystemRandom().uniform

    @property
    def look_ahead(self) -> int:
        """The most jobs that wait for their first attempt: slots stay busy while a large group is committed."""
        return _LOOK_AHEAD * (self.first_concurrency or self.concurrency)

    def recovery(self, *, stamped: bool) -> Recovery:
        """Return what is possible after a create that may have been carried out, with or without a stamp."""
        if self.idempotent:
            return Recovery.TOKEN
        return Recovery.LOOKUP if stamped else Recovery.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal knows when the work begins.

    Attributes:
        has_runs: whether earlier executions created runs of this target (platform and workspace), in any batch.
        recent_runs: the ids and retry tokens of the batch's last runs, see `policy.run_ids.RecentRunIds`.
        forgotten_rejects: the digests (`policy.identity.reject_digest`) of rejected records that the user gave up.
        repaired_rejects: those of them whose `job_id` has a complete run.
        reported_rejects: the rejected records that were reported, with their places; None: each one is reported.
    """

    has_runs: bool = False
    recent_runs: Sequence[tuple[str, str]] = ()
    forgotten_rejects: Collection[bytes] = frozenset()
    repaired_rejects: Collection[bytes] = frozenset()
    reported_rejects: ReportedRejects | None = None


NOTHING_KNOWN = Known()
"""What an empty journal knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """How the work ended.

    Attributes:
        halt: what is wrong for every record, if anything is.
        stopped: whether it was asked to end early, and something was left.
        left: records that were read and have no outcome yet.
        reason: why it ended early; None if it did not.
        exhausted: whether the input was read to its end.
        error: what the input raised, if that ended it. What was in flight is committed.
    """

    halt: Halt | None
    stopped: bool
    left: int
    reason: str | None = None
    exhausted: bool = False
    error: Exception | None = None
