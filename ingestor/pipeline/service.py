"""The service as the pipeline sees it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from ingestor.model.ports import Target
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.lookup import LOOKUP_DELAY
from ingestor.policy.retry import Recovery, RetryBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where attempts go, what paces them, and what they may cost.

    Attributes:
        target: takes attempts and questions.
        pacer: lets them go.
        budget: what one job may cost.
        idempotent: whether the service honours retry tokens.
        settling: seconds until it has surely ended what a process that is dead sent (see `policy.lookup`).
        uniform: the random source of back-offs.
    """

    target: Target
    pacer: Pacer
    budget: RetryBudget
    idempotent: bool
    settling: float = LOOKUP_DELAY
    uniform: Callable[[float, float], float] = random.SystemRandom().uniform

    def recovery(self, *, stamped: bool) -> Recovery:
        """Return what can be done about an attempt of unknown effect, whose run is or is not stamped."""
        if self.idempotent:
            return Recovery.TOKEN
        return Recovery.LOOKUP if stamped else Recovery.NONE
