"""What a simulated service is like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.simulator.faults import InjectedFault

PLATFORM_ID = "ocid1.aidataplatform.oc1.simulated.example"
WORKSPACE_KEY = "simulated"


class RetryAfter(StrEnum):
    """In which form a 429 says how long to wait."""

    NONE = "none"
    SECONDS = "seconds"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """The settings of one simulator. Raises UsageError for a value that makes no sense.

    Attributes:
        platform_id: the only AI Data Platform there is.
        workspace_key: the only workspace there is.
        experiments: the ids that exist; None where every id that is not empty does.
        missing_experiments: ids that do not exist all the same.
        poison: experiment ids and run names whose create requests are always answered with 500.
        public_key_file: PEM file of the public key that signatures must match; None accepts anyone.
        key_id: the keyId that signatures must carry; goes with `public_key_file`.
        bearer_token: the token that a bearer must show. With `public_key_file` too, either will do.
        retry_tokens: whether retry tokens are honoured.
        token_life: seconds a retry token protects, from the creation of its run (24 h by the API page).
        rate: requests a second; None is no limit. Nothing tells it to the client.
        burst: how many seconds' worth of unused rate may be spent at once.
        concurrency: how many requests may be in flight at once; None is no limit.
        retry_after: whether and how a 429 says when to come back.
        latency: seconds every request takes once it is let in.
        jitter: most seconds added to the latency, drawn evenly.
        slow: seconds added by the fault `slow`.
        faults: the probability of each fault, 0 to 1 and at most 1 in all.
        seed: what faults and jitter are drawn from: the same seed and order of requests repeat them.
        unavailable: whether every request is answered with 503 at first.
    """

    platform_id: str = PLATFORM_ID
    workspace_key: str = WORKSPACE_KEY
    experiments: frozenset[str] | None = None
    missing_experiments: frozenset[str] = frozenset()
    poison: frozenset[str] = frozenset()
    public_key_file: Path | None = None
    key_id: str | None = None
    bearer_token: str | None = field(default=None, repr=False)
    retry_tokens: bool = True
    token_life: float = 24 * 3600.0
    rate: float | None = None
    burst: float = 1.0
    concurrency: int | None = None
    retry_after: RetryAfter = RetryAfter.NONE
    latency: float = 0.0
    jitter: float = 0.0
    slow: float = 1.0
    faults: Mapping[InjectedFault, float] = field(default_factory=dict)
    seed: int = 0
    unavailable: bool = False

    def __post_init__(self) -> None:
        if (self.public_key_file is None) != (self.key_id is None):
            raise UsageError("To check signatures, the simulator needs both public_key_file and key_id.")
        if self.rate is not None and not self.rate > 0:
            raise UsageError(f"rate is {self.rate}: give a number above 0, or leave it out for no limit.")
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError(f"concurrency is {self.concurrency}: give 1 or more, or leave it out for no limit.")
        for name in ("token_life", "burst", "latency", "jitter", "slow"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}: give 0 seconds or more.")
        if any(not 0 <= chance <= 1 for chance in self.faults.values()) or sum(self.faults.values()) > 1:
            raise UsageError("faults: each probability lies between 0 and 1, and they add up to 1 at most.")
