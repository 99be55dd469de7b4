"""Where records come from, and how far each source is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.value import value

Position = str
"""Where reading continues in a source: text that only its source understands.

A hint: the journal decides whether a record is done."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that records are read from.

    Attributes:
        name: as the user wrote it, or STDIN. Records carry it as their origin.
        path: by this another process finds the same source: the real path of a file, without links. None if no other
            process can read the same source: a pipe, a descriptor, an iterable.
        number: which of the files is meant that were, one after the other, under this path. Only followed files have
            one; it is never used again in a batch.
    """

    name: str
    path: str | None
    number: int = 0


STDIN = "-"
"""The name of the source that is the standard input."""


class SourceEnd(StrEnum):
    """How reading of a source ended."""

    COMPLETE = "complete"
    """Everything was read."""
    DAMAGED = "damaged"
    """Reading stopped before the end: the data is cut short or damaged, or reading failed."""


@dataclass(frozen=True, slots=True)
class SkippedFiles:
    """Files of directories and globs that were not read: not named like record files, hidden, or not regular files.

    `examples` are the first few of them, as paths; what is not a regular file has its kind in parentheses after it.
    """

    count: int = 0
    examples: tuple[str, ...] = ()


NOTHING_SKIPPED = SkippedFiles()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The position before which every record of a source has a durable outcome.

    Attributes:
        source: the source.
        position: where reading continues; None is the beginning.
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
        source: where they come from; None for kept records, which need no checkpoint.
        records: in the order of the source; may be empty in the chunk that ends a source.
        position: where reading continues after them; None if the source has no positions.
        end: set in the last chunk of a source.
        extent: from where to where they are; None if that is not known. A source counts its stored bytes, an `Input`
            the bytes of text of all its sources.
        is_again: they may have been read before, under this name or another one. Records that are known then are
            counted, and not reported one by one.
    """

    source: Source | None
    records: Sequence[Job | Reject]
    position: Position | None = None
    end: SourceEnd | None = None
    extent: tuple[int, int] | None = None
    is_again: bool = False


@value(frozen=True, slots=True)
class KeptRecord:
    """A record whose text the journal keeps until its run is created. `number` grows from record to record."""

    number: int
    origin: Origin
    text: bytes
