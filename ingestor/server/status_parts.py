"""The parts of the document at `/status`: see `server.status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What runs.

    Attributes:
        ingestor: its version.
        python: the version of Python.
        commit: the commit that it was built from; None if that is not known.
    """

    ingestor: str
    python: str
    commit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Records of this execution by outcome. All others together are `read`.

    Attributes:
        read: records that were read.
        already_done: records that earlier executions completed.
        left: records that were read and have no outcome yet.
    """

    read: int
    created: int
    updated: int
    partial: int
    duplicate: int
    already_done: int
    forgotten: int
    rejected: int
    failed: int
    unresolved: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """The time to the end, as a range: from the fastest to the slowest rate of the last minutes."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the input is done.

    Attributes:
        percent: records with an outcome, of all records, 0 to 100; None while the total is not known, and where the
            input has no end (following).
        total: the number of all records; None while it is not known.
        total_is_exact: whether `total` is a count; if not, it is an estimate from the bytes read.
        read_bytes: bytes of text that were read.
        total_bytes: about how many the whole input has; None while that is not known.
        eta: the time to the end; None while it can't be estimated.
    """

    percent: float | None
    total: int | None
    total_is_exact: bool
    read_bytes: int
    total_bytes: int | None
    eta: Remaining | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happens in a second, at present.

    Attributes:
        done: records that get an outcome.
        allowed: attempts that the rate control allows; None: no limit was found yet.
        ceiling: `--rate`; None if it is not set.
    """

    done: float
    allowed: float | None
    ceiling: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The requests of this execution, and those that wait.

    Attributes:
        total: attempts that ended.
        throttled: those that the service refused with 429.
        repeated: those that repeated an earlier attempt of the same record.
        in_flight: attempts that wait for their answer.
        slots: the most that may do so at present.
        backlog: records that were read and wait to be sent.
    """

    total: int
    throttled: int
    repeated: int
    in_flight: int
    slots: int
    backlog: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Quantiles of the time to an answer, of this execution, milliseconds; None before the first answer."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One resolution of the history. All lists are equally long; None is a time of which nothing is known.

    Attributes:
        step: seconds from one point to the next: 1, 60 or 3600.
        begin: when the first point begins; the other points follow without a gap.
        values: for each name a list of numbers: `accepted`, `refused` and `errors` are answers a second, `allowed` is
            attempts a second, `latency_p50` and `latency_p95` are milliseconds, `backlog` is records.
    """

    step: int
    begin: float
    values: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Records, or attempts, that ended for the same reason.

    Attributes:
        outcome: rejected, failed, unresolved or partial; or retried: attempts that were repeated.
        reason: what the service, or the check of the record, said: of the first of them, shortened.
        varies: whether others of the group name other ids or numbers.
        count: how many.
        first: when the first occurred.
        last: when the last occurred.
        http_status: of the answer; None without an answer.
        error_code: the service's, or the kind of fault.
        request_id: the opc-request-id of one of them, for the support of the service; None if no answer had one.
        job_id: the key of that record; None if it has none.
        source: where that record was read.
        line: its line.
        advice: what to do; empty if nothing is to do.
    """

    outcome: str
    reason: str
    varies: bool
    count: int
    first: float
    last: float
    http_status: int | None
    error_code: str | None
    request_id: str | None
    job_id: str | None
    source: str | None
    line: int | None
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A source, and how far it is read.

    Attributes:
        name: as the user wrote it, or its path below that.
        state: reading, waiting (for more), done, damaged or missing.
        records: records that were read of it; None if they are not counted.
        rejected: how many of them were rejected; None as above.
        read_bytes: how far it is read; None if that is not known.
        size: its size; None if that is not known.
        lag_bytes: what is not read yet.
        lag_seconds: how long the oldest unread byte has been waiting; None if nothing waits, or if it is not known.
    """

    name: str
    state: str
    records: int | None
    rejected: int | None
    read_bytes: int | None
    size: int | None
    lag_bytes: int | None
    lag_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What is not read yet.

    Attributes:
        bytes: bytes of text that are not read, of all sources; None if that is not known.
        seconds: how long the oldest of them has been waiting; None if that is not known.
        held_files: renamed or deleted files that are held open until they are read to their end: their space on the
            disk is not free before that.
        held_bytes: the size of these.
    """

    bytes: int | None
    seconds: float | None
    held_files: int
    held_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting in effect, in words. A secret's `value` is masked; "" is a setting that is not set."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How the execution ended.

    Attributes:
        exit_code: of the process.
        meaning: of the exit code, in words.
        reason: why it ended early; None if it did not.
        duration: how long it took.
        next_steps: what to do next, in sentences.
    """

    exit_code: int
    meaning: str
    reason: str | None
    duration: float
    next_steps: Sequence[str]
