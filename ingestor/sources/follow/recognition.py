"""What plain and compressed files have in common: another format, possible copies, and whether they are complete."""

from collections.abc import Callable, Sequence

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Chunk, Position
from ingestor.policy.identity import Scope
from ingestor.sources.follow.consumed import Consumed, State, first_digest
from ingestor.sources.follow.files import FollowedFile
from ingestor.sources.follow.memory import Alike, Memory
from ingestor.sources.follow.plain import TURN
from ingestor.sources.formats import format_of
from ingestor.sources.json_formats import is_empty_array
from ingestor.sources.lines import damage, to_lines
from ingestor.sources.opening import Opening
from ingestor.sources.other_format import refusal
from ingestor.sources.parse import parse_record

SETTLED = 2.0
"""Seconds without a change after which a compressed file, or a copy, counts as complete."""
RETRY = 5.0
"""Seconds after which a compressed file that is not complete is read again."""


class Later(Exception):  # noqa: N818 - no error: the file is not complete yet
    """A file is to be read later, in so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Recognition:
    """Says what a file is by its beginning. `now` is monotonic.

    Attributes:
        read_bytes: how many bytes of text were read of all files.
        is_finishing: whether every file counts as complete.
    """

    def __init__(self, scope: Scope, memory: Memory, now: Callable[[], float]) -> None:
        self._scope = scope
        self._memory = memory
        self._now = now
        self.read_bytes = 0
        self.is_finishing = False

    def parse(self, file: FollowedFile, first: int, texts: Sequence[bytes]) -> list[Job | Reject]:
        """Return the records of lines, of which the first one has this number."""
        scope = self._scope
        return [parse_record(line, scope) for line in to_lines(file.source.name, first, texts)]

    def chunk(self, file: FollowedFile, records: Sequence[Job | Reject], position: Position, first: bytes) -> Chunk:
        """Return what was read of a file whose first line has this digest."""
        self._memory.remember(file, first)
        return Chunk(file.source, records, position, is_again=file.offset <= file.again_until)

    def settle(self, file: FollowedFile, state: State) -> None:
        """Record that nothing more is to be read of a file in this state."""
        file.settled = state
        if state != file.state:
            file.status, file.changed_at = (*file.identity, *state), self._now()

    def alike(self, file: FollowedFile, first: bytes, size: float) -> list[Alike]:
        """Return the files with the same first line. What is read of them up to this size may come twice."""
        alike = self._memory.alike(first, file)
        for it in [file, *alike] if alike else ():
            if isinstance(it, FollowedFile):
                it.again_until = max(it.again_until, size)
        return alike

    def other_format(self, file: FollowedFile, head: bytes, *, unpack: str = "") -> Chunk | None:
        """Refuse a file that does not begin as JSON Lines do; None if it may be JSON Lines.

        `unpack` is the command that decompresses it.
        """
        opening = Opening(head.lstrip(b"\0"), is_cut=True)  # a truncation may leave a hole
        found = format_of(opening) if first_of(head) else None
        if found is None or is_empty_array(opening.head):
            return None
        file.refused = (len(head), first_digest(head))
        reject = damage(Origin(file.source.name, 1), refusal(found, opening, file.name, unpack), b"")
        return Chunk(file.source, [reject], str(file.position(Consumed(), file.state)))

    def require_complete(self, file: FollowedFile, seconds: float = SETTLED) -> None:
        """Raise Later if a file may still be being written: it has a name, and changed in the last `seconds`."""
        if file.names and (silent := self._now() - file.changed_at) < seconds and not self.is_finishing:
            raise Later(min(RETRY, seconds - silent))


def first_of(head: bytes) -> bytes:
    """Return the digest of the first line, if it is there; else nothing."""
    return first_digest(head) if b"\n" in head or len(head) >= TURN else b""
