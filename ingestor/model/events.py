"""What happens, told once. Log, metrics and progress are made from these alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestor.model.outcome import Result
from ingestor.model.record import Job, Reject
from ingestor.model.reply import Reply
from ingestor.model.value import value


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """A batch begins. `target` is the address without any credential."""

    batch: str
    target: str
    sources: tuple[str, ...]


@value(frozen=True, slots=True)
class InputRead:
    """Records were taken in: how many, and how far reading is. `total_bytes` is None where it can't be known."""

    records: int
    read_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class RecordRejected:
    """A record is invalid, or its key was already used with another body."""

    reject: Reject


@value(frozen=True, slots=True)
class RecordsDuplicate:
    """Jobs that were already done in this batch, each with the id of the run that it became."""

    duplicates: Sequence[tuple[Job, str | None]]


@value(frozen=True, slots=True)
class RunsEnded:
    """Jobs ended, and their results are durable."""

    results: Sequence[Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRetried:
    """An attempt did not end its job; the next one is due in `delay` seconds."""

    job: Job
    reply: Reply
    attempts: int
    delay: float
    reason: str


@value(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt came back. `throttled` says that the service asked for less (429)."""

    reply: Reply
    throttled: bool


@dataclass(frozen=True, slots=True)
class RateChanged:
    """The pacer's rate moved: attempts a second."""

    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class BatchPaused:
    """Nothing is sent for `seconds`."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchResumed:
    """Sending goes on after a pause."""


@dataclass(frozen=True, slots=True)
class BatchHalted:
    """Something is wrong for every record: why, and what to look at."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFinished:
    """The batch is over.

    `counts` is per outcome; `left` is how many records were read and have no outcome yet. `reason` is why it ended
    early, where it did; `exhausted` whether the input was read to its end.
    """

    batch: str
    counts: Mapping[str, int]
    left: int
    exit_code: int
    duration: float
    reason: str | None = None
    exhausted: bool = True


Event = (
    BatchStarted
    | InputRead
    | RecordRejected
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
