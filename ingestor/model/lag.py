"""What of an input is not read yet, and how long it has been waiting."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_FILES = 100
"""How many files are listed."""


class FileState(StrEnum):
    """What is done with a file at present."""

    READING = "reading"
    """It is being read, or its turn comes."""
    WAITING = "waiting"
    """It is read to its end, and may grow."""
    DONE = "done"
    """It is read to its end, and does not grow any more."""
    DAMAGED = "damaged"
    """It could not be read to its end."""
    MISSING = "missing"
    """It was there, and is not found any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLag:
    """How far one file is read. Sizes are bytes as they are stored.

    Attributes:
        name: as the user wrote it, or as it was found.
        state: what is done with it.
        read_bytes: how far it is read; None if that is not known.
        size: its size; None if that is not known.
        waiting_since: since when its oldest unread byte is there, seconds since the epoch; None if nothing is unread,
            or if that is not known.
    """

    name: str
    state: FileState
    read_bytes: int | None = None
    size: int | None = None
    waiting_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLag:
    """How far an input is read.

    Attributes:
        unread_bytes: what exists and is not read, of all sources; None if that is not known.
        waiting_since: since when the oldest of it is there, seconds since the epoch; None as for a file.
        files: at most MOST_FILES: first those with the most unread bytes.
        other_files: how many are not in `files`.
        held_files: renamed or deleted files that are held open until they are read to their end.
        held_bytes: the size of these.
    """

    unread_bytes: int | None = None
    waiting_since: float | None = None
    files: Sequence[FileLag] = ()
    other_files: int = 0
    held_files: int = 0
    held_bytes: int = 0


def together(lags: Sequence[InputLag]) -> InputLag:
    """Return how far several inputs are read that are read at the same time."""
    unread = [it.unread_bytes for it in lags]
    files = [file for it in lags for file in it.files]
    return InputLag(
        unread_bytes=None if None in unread else sum(size or 0 for size in unread),
        waiting_since=min((it.waiting_since for it in lags if it.waiting_since is not None), default=None),
        files=files[:MOST_FILES],
        other_files=sum(it.other_files for it in lags) + max(0, len(files) - MOST_FILES),
        held_files=sum(it.held_files for it in lags),
        held_bytes=sum(it.held_bytes for it in lags),
    )
