"""What the journal can say about a batch as a whole: its executions, its failures, its records by source.

Times are seconds since the epoch. Names, messages and ids are those of other people's systems: hostile text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestor.model.history import Description, Memory, Progress
from ingestor.model.record import State


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One `run` or `resume`, as the journal has it. Times are seconds since the epoch.

    Attributes:
        number: its row.
        started_at: when it began.
        ended_at: when it ended; None: it runs, or was killed. Then `exit_code`, `counts`, `already_done` and `left`
            are None too.
        exit_code: of the command.
        counts: records per outcome.
        already_done: records that earlier executions completed.
        left: records that were read and have no outcome.
        description: what it is; None: an earlier version of the program wrote none.
        progress: the last that it wrote down; None as above, or in its first seconds.
    """

    number: int
    started_at: float
    ended_at: float | None
    exit_code: int | None
    counts: Mapping[str, int] | None
    already_done: int | None
    left: int | None
    description: Description | None
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """Rows that `ingestor prune` has deleted: how many in each state; all of them ended before `up_to`."""

    counts: Mapping[State, int]
    up_to: float | None


@dataclass(frozen=True, slots=True)
class Account:
    """What the journal has of a batch besides its jobs.

    Attributes:
        memory: its history, pauses and rejects.
        executions: the last ones, the latest first.
        pruned: the rows that were deleted.
        forgotten_rejects: rejected records that the user gave up.
    """

    memory: Memory
    executions: Sequence[ExecutionRow]
    pruned: Pruned
    forgotten_rejects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs of one state that ended for one reason, and the last one of them as an example (hostile text).

    Attributes:
        state: failed, unresolved or partial.
        count: how many.
        http_status: of the last answer; None without one.
        error_code: the service's code, or the kind of fault.
        message: of the example, shortened.
        varies: whether the messages of others differ in names and numbers.
        first_at: when the first of them ended, seconds since the epoch.
        last_at: when the last one ended.
        job_id: the example's key.
        source: where it was read.
        line: its line.
        opc_request_id: as the service answered.
        run_id: its run, if that is known.
    """

    state: State
    count: int
    http_status: int | None
    error_code: str | None
    message: str
    varies: bool
    first_at: float
    last_at: float
    job_id: str = ""
    source: str = ""
    line: int = 0
    opc_request_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """The groups, the largest first, and how many failures are in none of them."""

    groups: Sequence[FailureGroup]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJob:
    """One job, as the journal has it. `updated_at` is seconds since the epoch; other names are those of `results`."""

    job_id: str
    outcome: State
    run_id: str | None
    experiment_id: str | None
    http_status: int | None
    error_code: str | None
    error_message: str | None
    opc_request_id: str | None
    attempts: int
    source: str
    line: int
    updated_at: float


@dataclass(frozen=True, slots=True)
class CountRow:
    """A source or an experiment, and how many of its records have each outcome."""

    name: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTable:
    """Records by source or by experiment: those with the most trouble, then those with the most records.

    Attributes:
        rows: the first ones.
        others: how many more there are.
        other_counts: the records of these, by outcome.
    """

    rows: Sequence[CountRow] = ()
    others: int = 0
    other_counts: Mapping[str, int]
