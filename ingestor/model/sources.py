"""Where records come from, and how far each source is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.value import value

Position = str
"""Where reading goes on in a source: JSON text that only its source understands. A hint: the journal is the judge."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that records are read from.

    Attributes:
        name: as the user wrote it; `-` is standard input. Records carry it as their origin.
        path: what another process finds the same source by: the real path of a file, with no link in it. None where
            no other process can read the same: a pipe, a descriptor, an iterable.
    """

    name: str
    path: str | None


class SourceEnd(StrEnum):
    """How the end of a source was met."""

    COMPLETE = "complete"
    """Everything was read."""
    DAMAGED = "damaged"
    """Reading stopped before the end: the data is cut short or damaged, or the file can't be read on."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The position before which every record of a source has a durable outcome.

    Attributes:
        source: the source.
        position: where reading goes on; None is the beginning.
        rejected: how many records before the position were rejected.
        end: set once the source has been read to its end, and every record of it has a durable outcome.
    """

    source: Source
    position: Position | None = None
    rejected: int = 0
    end: SourceEnd | None = None


@value(frozen=True, slots=True)
class Chunk:
    """Records that were read together.

    Attributes:
        source: where they come from; None for records that the journal kept, which need no checkpoint.
        records: in the order of the source; may be empty in the chunk that ends a source.
        position: where reading goes on after them; None where the source has no positions.
        end: set in the last chunk of a source.
    """

    source: Source | None
    records: Sequence[Job | Reject]
    position: Position | None = None
    end: SourceEnd | None = None


@value(frozen=True, slots=True)
class KeptRecord:
    """A record whose text the journal keeps until its run is created. `number` grows from record to record."""

    number: int
    origin: Origin
    text: bytes
