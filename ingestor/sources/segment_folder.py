"""Where the segments of one source of a batch are: their numbers, and which of them may be deleted."""

import hashlib
import json
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestor.model.sources import Checkpoint, Position, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.segments import Kept, Segment, SegmentFile, SpoolPosition, list_segments, make_folder

SEGMENT_SIZE = 1024 * 1024
"""A segment of this many bytes or more is sealed."""
SILENCE = 1.0
"""Seconds without input after which a segment is sealed."""

_AFTER_ALL = 2**63

_FOLDER = "spool"
_SCOPE = "scope.json"  # for people: whose input a folder keeps


@dataclass(frozen=True, slots=True)
class KeptElsewhere:
    """What the state directory keeps of one kind for another target or batch; `scope` is None if it is not known."""

    folder: Path
    kind: Kept
    size: int
    scope: Scope | None


def kept_elsewhere(state: Path, scope: Scope) -> list[KeptElsewhere]:
    """Return what is kept in a state directory for all targets and batches but this one."""
    own = SegmentFolder(state, scope, Kept.STDIN).folder
    others = [folder for folder in sorted((state / _FOLDER).glob("*")) if folder != own]
    found = [KeptElsewhere(it, kind, _kept_size(it, kind), _scope_of(it)) for it in others for kind in Kept]
    return [kept for kept in found if kept.size]


def _kept_size(folder: Path, kind: Kept) -> int:
    size = 0
    for segment in list_segments(folder, kind):
        with suppress(OSError):  # its owner may delete it just now
            size += segment.path.stat().st_size
    return size


def _scope_of(folder: Path) -> Scope | None:
    try:
        return Scope(**json.loads((folder / _SCOPE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


class SegmentFolder:
    """The segments of one source of a batch, in the state directory. It belongs to the owner of that directory.

    A segment is deleted once it is sealed and the durable checkpoint has passed its end. Every method but `make` may be
    called from any thread.
    """

    def __init__(self, state: Path, scope: Scope, kind: Kept) -> None:
        batch = f"{scope.platform}\0{scope.workspace}\0{scope.batch}"
        self.folder = state / _FOLDER / hashlib.sha256(batch.encode()).hexdigest()[:16]
        self._scope = scope
        self._kind = kind
        self._highest = 0
        self._lock = threading.Lock()  # guards what follows
        self._sealed: deque[tuple[int, int, Path]] = deque()  # number, size and path of what may be deleted
        self._passed = (-1, 0)  # the durable checkpoint: a segment and an offset

    def make(self) -> None:
        """Create the folder, with a file that names its target and batch. Raises OSError."""
        make_folder(self.folder)
        scope = {"platform": self._scope.platform, "workspace": self._scope.workspace, "batch": self._scope.batch}
        path = self.folder / _SCOPE
        path.touch(mode=0o600)
        path.write_text(json.dumps(scope))

    def segments(self) -> list[Segment]:
        """Return what is kept, oldest first."""
        segments = list_segments(self.folder, self._kind)
        self._highest = max([self._highest, *(it.number for it in segments)])
        return segments

    def next_number(self, start: Position | None = None) -> int:
        """Return a number above those of all segments that were listed or numbered, and of a position."""
        position = SpoolPosition.parse(start)
        self._highest = max(self._highest, 0 if position is None else position.segment) + 1
        return self._highest

    def begin(self, number: int, stream: int, line: int = 1, *, is_inside: bool = False) -> SegmentFile:
        """Create a segment. Raises OSError."""
        return SegmentFile(self.folder, number, stream, line, is_inside=is_inside, kind=self._kind)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.segments()

    def seal(self, segment: Segment, size: int) -> None:
        """Record that a segment is complete."""
        with self._lock:
            self._sealed.append((segment.number, size, segment.path))
            self._delete_passed()

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """Delete the sealed segments that a durable checkpoint has passed."""
        position = SpoolPosition.parse(checkpoint.position)
        with self._lock:
            if checkpoint.end is SourceEnd.COMPLETE:
                self._passed = (_AFTER_ALL, 0)
            elif position is not None:
                self._passed = (position.segment, position.offset)
            self._delete_passed()

    def _delete_passed(self) -> None:
        while self._sealed and self._sealed[0][:2] <= self._passed:
            path = self._sealed.popleft()[2]
            with suppress(OSError):  # a file that stays only uses space; the next execution skips it
                path.unlink()
