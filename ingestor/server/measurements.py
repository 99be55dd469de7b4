"""What `/metrics` and the metrics file say of a batch, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestor.model.acceptance import STATUS_CLASSES
from ingestor.model.activity import Bound, Health, Phase
from ingestor.model.durations import COMMIT_BOUNDS, LATENCY_BOUNDS, Durations
from ingestor.report.attempt_classes import AttemptClass

OUTCOMES = ("created", "updated", "partial", "duplicate", "forgotten", "rejected", "failed", "unresolved")
"""The names of all outcomes, as in the log, in the order in which they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """A batch at one moment. Counts are those of this execution. Times of day are seconds since the epoch.

    Attributes:
        batch: its name.
        version: of the program.
        python: the version of Python.
        commit: that the program was built from; "" if that is not known.
        started: when the execution began.
        phase: how far the execution is.
        outcomes: records by outcome, in the names of the log.
        already_done: records that earlier executions completed.
        read: records that were read.
        left: records that were read and have no outcome yet.
        attempts: attempts by the class of their end.
        retries: attempts that repeated an earlier one of the same record.
        requests: requests of programs that send records, by the class of their answer.
        lines: the lines of these requests: accepted and rejected ones.
        latency: the seconds from the first byte of a request to the end of its answer.
        commits: the seconds of each transaction of the journal.
        health: the state of the service; None before the work begins and after it has ended.
        bound: what limits the speed; None as above.
        is_ready: whether `/readyz` answers 200.
        allowed_rate: attempts a second that are allowed; None without a limit.
        in_flight: attempts that wait for their answer.
        slots: the most of them.
        backlog: records that wait to be sent.
        lag_bytes: bytes that are not read; None if that is not known.
        lag_seconds: how long the oldest of them is there; None if nothing waits, or if that is not known.
        held_files: renamed or deleted files that are held open.
        held_bytes: the size of these.
        oldest_unresolved: when the oldest unresolved record was sent; None if there is none.
        last_created: when the last run was created or updated; None if that is not known.
        last_success: when an execution of the batch last ended with exit code 0; None if that is not known.
        exit_code: of the last execution that ended; None if that is not known.
    """

    batch: str
    version: str
    python: str
    commit: str = ""
    started: float
    phase: Phase
    outcomes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    already_done: int = 0
    read: int = 0
    left: int = 0
    attempts: Mapping[AttemptClass, int] = field(default_factory=lambda: dict.fromkeys(AttemptClass, 0))
    retries: int = 0
    requests: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS_CLASSES, 0))
    lines: Mapping[str, int] = field(default_factory=lambda: {"accepted": 0, "rejected": 0})
    latency: Durations = field(default_factory=lambda: Durations(LATENCY_BOUNDS))
    commits: Durations = field(default_factory=lambda: Durations(COMMIT_BOUNDS))
    health: Health | None = None
    bound: Bound | None = None
    is_ready: bool = False
    allowed_rate: float | None = None
    in_flight: int = 0
    slots: int = 0
    backlog: int = 0
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    held_files: int = 0
    held_bytes: int = 0
    oldest_unresolved: float | None = None
    last_created: float | None = None
    last_success: float | None = None
    exit_code: int | None = None
