"""The ports: what the pipeline needs from the other packages, one protocol for each part."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestor.model.admission import Admission, JournalTime, UnsettledJob
from ingestor.model.events import Event
from ingestor.model.record import Job, Outcome, Result
from ingestor.model.reply import Finding, Reply
from ingestor.model.request import Request
from ingestor.model.sources import Checkpoint, Chunk, KeptRecord


class Clock(Protocol):
    """Wall-clock time, for people. Pacing uses the event loop's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class Timekeeper(Protocol):
    """Time that continues over several executions: the age of tokens is measured in it."""

    def now(self) -> JournalTime:
        """Return what is known about the time."""
        ...

    def resume(self, last: JournalTime) -> None:
        """Continue from the last time that the journal has recorded."""
        ...


class EventSink(Protocol):
    """Receives events. `emit` never blocks and never raises."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...


class EventLog(EventSink, Protocol):
    """An event sink that writes files. Writing may be slow or fail."""

    async def ready(self) -> None:
        """Wait while too much is unwritten. Raises IngestorError if writing failed."""
        ...

    async def sync_rejects(self) -> None:
        """Wait until every rejected record that was emitted is on disk. Raises IngestorError."""
        ...


class Input(Protocol):
    """The records of a batch, read only as fast as they are consumed."""

    @property
    def read_bytes(self) -> int:
        """How many bytes of text were read: of compressed data, what it becomes."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """About how many bytes of text all sources have; None while that is not known."""
        ...

    def chunks(self) -> AsyncIterator[Chunk]:
        """Yield records as soon as they are available, in the order of each source; never waits to fill a chunk.

        A source that can't be read to its end ends in a chunk with a Reject and `SourceEnd.DAMAGED`.
        """
        ...

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record that these checkpoints are durable: what a source keeps before them may be deleted."""
        ...

    def finish(self) -> None:
        """Wait for nothing more: `chunks` ends after what exists now. Safe to call twice.

        It changes nothing for an input that ends by itself.
        """
        ...

    def stop(self) -> None:
        """Read no more: `chunks` ends after what was already read. Safe to call twice."""
        ...


Pace = Callable[[], Awaitable[None]]
"""Waits until the next request may be sent."""


class Service(Protocol):
    """The service: sends one attempt, returns one reply."""

    async def send(self, request: Request) -> Reply:
        """Send one attempt and return its reply.

        Every fault of the connection is a Reply; only cancellation, bugs and IngestorError raise.
        """
        ...

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries `token` as its stamp, among deleted ones too; creates nothing.

        Without an experiment, all experiments of the service are searched. `pace` is awaited before each request except
        the first.
        """
        ...

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:
        """List the ids of the experiments that take runs; creates nothing. `pace` as for `find`.

        None: the list can't be read to its end.
        """
        ...

    async def probe(self) -> Reply:
        """Send a harmless request to the same address with the same credentials; creates nothing."""
        ...

    async def renew_credentials(self) -> bool:
        """Fetch fresh credentials after a 401; False if this kind can't be renewed. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What the journal writes in one transaction.

    Attributes:
        results: jobs that ended.
        begun: jobs whose run exists and whose plan is not finished, each with the run's id.
        checkpoints: how far sources are done once `results` are durable.
    """

    results: Sequence[Result] = ()
    begun: Sequence[tuple[Job, str]] = ()
    checkpoints: Sequence[Checkpoint] = ()


class Journal(Protocol):
    """The durable memory of one batch. Every method returns once its effect is on disk, and raises JournalError."""

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        """Decide for each job, in order, whether it may be sent, and write an intent for each that may be sent.

        The keys of `jobs` are distinct, and none of the jobs is in flight.
        `stamped` is for jobs that are NEW; the others keep the value of their first attempt.
        """
        ...

    async def commit(self, changes: Changes) -> int:
        """Write changes in one transaction; return the outbox number of the last outcome that was ever written.

        The texts of FAILED and UNRESOLVED jobs (`Job.raw`) are kept until their runs are created.
        """
        ...

    async def release(self, jobs: Sequence[Job]) -> None:
        """Take back the intents of jobs that were certainly not sent."""
        ...

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> Sequence[KeptRecord]:
        """Return the first `limit` kept records numbered above `after` whose last outcome is FAILED or UNRESOLVED.

        Leaves out what this execution has already tried, and UNRESOLVED ones whose token no longer protects.
        """
        ...


class UnsettledJobs(Protocol):
    """The jobs of one batch whose outcome is not known, for `reconcile`. Every method raises JournalError."""

    async def count_unsettled(self) -> int:
        """Return how many there are."""
        ...

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> Sequence[UnsettledJob]:
        """Return the first `limit` of them that are pending (or else unresolved) and numbered above `after`.

        Jobs whose run exists and whose plan is not finished are left out: `run` and `resume` finish them.
        """
        ...

    async def conclude(self, results: Sequence[Result]) -> int:
        """Write the outcomes that look-ups have found, and return as `Journal.commit` does.

        FAILED means here that a job certainly has no run: it gets a new token, under which the next execution may send
        it.
        """
        ...


class Outbox(Protocol):
    """Outcomes that are durable in the journal and not yet confirmed in the log."""

    async def unacknowledged(self) -> Sequence[tuple[int, Result]]:
        """Return the outcomes of earlier executions that may be missing in the log, with their numbers, in order.

        Their jobs have no body and no text.
        """
        ...

    def acknowledge(self, sequence: int) -> None:
        """Record that the log has every outcome up to this number on disk.

        Does no I/O: it is written with the next commit, or at the end of the execution.
        """
        ...
