"""`ingestor prune`: the rows of finished jobs are deleted, and the file gets smaller."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingestor.journal import prune as rows
from ingestor.journal.database import NAME, explained, files_of, open_owned
from ingestor.journal.lock import StateDirectory
from ingestor.journal.prune import Portion
from ingestor.journal.view import JournalView
from ingestor.model.record import State

_MOST_SOURCES = 10_000


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be.

    Attributes:
        before: the time (seconds since the epoch) before which the jobs ended.
        counts: rows in each state.
        kept: rows that stay.
        bytes_before: of the journal's files.
        bytes_after: the same afterwards.
        free_bytes: the space in the file that later rows use.
        sources: names of sources of these rows, of some if there are many.
    """

    before: float
    counts: Counter[State] = field(default_factory=Counter)
    kept: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    free_bytes: int = 0
    sources: set[str] = field(default_factory=set)

    def add(self, portion: Portion) -> None:
        """Count a portion."""
        self.counts.update(row.state for row in portion.rows)
        self.kept += portion.looked_at - len(portion.rows)
        if len(self.sources) < _MOST_SOURCES:
            self.sources.update(row.source for row in portion.rows)

    @property
    def total(self) -> int:
        """All rows that were deleted, or would be."""
        return self.counts.total()


def prune(
    state: Path, batch: int | None, *, age: float, allow_network_state: bool, say: Callable[[int], object]
) -> Pruned:
    """Delete the rows of jobs that were finished longer ago than `age` seconds, of one batch or of all.

    `say` is called with the number of deleted rows, often. An interrupt leaves what is deleted so far. Raises
    StateInUseError, JournalError.
    """
    path = state / NAME
    with StateDirectory.open(state, allow_network_fs=allow_network_state), explained(path):
        size = _size(path)
        with closing(open_owned(path)) as connection:
            done = Pruned(rows.cutoff(connection, now=time.time(), age=age), bytes_before=size)
            find = partial(rows.find_portion, connection, batch, before=done.before)
            for portion in _portions(find):
                if portion.rows:
                    rows.delete_rows(connection, portion.rows, before=done.before)
                done.add(portion)
                say(done.total)
            rows.forget_history(connection, batch, before=done.before)
            while rows.give_back(connection):
                say(done.total)
            done.free_bytes = rows.free_bytes(connection)
        done.bytes_after = _size(path)
    return done


def count_prunable(state: Path, batch: int | None, *, age: float) -> Pruned:
    """Return what `prune` would delete; change nothing. Raises JournalError."""
    path = state / NAME
    with closing(JournalView(path)) as journal:
        found = Pruned(journal.read(partial(rows.cutoff, now=time.time(), age=age)), bytes_before=_size(path))
        for portion in _portions(
            lambda *, after: journal.read(partial(rows.find_portion, batch=batch, after=after, before=found.before))
        ):
            found.add(portion)
    found.bytes_after = found.bytes_before
    return found


def still_there(sources: Sequence[str] | set[str], folder: Path) -> list[str]:
    """Return the sources that exist as files, by their names in a folder."""
    return sorted(name for name in sources if (folder / name).is_file())


def _portions(find: Callable[..., Portion]) -> Iterator[Portion]:
    after = 0
    while (portion := find(after=after)).looked_at:
        yield portion
        after = portion.last


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in files_of(path) if file.exists())
