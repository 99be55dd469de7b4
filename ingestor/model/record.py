"""What moves through the pipeline: a line of input, and the job a valid one becomes."""

from dataclasses import dataclass

from ingestor.model.value import value


@value(frozen=True, slots=True)
class Origin:
    """Where a record came from: `source` as the user named it (`-` is standard input), `line` from 1."""

    source: str
    line: int


@value(frozen=True, slots=True)
class Line:
    """One line of input, undecoded and without its line end.

    `cut` says that the line was longer than the reader keeps, and `raw` is only its beginning.
    """

    origin: Origin
    raw: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class RunDetails:
    """What a record says of its run, in the API's meanings.

    `start_time` is milliseconds since the epoch; `tags` are (key, value) pairs with distinct keys.
    None means that the record does not say.
    """

    experiment_id: str | None = None
    run_name: str | None = None
    start_time: int | None = None
    tags: tuple[tuple[str, str], ...] = ()


@value(frozen=True, slots=True)
class Job:
    """A valid record on its way to becoming a run.

    Attributes:
        origin: where the record was read.
        key: the job's identity in its batch: the record's `job_id`, else the digest of its body.
        body: the canonical request body, without the stamp (see `policy.identity`).
        digest: SHA-256 of `body`, 32 bytes: what "the same body" means.
        token: the retry token, the same in every process that meets this job (1 to 64 characters).
        experiment_id: the record's, for log and results.
        raw: the record as it stood in the input, UTF-8.
    """

    origin: Origin
    key: str
    body: bytes
    digest: bytes
    token: str
    experiment_id: str | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that can't become a job: why, and its text as it stood in the input."""

    origin: Origin
    reason: str
    text: str
    job_id: str | None = None
