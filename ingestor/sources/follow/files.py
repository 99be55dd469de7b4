"""One file that is followed, under whatever names it has; and the handles by which files are read."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingestor.model.sources import Chunk, Position, Source
from ingestor.sources.byte_source import open_input
from ingestor.sources.follow.consumed import Consumed, FollowPosition, Identity, State
from ingestor.sources.follow.watch import Status, status_of

if TYPE_CHECKING:
    from ingestor.sources.follow.plain import PlainFile

MOST_HANDLES = 256
"""How many files are open at once."""


class FollowedFile:
    """A file from its creation to its truncation or deletion. Renaming it changes nothing.

    Attributes:
        name: the path under which it was found.
        identity: its device and inode.
        status: what was seen of it last.
        changed_at: when its content changed last, as far as it was seen; monotonic.
        names: the paths that lead to it now.
        source: its identity in the journal.
        first: the digest of its first line, once copies of it are recognized by that.
        offset: how many bytes were read, of a compressed file decompressed ones.
        at: the position after what was read, while it is not open.
        durable: the position before which every record has a durable outcome.
        settled: the state in which nothing more is to be read of it.
        plain: how it is read while it is open.
        work: the steps in which it is compared or decompressed.
        again_until: up to this offset, what is read of it may have been read before.
        is_packed: it is compressed.
        refused: if it has another format: how many bytes show that, and the digest of the first of them.
        is_queued: its turn comes.
        has_ended: nothing more is read of it: it is gone, or another one took its place.
        tried_at: the size at which the incomplete last line was no record.
        rejected_at: the size at which that line was rejected.
        unread_since: since when it has something unread, seconds since the epoch; None if everything is read.
        error: why it can't be read at present.
    """

    __slots__ = (
        "again_until",
        "at",
        "changed_at",
        "durable",
        "error",
        "first",
        "has_ended",
        "identity",
        "is_packed",
        "is_queued",
        "name",
        "names",
        "offset",
        "plain",
        "refused",
        "rejected_at",
        "settled",
        "source",
        "status",
        "tried_at",
        "unread_since",
        "work",
    )

    def __init__(self, name: str, source: Source, status: Status, changed_at: float) -> None:
        self.name = name
        self.source = source
        self.identity: Identity = status[:2]
        self.status = status
        self.changed_at = changed_at
        self.names: dict[str, None] = {}
        self.first = b""
        self.offset = 0
        self.at: Position | None = None
        self.durable: Position | None = None
        self.settled: State | None = None
        self.plain: PlainFile | None = None
        self.work: Iterator[Chunk | None] | None = None
        self.again_until = 0.0
        self.is_packed = self.is_queued = self.has_ended = False
        self.refused: tuple[int, bytes] | None = None
        self.tried_at = self.rejected_at = -1
        self.unread_since: float | None = None
        self.error: str | None = None

    @property
    def size(self) -> int:
        """Its size as it is stored."""
        return self.status[2]

    @property
    def state(self) -> State:
        """Its size and its times."""
        return self.status[2:]

    @property
    def unread_bytes(self) -> int:
        """How much of it is not read; of a compressed file its size, if anything is not."""
        return self.size if self.is_packed else max(0, self.size - self.offset)

    @property
    def is_done(self) -> bool:
        """Whether it is read to its end, and every record of it has a durable outcome."""
        durable = FollowPosition.parse(self.durable)
        is_read = self.settled == self.state and (self.is_packed or self.refused is not None or not self.unread_bytes)
        return is_read and durable is not None and durable.offset == self.offset

    def position(self, consumed: Consumed, state: State, *, is_whole: bool = False) -> FollowPosition:
        """Return the position after what was read; `is_whole`: of a compressed file that is read to its end."""
        return consumed.position(self.identity, state, is_packed=self.is_packed, is_whole=is_whole)

    def suspend(self) -> None:
        """Prepare for being closed."""
        if self.plain is not None:
            self.at = str(self.position(self.plain.consumed, self.state))
            self.plain = None


class Handles:
    """The open files. The one that was read longest ago is closed first, as long as a name still leads to it."""

    def __init__(self, most: int = MOST_HANDLES) -> None:
        self._most = most
        self._open: OrderedDict[FollowedFile, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[FollowedFile]:
        return iter(list(self._open))

    def __contains__(self, file: FollowedFile) -> bool:
        return file in self._open

    @property
    def has_room(self) -> bool:
        """Whether a file can be opened without closing another one."""
        return len(self._open) < self._most

    def open(self, file: FollowedFile) -> int:
        """Return the descriptor of a file. Raises OSError: FileNotFoundError if no name leads to it any more."""
        if (descriptor := self._open.get(file)) is not None:
            self._open.move_to_end(file)
            return descriptor
        while not self.has_room and self._close_one():
            pass
        descriptor = _open(file)
        self._open[file] = descriptor
        return descriptor

    def status(self, file: FollowedFile) -> Status | None:
        """Return what an open file is like now; None if it is not open."""
        descriptor = self._open.get(file)
        return None if descriptor is None else status_of(os.fstat(descriptor))

    def close(self, file: FollowedFile) -> None:
        """Close a file, if it is open."""
        if (descriptor := self._open.pop(file, None)) is not None:
            file.suspend()
            os.close(descriptor)

    def hand_over(self, old: FollowedFile, new: FollowedFile) -> None:
        """Let the descriptor of a file belong to another one, which has the same identity."""
        if (descriptor := self._open.pop(old, None)) is not None:
            self._open[new] = descriptor

    def close_all(self) -> None:
        """Close all files."""
        for file in self:
            self.close(file)

    def _close_one(self) -> bool:
        file = next((it for it in self._open if it.names and it.work is None), None)
        if file is not None:
            self.close(file)
        return file is not None


def _open(file: FollowedFile) -> int:
    error: OSError = FileNotFoundError("no name leads to it any more")
    for name in file.names:
        try:
            descriptor = open_input(name, is_file=True)
        except OSError as found:
            error = found
            continue
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == file.identity:
            return descriptor
        os.close(descriptor)
    raise error
