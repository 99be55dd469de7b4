"""What a session passes to its work: the ports of the work, and the work itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestor.journal.journal import SqliteJournal
from ingestor.model.ports import EventLog, Input, Journal, Service, UnsettledJobs
from ingestor.model.sources import NOTHING_SKIPPED, Checkpoint, SkippedFiles
from ingestor.pipeline.options import PipelineResult
from ingestor.policy.identity import Scope


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch reads.

    Attributes:
        source: all of its records.
        starts: those of its sources with which a later `resume` can continue, and where reading begins in each.
        skipped: the files that the directories and globs of the user leave out.
        waits_for: returns what reading has been waiting for, for longer than a few seconds; from any thread.
    """

    source: Input
    starts: Sequence[Checkpoint]
    skipped: SkippedFiles = NOTHING_SKIPPED
    waits_for: Callable[[], list[str]] = list


OpenReading = Callable[[SqliteJournal, Scope], Awaitable[Reading]]
"""Opens what a batch reads, once the journal is open for the batch of this scope. Raises UsageError."""


class Work(Protocol):
    """What a session does: the pipeline, or a reconciliation."""

    @property
    def left(self) -> int:
        """Jobs that are known and have no outcome yet."""
        ...

    async def run(self) -> PipelineResult:
        """Work to the end. Raises IngestorError."""
        ...

    def stop(self, reason: str) -> None:
        """Stop: start nothing new, and return from `run`. The first reason counts."""
        ...
