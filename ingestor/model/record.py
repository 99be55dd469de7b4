"""What the pipeline processes: a line of input, the job that a valid record becomes, and how a record ends."""

from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.request import Step
from ingestor.model.value import value


@value(frozen=True, slots=True)
class Origin:
    """Where a record came from: `source` as the user named it (`-` is standard input), `line` from 1."""

    source: str
    line: int


@value(frozen=True, slots=True)
class Line:
    """One line of input, not decoded and without its line end.

    `cut`: the line was longer than the reader keeps, and `raw` is only its beginning.
    """

    origin: Origin
    raw: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class RunDetails:
    """What a record says about its run, in the terms of the API. None: the record does not say.

    `start_time` is milliseconds since the epoch. `tags` are (key, value) pairs with distinct keys.
    """

    experiment_id: str | None = None
    run_name: str | None = None
    start_time: int | None = None
    tags: tuple[tuple[str, str], ...] = ()


@value(frozen=True, slots=True)
class Job:
    """A valid record: its identity, and its plan of requests.

    Attributes:
        origin: where the record was read.
        key: the job's identity in its batch: the record's `job_id`, else the digest of its body.
        body: the canonical body of create, without the stamp (see `policy.identity`).
        digest: SHA-256 of the record's canonical form, 32 bytes: equal digests mean the same record.
        token: the retry token of create, the same in every execution (1 to 64 characters).
        experiment_id: the record's, for log and results.
        raw: the record as it stood in the input, UTF-8; empty if the job was loaded from the journal.
        steps: the requests that follow create, in order. A job without steps is one request: the fast path.
    """

    origin: Origin
    key: str
    body: bytes
    digest: bytes
    token: str
    experiment_id: str | None
    raw: bytes
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that can't become a job: the reason, and its text as it stood in the input.

    `is_other_format`: the source has another format, and this reject stands for all of it.
    `is_damage`: the source could not be read to its end, and this reject stands for the rest.
    """

    origin: Origin
    reason: str
    text: str
    job_id: str | None = None
    is_other_format: bool = False
    is_damage: bool = False


class Outcome(StrEnum):
    """The ends of a record."""

    CREATED = "created"
    """The run exists and is complete, and its id is known."""
    PARTIAL = "partial"
    """The run exists, and the service refused some of it."""
    REJECTED = "rejected"
    """The record is invalid and was never sent."""
    FAILED = "failed"
    """The service refused it: it is certain that there is no run."""
    UNRESOLVED = "unresolved"
    """It was sent, and the result is not known."""
    DUPLICATE = "duplicate"
    """The same record occurred earlier in this execution."""
    FORGOTTEN = "forgotten"
    """The user gave it up (`ingestor forget`): it was not sent, and counts as done."""


class Forgettable(StrEnum):
    """The outcomes that the user can give up (`ingestor forget`)."""

    FAILED = "failed"
    UNRESOLVED = "unresolved"
    REJECTED = "rejected"


class State(StrEnum):
    """The states of a job in the journal. Apart from PENDING and FORGOTTEN, the names are those of its outcome."""

    PENDING = "pending"
    """Its intent is durable, and its outcome is not known. With a run id: its run exists, and its plan is not done."""
    CREATED = "created"
    PARTIAL = "partial"
    FAILED = "failed"
    UNRESOLVED = "unresolved"
    FORGOTTEN = "forgotten"
    """The user gave it up: it is never sent again, and counts as done."""


@value(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of a job that was sent, as the journal keeps it and the log reports it.

    `outcome` is CREATED, PARTIAL, FAILED or UNRESOLVED. The answer's fields are those of the last attempt.
    `attempts` counts the attempts of this execution only; 0 if there was none. `misses_experiment` is for a summary:
    the answer, or the list of experiments, says that the job's experiment does not exist.
    """

    job: Job
    outcome: Outcome
    attempts: int
    run_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    opc_request_id: str | None = None
    opc_client_request_id: str | None = None
    latency_ms: float | None = None
    misses_experiment: bool = False
