"""Everything that happens in a batch. Log, metrics and progress are made from these events only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestor.model.record import Job, Reject, Result
from ingestor.model.reply import Reply
from ingestor.model.value import value


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """A batch begins. `target` is the address, without any credential."""

    batch: str
    target: str
    sources: tuple[str, ...]


@value(frozen=True, slots=True)
class InputRead:
    """Records were read. `read_bytes`: the bytes read so far. `total_bytes`: None if it can't be known."""

    records: int
    read_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class RecordRejected:
    """A record is invalid, or its key was already used with another digest."""

    reject: Reject


@value(frozen=True, slots=True)
class RecordsAlreadyDone:
    """Records whose runs an earlier execution completed. They are counted, not logged one by one."""

    count: int


@value(frozen=True, slots=True)
class RecordsDuplicate:
    """Records that occurred earlier in this execution, each with the run id of the first one."""

    duplicates: Sequence[tuple[Job, str | None]]


@value(frozen=True, slots=True)
class RunsEnded:
    """Jobs ended, and their results are durable. `sequence` is the outbox number of the last one."""

    results: Sequence[Result]
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRetried:
    """The next attempt or look-up of the job is due in `delay` seconds."""

    job: Job
    reply: Reply
    attempts: int
    delay: float
    reason: str


@value(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt got its reply. `throttled`: the reply is a 429."""

    reply: Reply
    throttled: bool


@dataclass(frozen=True, slots=True)
class RateChanged:
    """The pacer's rate changed: attempts a second."""

    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class BatchPaused:
    """Nothing is sent for `seconds` from now on. A pause for the same reason that lasts longer is reported again."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchResumed:
    """The pause for this reason is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class BatchHalted:
    """Something is wrong for every record: the reason, and what to check.

    `advice` is empty if the reason says what to do. It never says how to continue: log and summary add
    `ExitCode.HALTED.next_step`.
    """

    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFinished:
    """The batch is over.

    Attributes:
        batch: its name.
        counts: records per outcome of this execution.
        already_done: records whose runs earlier executions completed.
        left: records that were read and have no outcome yet.
        exit_code: of the command.
        duration: seconds.
        reason: why it ended early; None if it did not.
        exhausted: whether the input was read to its end.
    """

    batch: str
    counts: Mapping[str, int]
    already_done: int
    left: int
    exit_code: int
    duration: float
    reason: str | None = None
    exhausted: bool = True


Event = (
    BatchStarted
    | InputRead
    | RecordRejected
    | RecordsAlreadyDone
    | RecordsDuplicate
    | RunsEnded
    | RunRetried
    | AttemptEnded
    | RateChanged
    | BatchPaused
    | BatchResumed
    | BatchHalted
    | BatchFinished
)
