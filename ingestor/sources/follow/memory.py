"""Files that are known: to find the row of a file again, and the file of which another one is a copy."""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter

from ingestor.model.sources import Checkpoint, Source
from ingestor.sources.follow.consumed import FollowPosition, Identity
from ingestor.sources.follow.files import FollowedFile

MOST_ENDED = 1000
"""How many files are remembered that are gone."""

_PORTION = 1000
_MOST_ALIKE = 8  # files with the same first line, of which those are compared that were read farthest


Alike = FollowedFile | FollowPosition
"""A file of this execution, or where an earlier execution was in a file."""


class Memory:
    """What is known of files: of those that are followed, of those that are gone, and of those of earlier executions.

    Attributes:
        rows: the sources in the journal that no file has been found for, each with its position.
    """

    def __init__(self, known: Iterable[Checkpoint]) -> None:
        self.rows: dict[Source, FollowPosition] = {}
        self._by_identity: dict[Identity, list[Source]] = {}
        self._alike: dict[str, list[Alike]] = {}
        self._ended: OrderedDict[FollowedFile, None] = OrderedDict()
        self.last_number = 0
        for checkpoint in known:
            source, position = checkpoint.source, FollowPosition.parse(checkpoint.position)
            self.last_number = max(self.last_number, source.number)
            if position is not None:
                self.rows[source] = position
                self._by_identity.setdefault(position.identity, []).append(source)
                self._add(position.first, position)

    def next_number(self) -> int:
        """Return a number that no file has."""
        self.last_number += 1
        return self.last_number

    def claim(self, identity: Identity) -> tuple[Source, FollowPosition] | None:
        """Take the row of the file that had this identity last; its content is not compared yet."""
        sources = self._by_identity.pop(identity, [])
        found = [(source, self.rows.pop(source)) for source in sources if source in self.rows]
        for source, position in found[:-1]:
            self.rows[source] = position
        return found[-1] if found else None

    def take_rows(self) -> list[tuple[Source, FollowPosition]]:
        """Return some of the rows that no file has been found for, and know them no more."""
        taken = list(islice(self.rows.items(), _PORTION))
        for source, _ in taken:
            del self.rows[source]
        return taken

    def remember(self, file: FollowedFile, first: bytes) -> None:
        """Let copies of a file be recognized, by its first line."""
        if not file.first:
            file.first = first
            self._add(first.hex(), file)

    def end(self, file: FollowedFile) -> None:
        """Keep a file that is gone for a while."""
        self._ended[file] = None
        while len(self._ended) > MOST_ENDED:
            gone, _ = self._ended.popitem(last=False)
            self._drop(gone)

    def alike(self, first: bytes, file: FollowedFile) -> list[Alike]:
        """Return other files with this first line, of which a file may be a copy."""
        return [it for it in self._alike.get(first.hex(), ()) if it is not file]

    def _add(self, first: str, known: Alike) -> None:
        if first:
            alike = self._alike.setdefault(first, [])
            alike.append(known)
            if len(alike) > _MOST_ALIKE:
                alike.remove(min(alike, key=attrgetter("offset")))

    def _drop(self, gone: FollowedFile) -> None:
        alike = self._alike.get(gone.first.hex())
        if alike is not None and gone in alike:
            alike.remove(gone)
            if not alike:
                del self._alike[gone.first.hex()]


def durable(alike: Iterable[Alike]) -> list[FollowPosition]:
    """Return the positions before which every record of these files has a durable outcome."""
    positions = [it if isinstance(it, FollowPosition) else FollowPosition.parse(it.durable) for it in alike]
    return [it for it in positions if it is not None]
