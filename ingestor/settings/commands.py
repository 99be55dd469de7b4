"""The options of `ingestor results` and `ingestor simulate`. They are flags only: no setting reaches them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ingestor.model.record import State
from ingestor.settings.options import Group, Option
from ingestor.settings.values import (
    Count,
    LocalPath,
    LoopbackHost,
    NotNegative,
    OneLine,
    PathSegment,
    Port,
    Positive,
    Share,
)
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, InjectedFault, RetryAfter, SimulatorOptions


class Format(StrEnum):
    """The form of the map from records to runs."""

    JSONL = "jsonl"
    CSV = "csv"


class ResultsOptions(BaseModel):
    """What is printed of the journal. `outcome` None: all."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Annotated[Format, Option(Group.RESULTS, "FORM")] = Format.JSONL
    """One JSON object a line, or a table with a header."""
    outcome: Annotated[State | None, Option(Group.RESULTS, "NAME", default="all")] = None
    """Print only the records with this outcome."""


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _pairs(value: object) -> object:
    """Split `name=value,name=value`. A name without a value gets an empty one, which is not a number."""
    if not isinstance(value, str):
        return value
    return {name: share for name, _, share in (pair.partition("=") for pair in value.split(","))}


Names = Annotated[frozenset[OneLine], BeforeValidator(_split)]
Shares = Annotated[Mapping[InjectedFault, Share], BeforeValidator(_pairs)]


class SimulateOptions(BaseModel):
    """The address of the simulator, and the behaviour of its service. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    host: Annotated[LoopbackHost, Option(Group.SERVER, "ADDRESS")] = "127.0.0.1"
    """The loopback address to listen on."""
    port: Annotated[Port, Option(Group.SERVER, "N")] = 8765
    """The port to listen on; 0 selects a free one."""
    platform_id: Annotated[PathSegment, Option(Group.SERVER, "OCID")] = PLATFORM_ID
    """The only AI Data Platform that exists."""
    workspace: Annotated[PathSegment, Option(Group.SERVER, "KEY")] = WORKSPACE_KEY
    """The only workspace that exists."""
    missing_experiments: Annotated[Names, Option(Group.SERVER, "ID,...", default="none")] = frozenset()
    """Experiments that do not exist. All others do."""
    public_key_file: Annotated[LocalPath | None, Option(Group.SERVER, "FILE", default="no check")] = None
    """A PEM file with the public key that signatures must match. It needs --key-id."""
    key_id: Annotated[OneLine | None, Option(Group.SERVER, "ID")] = None
    """The keyId that signatures must have: tenancy/user/fingerprint."""
    retry_tokens: Annotated[bool, Option(Group.SERVER)] = True
    """Honour retry tokens, as AIDP does and MLflow does not."""
    token_life: Annotated[NotNegative, Option(Group.SERVER, "SECONDS")] = 24 * 3600.0
    """How long a retry token protects."""

    limit: Annotated[Positive | None, Option(Group.LIMITS, "N", default="none")] = None
    """Requests a second that are accepted. The others get a 429. Clients do not know the limit."""
    burst: Annotated[NotNegative, Option(Group.LIMITS, "SECONDS")] = 1.0
    """How many unused requests may be sent at once, in seconds of the limit."""
    concurrency: Annotated[Count | None, Option(Group.LIMITS, "N", default="no limit")] = None
    """Requests that may be in flight at once. The others get a 429."""
    retry_after: Annotated[RetryAfter, Option(Group.LIMITS, "FORM")] = RetryAfter.NONE
    """The form in which a 429 says how long to wait."""

    latency: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 0.0
    """How long every request takes."""
    jitter: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 0.0
    """The most that is added to the latency, at random."""
    slow: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 1.0
    """What the fault slow adds to the latency."""
    faults: Annotated[Shares, Option(Group.FAULTS, "NAME=SHARE,...", default="none")] = Field(
        default_factory=dict[InjectedFault, float]
    )
    """The share of the requests, 0 to 1, that gets a fault. Nothing is created by error_500, error_503, error_409
    (answers with that status), html (the 502 of a proxy) and reset_before (the connection breaks). The run is created
    before reset_after (the connection breaks), truncated (it breaks in the answer), html_ok (the 200 of a proxy), hang
    (no answer) and slow (a late answer)."""
    poison: Annotated[Names, Option(Group.FAULTS, "NAME,...", default="none")] = frozenset()
    """Experiment ids and run names whose requests always get a 500."""
    seed: Annotated[int, Option(Group.FAULTS, "N")] = 0
    """The same seed and the same order of requests give the same faults."""

    def service(self) -> SimulatorOptions:
        """Return the options of the simulator. Raises UsageError if they do not fit together."""
        return SimulatorOptions(
            platform_id=self.platform_id,
            workspace_key=self.workspace,
            missing_experiments=self.missing_experiments,
            poison=self.poison,
            public_key_file=self.public_key_file,
            key_id=self.key_id,
            retry_tokens=self.retry_tokens,
            token_life=self.token_life,
            rate=self.limit,
            burst=self.burst,
            concurrency=self.concurrency,
            retry_after=self.retry_after,
            latency=self.latency,
            jitter=self.jitter,
            slow=self.slow,
            faults=self.faults,
            seed=self.seed,
        )
