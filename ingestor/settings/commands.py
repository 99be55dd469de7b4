"""The options of single commands. They are flags only: no setting reaches them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ingestor.model.errors import UsageError
from ingestor.model.record import Forgettable, State
from ingestor.settings.options import Group, Option
from ingestor.settings.values import (
    Count,
    LocalPath,
    LoopbackHost,
    Natural,
    NotEmpty,
    NotNegative,
    OneLine,
    PathSegment,
    Port,
    Positive,
    Share,
)
from ingestor.simulator.limiter_spec import LimiterSpec, parse_limiter
from ingestor.simulator.options import (
    FAULT_MESSAGE,
    PLATFORM_ID,
    WORKSPACE_KEY,
    InjectedFault,
    RetryAfter,
    SimulatorOptions,
)


class Format(StrEnum):
    """The form of the map from records to runs."""

    JSONL = "jsonl"
    CSV = "csv"


_MODEL = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class CheckOptions(BaseModel):
    """Whether `ingestor check` asks the service too."""

    model_config = _MODEL

    online: Annotated[bool, Option(Group.CHECK)] = False
    """Also ask the service whether it accepts the credentials, and whether the workspace and the experiments of the
    records exist. Nothing is created. It needs the options of the target."""


class StatusOptions(BaseModel):
    """Whether `ingestor status` is printed again and again."""

    model_config = _MODEL

    watch: Annotated[bool, Option(Group.RESULTS)] = False
    """Print the status again and again while another process works, until its run has ended, or until Ctrl-C."""


class DoctorOptions(BaseModel):
    """What `ingestor doctor` leaves out."""

    model_config = _MODEL

    offline: Annotated[bool, Option(Group.CHECK)] = False
    """Send nothing: leave out DNS, the connection, TLS, the clock, and what the service says."""


class ConfigOptions(BaseModel):
    """Whether `ingestor config` writes a settings file."""

    model_config = _MODEL

    init: Annotated[bool, Option(Group.INIT)] = False
    """Write a settings file that explains every option, to the new file that --config names (by default
    ingestor.toml; - is standard output). The options that are set are in it; all others are comments."""


_ELSEWHERE: Mapping[object, str] = MappingProxyType(
    {
        "rejected": "must not be rejected: those records are not in the journal, but in the file of rejected records "
        "(rejects.jsonl in the state directory, unless --rejects names another)",
        "duplicate": "must not be duplicate: those records are not in the journal, but in the log (run.duplicate)",
        "already_done": "must not be already_done: the journal has those records as created",
    }
)
"""Where records are whose outcome is not in the journal."""


def _in_journal(value: object) -> object:
    if isinstance(value, str) and value in _ELSEWHERE:
        raise ValueError(_ELSEWHERE[value])
    return value


class ResultsOptions(BaseModel):
    """What is printed of the journal. `outcome` None: all."""

    model_config = _MODEL

    format: Annotated[Format, Option(Group.RESULTS, "FORM")] = Format.JSONL
    """One JSON object a line, or a table with a header."""
    outcome: Annotated[State | None, BeforeValidator(_in_journal), Option(Group.RESULTS, "NAME", default="all")] = None
    """Print only the records with this outcome."""


class ForgetOptions(BaseModel):
    """Which records `ingestor forget` gives up."""

    model_config = _MODEL

    job_id: Annotated[tuple[NotEmpty, ...], Option(Group.FORGET, "ID")] = ()
    """A job, as `ingestor results` shows it. The option may be repeated."""
    outcome: Annotated[Forgettable | None, Option(Group.FORGET, "NAME")] = None
    """All records with this outcome. Rejected ones are those in the file of rejected records."""
    undo: Annotated[bool, Option(Group.FORGET)] = False
    """Take back what an earlier forget did: every record gets its former state."""


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _pairs(value: object) -> object:
    """Split `name=value,name=value`. A name without a value gets an empty one, which is not a number."""
    if not isinstance(value, str):
        return value
    return {name: share for name, _, share in (pair.partition("=") for pair in value.split(","))}


def _limiter(value: object) -> object:
    return parse_limiter(value) if isinstance(value, str) else value


def _retry_after(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.isdecimal():
        return int(value)
    try:
        return RetryAfter(value)
    except ValueError:
        raise ValueError("must be none, seconds, date or a whole number of seconds") from None


Names = Annotated[frozenset[OneLine], BeforeValidator(_split)]
Shares = Annotated[Mapping[InjectedFault, Share], BeforeValidator(_pairs)]


class SimulateOptions(BaseModel):
    """The address of the simulator, and the behaviour of its service. Times are seconds."""

    model_config = _MODEL

    host: Annotated[LoopbackHost, Option(Group.SERVER, "ADDRESS")] = "127.0.0.1"
    """The loopback address to listen on."""
    port: Annotated[Port, Option(Group.SERVER, "N")] = 8765
    """The port to listen on; 0 selects a free one."""
    platform_id: Annotated[PathSegment, Option(Group.SERVER, "OCID")] = PLATFORM_ID
    """The only AI Data Platform that exists."""
    workspace: Annotated[PathSegment, Option(Group.SERVER, "KEY")] = WORKSPACE_KEY
    """The only workspace that exists."""
    experiments: Annotated[Names | None, Option(Group.SERVER, "ID,...", default="all")] = None
    """Experiments that exist; the list of experiments has these. Without it, every experiment exists."""
    missing_experiments: Annotated[Names, Option(Group.SERVER, "ID,...", default="none")] = frozenset()
    """Experiments that do not exist."""
    forbidden: Annotated[Names, Option(Group.SERVER, "OPERATION,...", default="none")] = frozenset()
    """Operations that the caller has no right to, such as runs/create and experiments/search. The answer is a 404."""
    vague_refusals: Annotated[bool, Option(Group.SERVER)] = False
    """Answer every 404 with the same words, as OCI does: it does not say what is missing."""
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
    limiter: Annotated[LimiterSpec | None, BeforeValidator(_limiter), Option(Group.LIMITS, "SPEC", default="none")] = (
        None
    )
    """Another limiter, after --limit and --concurrency. Its kinds are listed below. + joins several."""
    retry_after: Annotated[RetryAfter | int, BeforeValidator(_retry_after), Option(Group.LIMITS, "FORM")] = (
        RetryAfter.NONE
    )
    """The form in which a 429 says how long to wait. A number is what each 429 says, in seconds."""

    latency: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 0.0
    """How long every request takes."""
    jitter: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 0.0
    """The most that is added to the latency, at random."""
    slow: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 1.0
    """What the fault slow adds to the latency."""
    slow_jitter: Annotated[NotNegative, Option(Group.FAULTS, "SECONDS")] = 0.0
    """The most that is added to --slow, at random."""
    faults: Annotated[Shares, Option(Group.FAULTS, "NAME=SHARE,...", default="none")] = Field(
        default_factory=dict[InjectedFault, float]
    )
    """The share of the requests, 0 to 1, that gets a fault. Nothing is created by error_500, error_503, error_409,
    error_429 (answers with that status), html (the 502 of a proxy) and reset_before (the connection breaks). The run
    is created before reset_after (the connection breaks), truncated (it breaks in the answer), html_ok (the 200 of a
    proxy), same_run (the answer of the first such request, as from a proxy that caches), malformed (an answer with two
    lengths), large_header (of 8,300 bytes), many_headers (200 of them), hang (no answer) and slow (a late answer)."""
    faults_after: Annotated[Natural, Option(Group.FAULTS, "N")] = 0
    """How many requests have no fault at first."""
    fault_message: Annotated[OneLine, Option(Group.FAULTS, "TEXT")] = FAULT_MESSAGE
    """What the answers error_500, error_503, error_409 and error_429 say."""
    poison: Annotated[Names, Option(Group.FAULTS, "NAME,...", default="none")] = frozenset()
    """Experiment ids and run names whose requests always get a 500."""
    seed: Annotated[int, Option(Group.FAULTS, "N")] = 0
    """The same seed and the same order of requests give the same faults, and the same refusals by a random limiter."""

    def service(self) -> SimulatorOptions:
        """Return the options of the simulator. Raises UsageError if they do not fit together."""
        if (self.public_key_file is None) != (self.key_id is None):
            raise UsageError("--public-key-file and --key-id: give both, or none")
        if sum(self.faults.values()) > 1:
            raise UsageError("--faults: the shares must be at most 1 in total")
        return SimulatorOptions(
            platform_id=self.platform_id,
            workspace_key=self.workspace,
            experiments=self.experiments,
            missing_experiments=self.missing_experiments,
            forbidden=self.forbidden,
            vague_refusals=self.vague_refusals,
            poison=self.poison,
            public_key_file=self.public_key_file,
            key_id=self.key_id,
            retry_tokens=self.retry_tokens,
            token_life=self.token_life,
            rate=self.limit,
            burst=self.burst,
            concurrency=self.concurrency,
            limiter=self.limiter,
            retry_after=self.retry_after,
            latency=self.latency,
            jitter=self.jitter,
            slow=self.slow,
            slow_jitter=self.slow_jitter,
            faults=self.faults,
            faults_after=self.faults_after,
            fault_message=self.fault_message,
            seed=self.seed,
        )
