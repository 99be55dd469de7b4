"""What stands between a session and its work: the ports of the work, and the work itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestor.journal.journal import SqliteJournal
from ingestor.model.ports import EventLog, Input, Journal, Service, UnsettledJobs
from ingestor.model.sources import Checkpoint
from ingestor.pipeline.pipeline import PipelineResult


class JobStore(Journal, UnsettledJobs, Protocol):
    """The journal, for every kind of work."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the work meets the world through. A reconciliation reads no `source`."""

    journal: JobStore
    service: Service
    log: EventLog
    source: Input | None


Wrap = Callable[[Ports], Ports]
"""Puts something between the work and its ports: to watch, or to disturb."""


def unwrapped(ports: Ports) -> Ports:
    """Put nothing between."""
    return ports


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch reads.

    Attributes:
        source: all of its records.
        starts: the sources among it that a later `resume` can go on with, and where reading begins in each.
    """

    source: Input
    starts: Sequence[Checkpoint]


OpenReading = Callable[[SqliteJournal], Awaitable[Reading]]
"""Opens what a batch reads, once the journal is open. Raises UsageError."""


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
        """Start nothing new, and return from `run` in order. The first reason counts."""
        ...
