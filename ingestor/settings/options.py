"""Every option of the program, declared once: its name, type, range, group and help.

A name is a contract: `platform_id` is `--platform-id`, `INGESTOR_PLATFORM_ID` and `platform_id` in the file.
The docstring of an option is its help. Defaults come from `app.options`, which the library uses too.
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

from ingestor.api.values import AuthKind
from ingestor.app.on_done import AGE
from ingestor.app.options import GIVE_UP_AFTER, BatchOptions, default_senders
from ingestor.report.progress import Mode
from ingestor.settings.values import (
    AcceptAddress,
    Address,
    BatchName,
    BudgetExit,
    Concurrency,
    Count,
    HeaderText,
    HostNames,
    ListenAddress,
    LocalPath,
    LogSize,
    Natural,
    NotNegative,
    OnDoneText,
    OneLine,
    Output,
    Password,
    PathSegment,
    Positive,
    Region,
    Senders,
    Token,
    UserName,
)

PREFIX = "INGESTOR_"

_DEFAULT = BatchOptions()


class Group(StrEnum):
    """The titles of the groups of options in help."""

    TARGET = "Where to send"
    AUTH = "Who you are"
    BATCH = "The batch"
    SERVICE = "As a service"
    SPEED = "Speed"
    RETRIES = "Retries and stopping"
    OUTPUT = "What is written"
    RESULTS = "What is printed"
    FORGET = "What is forgotten"
    PRUNE = "What is deleted"
    CHECK = "What is checked"
    INIT = "A settings file"
    SERVER = "The server"
    LIMITS = "Limits of the service"
    FAULTS = "Faults"


@dataclass(frozen=True, slots=True)
class Option:
    """What help shows of an option in addition to its docstring and its field.

    Attributes:
        group: the title of its group.
        metavar: the name of the value in help; empty for a switch.
        default: the default in words, if it depends on other options.
        secret: whether it can be set by the environment only, and is never shown.
    """

    group: Group
    metavar: str = ""
    default: str = ""
    secret: bool = False


def option_of(field: FieldInfo) -> Option:
    """Return what is declared about an option in addition to its field."""
    return next(datum for datum in field.metadata if isinstance(datum, Option))


def flag_of(name: str) -> str:
    """Spell an option as a flag."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Spell an option as an environment variable."""
    return PREFIX + name.upper()


def _in_state(name: str, data: Mapping[str, Path]) -> Path:
    """Return a file in the state directory. If that is not valid, another error says so, and this is not used."""
    return data.get("state", Path()) / name


class Settings(BaseSettings):
    """All settings of the program, each valid by itself; `rules` checks whether they fit together. Times are seconds.

    The command line uses `load`. A program that creates one directly gets pydantic's ValidationError, and
    keyword arguments override the environment, which overrides the defaults.
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
    """The address of the AIDP service, instead of its region: a private endpoint, or the simulator."""
    platform_id: Annotated[PathSegment | None, Option(Group.TARGET, "OCID")] = None
    """The OCID of your AI Data Platform."""
    workspace: Annotated[PathSegment | None, Option(Group.TARGET, "KEY")] = None
    """The key of the workspace in which the runs are created."""
    tracking_uri: Annotated[Address | None, Option(Group.TARGET, "URL")] = None
    """The address of an MLflow-compatible server, instead of AIDP."""
    retry_tokens: Annotated[bool, Option(Group.TARGET, default="yes, or no for an MLflow server")] = Field(
        default_factory=lambda data: not data.get("tracking_uri")
    )
    """Trust the service to honour retry tokens. If not, the run of a lost answer is looked up before the record is
    sent again."""
    dh_user_principal: Annotated[HeaderText | None, Option(Group.TARGET, "TEXT")] = None
    """A text that is sent as it is in the header dh-user-principal."""
    ca_file: Annotated[LocalPath | None, Option(Group.TARGET, "FILE", default="the system's, or SSL_CERT_FILE")] = None
    """A file with the certificates, in PEM form, of the authorities that are trusted, instead of the system's."""

    auth: Annotated[
        AuthKind,
        Option(
            Group.AUTH,
            "METHOD",
            default=f"{AuthKind.API_KEY}; for an MLflow server, {AuthKind.BASIC} or {AuthKind.BEARER} if they are set, "
            f"else {AuthKind.NONE}",
        ),
    ] = Field(default_factory=lambda data: AuthKind.NONE if data.get("tracking_uri") else AuthKind.API_KEY)
    """How requests are authenticated."""
    oci_config: Annotated[LocalPath | None, Option(Group.AUTH, "FILE", default="~/.oci/config")] = None
    """The OCI configuration file, for api-key and session-token."""
    oci_profile: Annotated[OneLine, Option(Group.AUTH, "NAME")] = "DEFAULT"
    """The profile in that file."""
    oci_passphrase: Annotated[SecretStr | None, Option(Group.AUTH, secret=True)] = None
    """the passphrase of an encrypted API key"""
    bearer_token_file: Annotated[LocalPath | None, Option(Group.AUTH, "FILE")] = None
    """A file that holds the token for the method bearer."""
    bearer_token: Annotated[Token | None, Option(Group.AUTH, secret=True)] = None
    """the token for the method bearer, instead of a file"""
    basic_username: Annotated[UserName | None, Option(Group.AUTH, "NAME")] = None
    """The user's name for the method basic. For an MLflow server, MLFLOW_TRACKING_USERNAME, _PASSWORD and _TOKEN
    count too."""
    basic_password: Annotated[Password | None, Option(Group.AUTH, secret=True)] = None
    """the password for the method basic"""

    batch: Annotated[BatchName, Option(Group.BATCH, "NAME")] = _DEFAULT.batch
    """The name of the set in which a record becomes one run only; in another batch it becomes another run."""
    state: Annotated[LocalPath, Option(Group.BATCH, "DIR")] = _DEFAULT.state
    """The directory of the journal, which records what was done. As long as you keep it, it is safe to run again."""
    stamp: Annotated[bool, Option(Group.BATCH)] = _DEFAULT.stamp
    """Put the tag ingestor.token on every run. With it, a run can be found whose answer was lost."""
    spool: Annotated[bool, Option(Group.BATCH)] = True
    """Keep what is read from standard input in the state directory until it is done, so that a crash loses nothing."""
    allow_network_state: Annotated[bool, Option(Group.BATCH)] = _DEFAULT.allow_network_state
    """Allow a state directory on a network file system, where SQLite can't guarantee durability."""
    new_state: Annotated[bool, Option(Group.BATCH)] = _DEFAULT.new_state
    """Begin a new journal if the state directory has none. If not, that is an error: choose this for a directory on a
    volume that may not be mounted."""
    same_server: Annotated[bool, Option(Group.BATCH)] = _DEFAULT.same_server
    """The address of the MLflow server is a new one of the server that this batch went to before."""

    accept: Annotated[AcceptAddress | None, Option(Group.SERVICE, "ADDRESS", default="off")] = None
    """Accept records that other programs send with POST /runs, at unix:PATH or HOST:PORT. Without SOURCE, standard
    input is not read then. It needs the spool."""
    accept_token_file: Annotated[LocalPath | None, Option(Group.SERVICE, "FILE", default="none")] = None
    """A file that holds the token that programs must send with records. It is required beyond this machine."""
    follow: Annotated[bool, Option(Group.SERVICE, default="no, or yes where records are accepted")] = Field(
        default_factory=lambda data: bool(data.get("accept"))
    )
    """Follow the sources: wait for more at their end, until the first Ctrl-C or SIGTERM. What exists then is read to
    its end. A service that never answered is waited for as well."""
    on_done: Annotated[OnDoneText, Option(Group.SERVICE, "ACTION")] = "keep"
    """What happens to a followed file once every record of it has an outcome: keep, delete or move:DIR. A file with
    records that were rejected, failed, or are unresolved or partial is never deleted."""
    on_done_age: Annotated[NotNegative, Option(Group.SERVICE, "SECONDS")] = AGE
    """How long a file must not have changed before that."""
    listen: Annotated[ListenAddress | None, Option(Group.SERVICE, "HOST:PORT", default="off")] = None
    """Serve /livez, /readyz, /metrics, /status and a page for people at this address. Other machines reach it only if
    HOST is not a loopback address."""
    listen_name: Annotated[HostNames | None, Option(Group.SERVICE, "HOST,...", default="none")] = None
    """Names, besides IP addresses and localhost, by which browsers and programs may call that address."""
    listen_token_file: Annotated[LocalPath | None, Option(Group.SERVICE, "FILE", default="none")] = None
    """A file that holds the token for the page, /status and /runs. Beyond this machine they need one."""

    rate: Annotated[Positive | None, Option(Group.SPEED, "N", default="as fast as the service allows")] = _DEFAULT.rate
    """Never send more than N requests a second."""
    concurrency: Annotated[Concurrency, Option(Group.SPEED, "N")] = _DEFAULT.concurrency
    """How many requests may be in flight at once; auto is as many as the service can use, at most 1,024."""
    senders: Annotated[Senders, Option(Group.SPEED, "N", default="1, or 0 on a single core")] = Field(
        default_factory=default_senders
    )
    """How many processes sign and send; auto is one for each core. With 0, the main process signs and sends."""
    timeout: Annotated[Positive, Option(Group.SPEED, "SECONDS")] = _DEFAULT.timeout
    """How long one request may take."""

    max_attempts: Annotated[Count, Option(Group.RETRIES, "N")] = _DEFAULT.max_attempts
    """How many requests one record may use. A 429 does not count."""
    max_retry_time: Annotated[Positive, Option(Group.RETRIES, "SECONDS")] = _DEFAULT.max_retry_time
    """How long a record is retried, counted from its first request."""
    max_pause: Annotated[Positive, Option(Group.RETRIES, "SECONDS")] = _DEFAULT.max_pause
    """The longest wait that the service may ask for (Retry-After)."""
    give_up_after: Annotated[
        NotNegative | None, Option(Group.RETRIES, "SECONDS", default=f"{GIVE_UP_AFTER:g}, or for ever while following")
    ] = _DEFAULT.give_up_after
    """How long to wait for a service that is down, or refuses every request. Then the batch stops with exit code 75
    and can be resumed."""
    wait_for_service: Annotated[bool, Option(Group.RETRIES)] = _DEFAULT.wait_for_service
    """Also wait for a service that never answered. Without this, the address counts as wrong and the batch halts."""
    time_budget: Annotated[Positive | None, Option(Group.RETRIES, "SECONDS", default="none")] = _DEFAULT.time_budget
    """How long the batch may take. Then it stops as after Ctrl-C, and can be resumed."""
    budget_exit: Annotated[BudgetExit, Option(Group.RETRIES, "CODE")] = _DEFAULT.budget_exit
    """The exit code of a batch that its time budget has stopped: 75, or 0 for a scheduler that knows no other success,
    such as Kubernetes. With 0, records that are rejected, failed, partial or unresolved still give 3."""
    drain_timeout: Annotated[NotNegative, Option(Group.RETRIES, "SECONDS")] = _DEFAULT.drain_timeout
    """How long requests in flight may take to end after Ctrl-C or SIGTERM. While following: how long reading and
    sending what exists then may take."""

    log: Annotated[LocalPath, Option(Group.OUTPUT, "FILE", default="STATE/log.jsonl")] = Field(
        default_factory=partial(_in_state, "log.jsonl")
    )
    """The structured log, one JSON object a line; - is standard output."""
    log_max_bytes: Annotated[LogSize | None, Option(Group.OUTPUT, "N", default="no limit")] = _DEFAULT.log_max_bytes
    """Rename the log to FILE.1 and begin a new one before it becomes larger than N bytes. SIGUSR2 opens it anew."""
    log_keep: Annotated[Natural, Option(Group.OUTPUT, "N")] = _DEFAULT.log_keep
    """How many renamed logs are kept."""
    rejects: Annotated[LocalPath, Option(Group.OUTPUT, "FILE", default="STATE/rejects.jsonl")] = Field(
        default_factory=partial(_in_state, "rejects.jsonl")
    )
    """Rejected records with the reasons. Fix them and send them again."""
    metrics_file: Annotated[LocalPath | None, Option(Group.OUTPUT, "FILE", default="none")] = None
    """Metrics in the text format of Prometheus, for a textfile collector: written each minute and at the end, also of a
    batch that fails. FILE is replaced as a whole, with mode 0644."""
    output: Annotated[Output, Option(Group.OUTPUT, "FORM")] = Output.TEXT
    """The form of the summary on standard output."""
    progress: Annotated[Mode, Option(Group.OUTPUT, "WHEN")] = Mode.AUTO
    """Progress on standard error; auto is a bar if that is a terminal."""
    quiet: Annotated[bool, Option(Group.OUTPUT)] = False
    """Print nothing if all is well: no progress, and a summary only if the exit code is not 0. Warnings and errors are
    printed, a summary in JSON too. SIGUSR1 prints a status line in any case."""
