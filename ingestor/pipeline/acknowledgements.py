"""How far each source is done: its open chunks in order, and the checkpoint before the first of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingestor.model.sources import Checkpoint, Chunk, Position, Source, SourceEnd


@dataclass(slots=True, eq=False)
class OpenChunk:
    """A chunk with records that have no durable outcome yet.

    Attributes:
        source: where the records come from.
        left: how many have no durable outcome.
        rejected: how many were rejected so far.
        position: where reading continues once the chunk is done; later chunks that are already done are included.
        end: whether that is the end of the source.
        before: the open chunk that was read before it.
        after: the open chunk that was read after it.
        is_again: whether its records may have been read before (see `Chunk`).
    """

    source: Source
    left: int
    position: Position | None
    end: SourceEnd | None
    before: "OpenChunk | None" = None
    after: "OpenChunk | None" = None
    rejected: int = 0
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """Checkpoints that moved; `passes_rejects` says that one of them passed a rejected record."""

    checkpoints: Sequence[Checkpoint]
    passes_rejects: bool


@dataclass(slots=True)
class _Progress:
    """A source that is being read: its last open chunk, and the records rejected before its checkpoint."""

    rejected: int
    last: OpenChunk | None = None


class Acknowledgements:
    """Counts the open records of chunks and moves checkpoints. Does no I/O.

    A source's checkpoint moves when all records of a chunk, and of all chunks before it, are done. A chunk that is done
    before its predecessor is merged into it, so that memory is bounded by the number of open chunks.

    Args:
        starts: where reading of the sources starts; a source that is not named starts at its beginning.
    """

    def __init__(self, starts: Iterable[Checkpoint] = ()) -> None:
        self._rejected_before = {start.source: start.rejected for start in starts}
        self._progress: dict[Source, _Progress] = {}
        self._moved: dict[Source, Checkpoint] = {}
        self._passes_rejects = False

    @property
    def have_moved(self) -> bool:
        """Whether `take` has a checkpoint to return."""
        return bool(self._moved)

    def open(self, chunk: Chunk) -> OpenChunk | None:
        """Register a chunk that was read, in the order of its source. None: it needs no checkpoint."""
        if chunk.source is None:
            return None
        progress = self._progress.get(chunk.source)
        if progress is None:
            progress = self._progress[chunk.source] = _Progress(self._rejected_before.get(chunk.source, 0))
        opened = OpenChunk(
            chunk.source, len(chunk.records), chunk.position, chunk.end, progress.last, is_again=chunk.is_again
        )
        if progress.last is not None:
            progress.last.after = opened
        progress.last = opened
        self.done(opened, 0)
        return opened

    def done(self, chunk: OpenChunk | None, count: int = 1) -> None:
        """Count records of a chunk whose outcomes are durable with the next commit at the latest."""
        if chunk is not None:
            chunk.left -= count
            if not chunk.left:
                self._close(chunk)

    def rejected(self, chunk: OpenChunk | None, count: int = 1) -> None:
        """Count rejected records of a chunk."""
        if chunk is not None and count:
            chunk.rejected += count
            self.done(chunk, count)

    def take(self) -> Moved:
        """Return the checkpoints that moved since the last call."""
        moved = Moved(list(self._moved.values()), self._passes_rejects)
        self._moved.clear()
        self._passes_rejects = False
        return moved

    def _close(self, chunk: OpenChunk) -> None:
        """Remove a chunk that is done; its position and rejects move to the previous open chunk, if there is one."""
        progress, before = self._progress[chunk.source], chunk.before
        if chunk.after is not None:
            chunk.after.before = before
        else:
            progress.last = before
        if before is None:
            self._advance(progress, chunk)
            return
        before.after = chunk.after
        before.position, before.end = chunk.position, chunk.end
        before.rejected += chunk.rejected

    def _advance(self, progress: _Progress, chunk: OpenChunk) -> None:
        progress.rejected += chunk.rejected
        self._passes_rejects = self._passes_rejects or chunk.rejected > 0
        if chunk.position is not None or chunk.end is not None:
            self._moved[chunk.source] = Checkpoint(chunk.source, chunk.position, progress.rejected, chunk.end)
        if chunk.end is not None and progress.last is None:
            del self._progress[chunk.source]
