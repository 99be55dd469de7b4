"""The seams between the parts, as their users see them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ingestor.model.events import Event
from ingestor.model.finding import Finding
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Result
from ingestor.model.record import Job, Reject
from ingestor.model.reply import Reply
from ingestor.model.value import value


class Clock(Protocol):
    """Wall-clock time, for people. Pacing uses the event loop's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class Timekeeper(Protocol):
    """Time for what must outlive the process: the age of tokens. It goes on from one process to the next."""

    def moment(self) -> JournalTime:
        """Return what is known of the time."""
        ...

    def resume(self, last: JournalTime) -> None:
        """Go on from the last moment that the journal has witnessed."""
        ...


class EventSink(Protocol):
    """Takes what happens. Never blocks and never raises for an event."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...


class EventLog(EventSink, Protocol):
    """An event sink that writes down what it takes, and may fall behind or fail in that."""

    async def ready(self) -> None:
        """Wait while too much is not written yet. Raises IngestorError where it can't be."""
        ...


class Input(Protocol):
    """The records of a batch, read as fast as they are taken and no faster."""

    @property
    def read_bytes(self) -> int:
        """How many bytes of the sources have been consumed (as stored, so compressed where they are)."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """The size of all sources, None where one has no known size."""
        ...

    def batches(self) -> AsyncIterator[Sequence[Job | Reject]]:
        """Yield what is there, soonest first: never waits to fill a batch. A source that is lost ends in a Reject."""
        ...

    def stop(self) -> None:
        """Read no more: `batches` ends after what it has already taken. Safe to call twice."""
        ...


Pace = Callable[[], Awaitable[None]]
"""Returns when the next request may go."""


class Target(Protocol):
    """The service: one attempt out, one reply in."""

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        """Send one attempt for a job and tell what came of it.

        Every fault of the connection is a Reply; only cancellation and bugs raise.
        `stamped` adds the job's token to the run as the tag `ingestor.token`.
        """
        ...

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Look for the run that carries `token` as its stamp, among deleted ones too; creates nothing.

        Without an experiment, all that the service tells of are searched. `pace` is awaited before each request but
        the first.
        """
        ...

    async def probe(self) -> Reply:
        """Ask something harmless of the same address with the same credentials; creates nothing."""
        ...

    async def renew_credentials(self) -> bool:
        """Fetch fresh credentials after a 401; False where this kind can't be renewed. Never raises."""
        ...


class AdmissionStatus(StrEnum):
    """What the journal makes of a job that is about to be sent."""

    NEW = "new"
    """Never seen: its intent is durable now."""
    AGAIN = "again"
    """Seen, unsettled or failed, and its token still protects: send it under the same token."""
    DONE = "done"
    """Its run exists."""
    CONFLICT = "conflict"
    """The key was used with another body."""
    EXPIRED = "expired"
    """It may have been carried out, and its token no longer protects: only `reconcile` can settle it."""


@value(frozen=True, slots=True)
class Admission:
    """The journal's word on one job.

    `run_id` is set when DONE. `stamped` is whether the job's attempts carry the stamp: as the first one did.
    `may_exist` says that an earlier process may have sent it without learning the result. `first_sent_at` is when
    the token's life began (a `JournalTime.time`). `invalidated` is set where an earlier process was told that
    the token no longer protects, and the job is met by way of `Unsettled`.
    """

    job: Job
    status: AdmissionStatus
    stamped: bool
    first_sent_at: float
    may_exist: bool = False
    run_id: str | None = None
    invalidated: bool = False


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A job whose end is not known, as the journal has it: in doubt, and without body and text, which are not kept.

    `number` grows from job to job.
    """

    number: int
    admission: Admission


class Journal(Protocol):
    """The durable memory of one batch. Every method returns once what it says is on disk."""

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        """Say of each job, in order, whether it may be sent, writing an intent for each that may.

        The keys of `jobs` are distinct, and none is admitted by this process and not yet settled or released.
        `stamped` is for jobs that are NEW; the others keep what their first attempt had. Raises JournalError.
        """
        ...

    async def settle(self, results: Sequence[Result]) -> None:
        """Record how jobs ended. Raises JournalError."""
        ...

    async def release(self, jobs: Sequence[Job]) -> None:
        """Take back the intents of jobs that were surely never sent by anyone. Raises JournalError."""
        ...


class UnsettledJobs(Protocol):
    """The jobs of one batch whose end is not known. Every method raises JournalError."""

    async def count_unsettled(self) -> int:
        """Return how many there are."""
        ...

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> Sequence[Unsettled]:
        """Return the first `limit` of them that are pending (or else unresolved) and numbered above `after`."""
        ...

    async def conclude(self, results: Sequence[Result]) -> None:
        """Record what became of them, and return once it is on disk.

        FAILED says here that a job surely has no run: it gets a new token, under which the next process may send it.
        """
        ...
