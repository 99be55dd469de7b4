"""Everything that happens in a batch. Log, metrics and progress are made from these events only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ingestor.model.record import Job, Reject, Result
from ingestor.model.reply import Reply
from ingestor.model.sources import NOTHING_SKIPPED, Chunk, SkippedFiles, SourceEnd
from ingestor.model.value import value


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """A batch begins. `target` is the address, without any credential. `skipped` are the files that are not read."""

    batch: str
    target: str
    sources: tuple[str, ...]
    skipped: SkippedFiles = NOTHING_SKIPPED


@value(frozen=True, slots=True)
class InputRead:
    """Records were read, all of one source.

    Attributes:
        records: how many.
        read_bytes: the bytes of text of the whole input up to the last of them.
        total_bytes: about how many the whole input has; None while that is not known.
        source: the name of their source; None: the journal kept them.
        end: set if the source ends here.
        again: records of the source that `records` leaves out: they were read before, from the journal.
        size: the bytes that these records take; None: all since the last event.
        is_followed: whether the source is followed: it has no end, and others are read at the same time.
    """

    records: int
    read_bytes: int
    total_bytes: int | None
    source: str | None = None
    end: SourceEnd | None = None
    again: int = 0
    size: int | None = None
    is_followed: bool = False

    @classmethod
    def of(cls, chunk: Chunk, read_bytes: int, total_bytes: int | None, *, again: int = 0) -> Self:
        """Return the event of a chunk; `read_bytes` counts if the chunk does not say where it ends."""
        source = None if chunk.source is None else chunk.source.name
        begin, end = chunk.extent or (None, read_bytes)
        size = None if begin is None else end - begin
        is_followed = chunk.source is not None and chunk.source.number > 0
        return cls(len(chunk.records) - again, end, total_bytes, source, chunk.end, again, size, is_followed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """What this execution has read of one source.

    Attributes:
        source: its name.
        records: how many records, rejected ones included.
        rejected: how many of them were rejected.
        end: how reading ended; None if it has not ended.
        is_other_format: whether it has another format; then it is one rejected record as a whole.
        is_followed: whether it is followed, so that its end is none of the batch.
    """

    source: str
    records: int
    rejected: int
    end: SourceEnd | None
    is_other_format: bool = False
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class RecordRejected:
    """A record is invalid, or its key was already used with another digest.

    `is_known`: an earlier execution has written it to the file of rejected records, and was killed before it counted.
    """

    reject: Reject
    is_known: bool = False


@value(frozen=True, slots=True)
class RecordsAlreadyDone:
    """Records whose runs an earlier execution completed. They are counted, not logged one by one."""

    count: int


@value(frozen=True, slots=True)
class RecordsForgotten:
    """Records that the user gave up (`ingestor forget`). They are counted, not logged one by one."""

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
    """An attempt got its reply. `throttled`: the reply is a 429. `repeated`: its job was queued again before."""

    reply: Reply
    throttled: bool
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class RateChanged:
    """The pacer's rate changed: attempts a second."""

    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class BatchPaused:
    """Nothing is sent for `seconds` from now on. A longer pause for the same reason is reported again.

    While every request is refused, single requests are sent. After a while it is reported that the batch ends in
    `seconds` unless one succeeds.
    """

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
    `ExitCode.HALTED.next_step`, unless the journal is lost, and what was done is not `is_recorded` any more.
    """

    reason: str
    advice: str
    is_recorded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """How far the batch is, once a minute.

    Attributes:
        counts: records per outcome of this execution.
        already_done: records whose runs earlier executions completed.
        records: records that were read.
        left: records that were read and have no outcome yet.
        total: about how many records there are; None if that is not known.
        rate: records a second that got an outcome, since the last event of this kind.
        pause: why nothing is sent at present; None if that is not so.
        situation: what the batch does, and why it is not faster, in one sentence.
    """

    counts: Mapping[str, int]
    already_done: int
    records: int
    left: int
    total: int | None
    rate: float
    pause: str | None = None
    situation: str | None = None


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
        unread_bytes: what exists of followed files and of accepted records and was not read; None: not known.
        rejected_lines: lines of requests that are no records: their senders know them, and `counts` leaves them out.
        sources: what was read of each source: of many, the first ones and those with rejects or damage.
        other_sources: how many sources are not in `sources`.
    """

    batch: str
    counts: Mapping[str, int]
    already_done: int
    left: int
    exit_code: int
    duration: float
    reason: str | None = None
    exhausted: bool = True
    unread_bytes: int | None = 0
    rejected_lines: int = 0
    sources: Sequence[SourceCount] = ()
    other_sources: int = 0


Event = (
    BatchStarted
    | InputRead
    | RecordRejected
    | RecordsAlreadyDone
    | RecordsForgotten
    | RecordsDuplicate
    | RunsEnded
    | RunRetried
    | AttemptEnded
    | RateChanged
    | BatchPaused
    | BatchResumed
    | BatchHalted
    | BatchProgress
    | BatchFinished
)
