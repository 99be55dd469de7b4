"""What a session passes to its work: the ports of the work, and the work itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestor.journal.journal import SqliteJournal
from ingestor.model.activity import Activity
from ingestor.model.lag import InputLag
from ingestor.model.ports import EventLog, Input, Journal, Service, UnsettledJobs
from ingestor.model.sources import NOTHING_SKIPPED, Checkpoint, SkippedFiles
from ingestor.pipeline.options import PipelineResult
from ingestor.policy.identity import Scope
from ingestor.policy.reported import ReportedRejects


class JobStore(Journal, UnsettledJobs, Protocol):
    """The journal, for every kind of work."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the work. A reconciliation reads no `source`."""

    journal: JobStore
    service: Service
    log: EventLog
    source: Input | None


Wrap = Callable[[Ports], Ports]
"""Wraps the ports, for tests: to observe or to inject faults."""


def unwrapped(ports: Ports) -> Ports:
    """Return the ports unchanged."""
    return ports


def _unknown_lag() -> None:
    """Be the lag of an input that has no other than what is read of it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch reads.

    Attributes:
        source: all of its records.
        starts: those of its sources with which a later `resume` can continue, and where reading begins in each.
        skipped: the files that the directories and globs of the user leave out.
        waits_for: returns what reading has been waiting for, for longer than a few seconds; from any thread.
        reported: the rejected records that were reported before; None: each one is reported.
        lag: returns how far the input is read; None where that is known from what was read alone.
    """

    source: Input
    starts: Sequence[Checkpoint]
    skipped: SkippedFiles = NOTHING_SKIPPED
    waits_for: Callable[[], list[str]] = list
    lag: Callable[[], InputLag | None] = _unknown_lag
    reported: ReportedRejects | None = None


OpenReading = Callable[[SqliteJournal, Scope], Awaitable[Reading]]
"""Opens what a batch reads, once the journal is open for the batch of this scope. Raises UsageError."""


class Work(Protocol):
    """What a session does: the pipeline, or a reconciliation."""

    @property
    def left(self) -> int:
        """Jobs that are known and have no outcome yet."""
        ...

    def activity(self) -> Activity:
        """Return what it does at this moment."""
        ...

    async def run(self) -> PipelineResult:
        """Work to the end. Raises IngestorError."""
        ...

    def finish(self) -> None:
        """Wait for no more input: process what exists now to its end. Safe to call twice."""
        ...

    def stop(self, reason: str, *, drain: float) -> None:
        """Stop: start nothing new, and return from `run`. The first reason counts.

        What is in flight has `drain` seconds to end.
        """
        ...
