"""Last lines without an end: when they are read, and when they are rejected."""

from collections.abc import Iterator

from ingestor.model.sources import Chunk
from ingestor.sources.follow.files import FollowedFile
from ingestor.sources.follow.plain import RewrittenError
from ingestor.sources.follow.turns import Turns
from ingestor.sources.follow.watch import ACTIVE

QUIET = 5.0
"""Seconds without a change after which a last line without an end is read, if it is a record."""


class LastLines:
    """The files that are read up to an incomplete last line.

    Such a line is read once its file is quiet, if it is a record: a JSON object says itself where it ends. If it is
    none, it is rejected once its file is not active any more, or is gone, or everything ends. More may be written
    later: then the whole line is read.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._files: dict[FollowedFile, None] = {}

    def note(self, file: FollowedFile) -> None:
        """Take a file that is read as far as there are complete lines."""
        if file.plain is not None and file.offset < file.size:
            self._files[file] = None
        else:
            self._files.pop(file, None)

    def read(self, now: float) -> Iterator[Chunk]:
        """Yield the last lines whose time has come."""
        for file in list(self._files):
            silent = now - file.changed_at
            if silent > ACTIVE and file.rejected_at != file.size:
                yield from self._read(file, is_last=True)
            elif silent > QUIET and file.tried_at != file.size:
                yield from self._read(file, is_last=False)

    def read_all(self) -> Iterator[Chunk]:
        """Yield all last lines: nothing follows them."""
        for file in list(self._files):
            yield from self._read(file, is_last=True)

    def end(self, file: FollowedFile) -> Iterator[Chunk]:
        """Yield the last line of a file to which nothing is added any more."""
        if file in self._files:
            yield from self._read(file, is_last=True)
            self._files.pop(file, None)

    def _read(self, file: FollowedFile, *, is_last: bool) -> Iterator[Chunk]:
        try:
            chunk = self._turns.read_last_line(file, is_last=is_last)
        except (OSError, RewrittenError):
            return  # what changed is found at the next look
        if chunk is not None:
            yield chunk
        if file.offset >= file.size:
            self._files.pop(file, None)
