"""Every option of the program, declared once: its name, type, range, default, group and help.

A name is a contract: `platform_id` is `--platform-id`, `INGESTOR_PLATFORM_ID` and `platform_id` in the file.
An option's docstring is its help.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestor.settings.values import (
    Address,
    Auth,
    BatchName,
    Count,
    LocalPath,
    NotNegative,
    OneLine,
    Output,
    PathSegment,
    Positive,
    Progress,
    Region,
    Senders,
    Token,
    one_for_each_core,
)

PREFIX = "INGESTOR_"


class Group(StrEnum):
    """The titles that options stand under in help."""

    TARGET = "Where to send"
    AUTH = "Who you are"
    BATCH = "The batch"
    SPEED = "Speed"
    RETRIES = "Retries and stopping"
    OUTPUT = "What is written"
    RESULTS = "What is printed"
    SERVER = "The server"
    LIMITS = "Limits of the service"
    FAULTS = "Faults"


@dataclass(frozen=True, slots=True)
class Option:
    """What help tells of an option beside its docstring and its field.

    Attributes:
        group: the title it stands under.
        metavar: what stands for the value in help; empty for a switch.
        default: the default in words, where it depends on other options.
        secret: comes by environment only, and is never shown.
    """

    group: Group
    metavar: str = ""
    default: str = ""
    secret: bool = False


def option_of(field: FieldInfo) -> Option:
    """Return what is declared of an option beside its field."""
    return next(datum for datum in field.metadata if isinstance(datum, Option))


def flag_of(name: str) -> str:
    """Spell an option as a flag."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Spell an option as an environment variable."""
    return PREFIX + name.upper()


def _in_state(name: str, data: Mapping[str, Path]) -> Path:
    """Place a file in the state directory; where that is not valid, an error tells so and this is not used."""
    return data.get("state", Path()) / name


class Settings(BaseSettings):
    """All settings of the program, each valid by itself; `rules` tells whether they fit together.

    Made directly, keyword arguments beat the environment beats defaults, and what is wrong raises pydantic's
    ValidationError; the command line uses `load` instead. Times are in seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    region: Annotated[Region | None, Option(Group.TARGET, "NAME")] = None
    """The OCI region of your AI Data Platform, such as us-ashburn-1."""
    endpoint: Annotated[Address | None, Option(Group.TARGET, "URL")] = None
    """The address of the AIDP service, instead of --region: a private endpoint, or the simulator."""
    platform_id: Annotated[PathSegment | None, Option(Group.TARGET, "OCID")] = None
    """The OCID of your AI Data Platform."""
    workspace: Annotated[PathSegment | None, Option(Group.TARGET, "KEY")] = None
    """The key of the workspace that gets the runs."""
    tracking_uri: Annotated[Address | None, Option(Group.TARGET, "URL")] = None
    """The address of an MLflow-compatible server, instead of AIDP."""
    retry_tokens: Annotated[bool, Option(Group.TARGET, default="yes, or no with --tracking-uri")] = Field(
        default_factory=lambda data: not data.get("tracking_uri")
    )
    """Trust the service to honour retry tokens; without, a record whose answer was lost is looked for first."""
    dh_user_principal: Annotated[OneLine | None, Option(Group.TARGET, "TEXT")] = None
    """Sent as it is in the header dh-user-principal."""

    auth: Annotated[
        Auth, Option(Group.AUTH, "METHOD", default=f"{Auth.API_KEY}, or {Auth.NONE} with --tracking-uri")
    ] = Field(default_factory=lambda data: Auth.NONE if data.get("tracking_uri") else Auth.API_KEY)
    """How requests are authenticated."""
    oci_config: Annotated[LocalPath | None, Option(Group.AUTH, "FILE", default="~/.oci/config")] = None
    """The OCI configuration file, for api-key and session-token."""
    oci_profile: Annotated[OneLine, Option(Group.AUTH, "NAME")] = "DEFAULT"
    """The profile in that file."""
    oci_passphrase: Annotated[SecretStr | None, Option(Group.AUTH, secret=True)] = None
    """the passphrase of an encrypted API key"""
    bearer_token_file: Annotated[LocalPath | None, Option(Group.AUTH, "FILE")] = None
    """A file that holds the token for --auth bearer."""
    bearer_token: Annotated[Token | None, Option(Group.AUTH, secret=True)] = None
    """the token for --auth bearer, instead of a file"""

    batch: Annotated[BatchName, Option(Group.BATCH, "NAME")] = "default"
    """Names the set in which a record becomes one run only; in another batch it becomes another run."""
    state: Annotated[LocalPath, Option(Group.BATCH, "DIR")] = Path(".ingestor")
    """Where the journal lives, the memory of what was done. Keep it, and running again is always safe."""
    stamp: Annotated[bool, Option(Group.BATCH)] = True
    """Put the tag ingestor.token on every run, by which a run whose answer was lost can be found."""
    spool: Annotated[bool, Option(Group.BATCH)] = True
    """Keep what is read from standard input in the state directory until it is done, so that a crash loses none."""
    allow_network_state: Annotated[bool, Option(Group.BATCH)] = False
    """Let the state directory be on a network file system, where SQLite can't promise durability."""

    rate: Annotated[Positive | None, Option(Group.SPEED, "N", default="as fast as the service allows")] = None
    """Never send more than N requests a second."""
    concurrency: Annotated[Count, Field(le=10_000), Option(Group.SPEED, "N")] = 64
    """How many requests may be on their way at once."""
    senders: Annotated[Senders, Option(Group.SPEED, "N", default="1, or 0 on a single core")] = Field(
        default_factory=lambda: min(1, one_for_each_core())
    )
    """How many processes sign and send, beside this one; auto is one for each core. With 0 this one does it all."""
    timeout: Annotated[Positive, Option(Group.SPEED, "SECONDS")] = 60.0
    """How long one request may take."""

    max_attempts: Annotated[Count, Option(Group.RETRIES, "N")] = 8
    """How many requests one record may cost. Being told to slow down (429) does not count."""
    max_retry_time: Annotated[Positive, Option(Group.RETRIES, "SECONDS")] = 600.0
    """How long after its first request a record is still tried again."""
    max_pause: Annotated[Positive, Option(Group.RETRIES, "SECONDS")] = 300.0
    """The longest wait asked for by the service (Retry-After) that is honoured."""
    give_up_after: Annotated[NotNegative, Option(Group.RETRIES, "SECONDS")] = 3600.0
    """How long a service that went down is waited for; then the batch ends, resumable."""
    follow: Annotated[bool, Option(Group.RETRIES)] = False
    """Wait as long for a service that was not reached at all yet, which else is a wrong address and halts the batch."""
    time_budget: Annotated[Positive | None, Option(Group.RETRIES, "SECONDS", default="none")] = None
    """How long the batch may take; then it ends as after Ctrl-C, resumable."""
    drain_timeout: Annotated[NotNegative, Option(Group.RETRIES, "SECONDS")] = 25.0
    """How long requests on their way may take to end after Ctrl-C or SIGTERM."""

    log: Annotated[LocalPath, Option(Group.OUTPUT, "FILE", default="STATE/log.jsonl")] = Field(
        default_factory=partial(_in_state, "log.jsonl")
    )
    """The structured log, one JSON object a line; - is standard output."""
    rejects: Annotated[LocalPath, Option(Group.OUTPUT, "FILE", default="STATE/rejects.jsonl")] = Field(
        default_factory=partial(_in_state, "rejects.jsonl")
    )
    """Invalid records with the reason, ready to be mended and fed back."""
    output: Annotated[Output, Option(Group.OUTPUT, "FORM")] = Output.TEXT
    """The form of the summary on standard output."""
    progress: Annotated[Progress, Option(Group.OUTPUT, "WHEN")] = Progress.AUTO
    """Progress on standard error; auto is a bar where that is a terminal."""
