"""The settings of a simulated service, and the faults that it injects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

from ingestor.model.errors import UsageError
from ingestor.simulator.limiter_spec import LimiterSpec

PLATFORM_ID = "ocid1.aidataplatform.oc1.simulated.example"
WORKSPACE_KEY = "simulated"
FAULT_MESSAGE = "An injected fault."


class InjectedFault(StrEnum):
    """One way in which an admitted request fails. A request has at most one fault."""

    ERROR_500 = "error_500"
    """500 InternalServerError; nothing was done."""
    ERROR_503 = "error_503"
    """503 ServiceUnavailable; nothing was done."""
    ERROR_409 = "error_409"
    """409 IncorrectState, which may be retried; nothing was done."""
    ERROR_429 = "error_429"
    """429 TooManyRequests; nothing was done."""
    HTML = "html"
    """A proxy's 502 with an HTML body; nothing was done."""
    RESET_BEFORE = "reset_before"
    """The connection is reset; nothing was done."""
    RESET_AFTER = "reset_after"
    """The request is carried out, then the connection is reset."""
    TRUNCATED = "truncated"
    """The request is carried out, and the connection closes in the middle of the response."""
    HTML_OK = "html_ok"
    """The request is carried out, and a proxy answers 200 with an HTML body."""
    SAME_RUN = "same_run"
    """The request is carried out, and a proxy answers with the run of the first create that had this fault."""
    MALFORMED = "malformed"
    """The request is carried out, and its answer has two lengths: it violates HTTP."""
    LARGE_HEADER = "large_header"
    """The request is carried out, and its answer has a header of 8,300 bytes."""
    MANY_HEADERS = "many_headers"
    """The request is carried out, and its answer has 200 more headers."""
    HANG = "hang"
    """The request is carried out, and no response ever comes."""
    SLOW = "slow"
    """The request is carried out, and the response comes late."""


SURVIVABLE = frozenset(InjectedFault) - {InjectedFault.SAME_RUN}
"""The faults after which every record still becomes one run, and is known to."""


class FaultSchedule:
    """Draws at most one fault a request, with one random number each: a seed repeats the whole schedule.

    The first `after` requests have none.
    """

    def __init__(self, chances: Mapping[InjectedFault, float], seed: int, after: int = 0) -> None:
        self._left = after
        self._chances = tuple((InjectedFault(name), chance) for name, chance in chances.items())
        self._random = Random(seed)  # noqa: S311 - a repeatable schedule is the point

    def draw(self) -> InjectedFault | None:
        """Return the fault of the next request; None for no fault."""
        if not self._chances:
            return None
        if self._left:
            self._left -= 1
            return None
        point = self._random.random()
        for fault, chance in self._chances:
            if point < chance:
                return fault
            point -= chance
        return None


class RetryAfter(StrEnum):
    """The form in which a 429 says how long to wait."""

    NONE = "none"
    SECONDS = "seconds"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """The settings of one simulator. Raises UsageError for an invalid value.

    Attributes:
        platform_id: the only AI Data Platform.
        workspace_key: the only workspace.
        experiments: the ids that exist; None: every non-empty id exists.
        missing_experiments: ids that do not exist, also if they are in `experiments`.
        forbidden: operations, such as `runs/create`, that the caller has no right to; the answer is a 404.
        vague_refusals: a 404 does not say what is missing, as with OCI.
        poison: experiment ids and run names whose create requests are always answered with 500.
        public_key_file: PEM file of the public key that signatures must match; None accepts every caller.
        key_id: the keyId that signatures must carry; required with `public_key_file`.
        bearer_token: the accepted bearer token. With `public_key_file`, a caller may use either.
        retry_tokens: whether retry tokens are honoured.
        token_life: seconds for which a retry token protects after its request was carried out (24 h by the API page).
        rate: requests a second; None is no limit. No response names it.
        burst: how many seconds' worth of unused rate may be spent at once.
        concurrency: how many requests may be in flight at once; None is no limit.
        limiter: another limiter of the service, after rate and concurrency; None is no other.
        retry_after: whether and in which form a 429 says how long to wait; a number is what every 429 says, in seconds.
        latency: seconds that every admitted request takes.
        jitter: the most seconds added to the latency, uniformly at random.
        slow: seconds added by the fault `slow`.
        slow_jitter: the most seconds that it adds to them, uniformly at random.
        faults: the probability of each fault, 0 to 1 and at most 1 in total.
        faults_after: how many requests have no fault at first.
        fault_message: what the answers of faults say.
        seed: of random faults, jitter and limiters; the same seed and order of requests repeat them.
        unavailable: whether the service answers every request with 503 at first.
    """

    platform_id: str = PLATFORM_ID
    workspace_key: str = WORKSPACE_KEY
    experiments: frozenset[str] | None = None
    missing_experiments: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    vague_refusals: bool = False
    poison: frozenset[str] = frozenset()
    public_key_file: Path | None = None
    key_id: str | None = None
    bearer_token: str | None = field(default=None, repr=False)
    retry_tokens: bool = True
    token_life: float = 24 * 3600.0
    rate: float | None = None
    burst: float = 1.0
    concurrency: int | None = None
    limiter: LimiterSpec | None = None
    retry_after: RetryAfter | int = RetryAfter.NONE
    latency: float = 0.0
    jitter: float = 0.0
    slow: float = 1.0
    slow_jitter: float = 0.0
    faults: Mapping[InjectedFault, float] = field(default_factory=dict)
    faults_after: int = 0
    fault_message: str = FAULT_MESSAGE
    seed: int = 0
    unavailable: bool = False

    def __post_init__(self) -> None:
        if (self.public_key_file is None) != (self.key_id is None):
            raise UsageError("To check signatures, the simulator needs both public_key_file and key_id.")
        if self.rate is not None and not self.rate > 0:
            raise UsageError(f"rate is {self.rate}: give a number above 0, or leave it out for no limit.")
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError(f"concurrency is {self.concurrency}: give 1 or more, or leave it out for no limit.")
        if isinstance(self.retry_after, int) and self.retry_after < 0:
            raise UsageError(f"retry_after is {self.retry_after}: give 0 seconds or more.")
        if self.faults_after < 0:
            raise UsageError(f"faults_after is {self.faults_after}: give 0 or more requests.")
        for name in ("token_life", "burst", "latency", "jitter", "slow", "slow_jitter"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}: give 0 seconds or more.")
        if any(not 0 <= chance <= 1 for chance in self.faults.values()) or sum(self.faults.values()) > 1:
            raise UsageError("faults: give each probability between 0 and 1, and at most 1 in total.")
