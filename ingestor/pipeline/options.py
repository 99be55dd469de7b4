"""How a batch is worked."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ingestor.policy.lookup import LOOKUP_DELAY
from ingestor.policy.retry import Recovery, RetryBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """How a batch is worked.

    Attributes:
        concurrency: the most attempts in flight, at least 1.
        stamped: whether new runs carry the tag `ingestor.token`.
        drain_timeout: seconds that attempts in flight get to end after a stop.
        give_up_after: seconds after which a service that is down is not waited for any longer.
        wait_for_service: whether a service that was never reached is waited for as well.
        budget: what one request of a job may cost.
        idempotent: whether the service honours retry tokens.
        crash_quiescence: seconds after which the service has ended what a dead process sent (see `policy.lookup`).
        uniform: the random source of backoffs.
    """

    concurrency: int
    stamped: bool
    drain_timeout: float
    give_up_after: float
    wait_for_service: bool = False
    budget: RetryBudget = field(default_factory=RetryBudget)
    idempotent: bool = True
    crash_quiescence: float = LOOKUP_DELAY
    uniform: Callable[[float, float], float] = random.SystemRandom().uniform

    def recovery(self, *, stamped: bool) -> Recovery:
        """Return what can be done about a create that may have been carried out, with or without a stamp."""
        if self.idempotent:
            return Recovery.TOKEN
        return Recovery.LOOKUP if stamped else Recovery.NONE
