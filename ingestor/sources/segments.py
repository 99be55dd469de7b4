"""The files of the spool: each holds a piece of what one process read from its standard input, or accepted."""

import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from ingestor.model.sources import Position
from ingestor.sources.standard_input import StandardInput, write_all
from ingestor.system.durable import sync_data, sync_directory


class Kept(StrEnum):
    """What a segment is a piece of: the beginning of its name."""

    STDIN = "stdin"
    """Standard input."""
    ACCEPTED = "accepted"
    """The records of accepted requests."""


_NAME = re.compile(r"[a-z]+-s(\d{12})-of-(\d{12})-line-(\d+)(-inside)?(-end)?\.jsonl")


class SpoolPosition(msgspec.Struct, frozen=True):
    """Where reading continues: an offset in the segment of this number, where the line `line` begins."""

    segment: int
    offset: int
    line: int

    @staticmethod
    def parse(text: Position | None) -> "SpoolPosition | None":
        """Return the position that a text means; None if it means none."""
        try:
            return None if text is None else msgspec.json.decode(text, type=SpoolPosition)
        except msgspec.MsgspecError:
            return None

    def __str__(self) -> Position:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the spool: a piece of what one process received, its stream.

    Attributes:
        path: its path.
        number: grows from segment to segment; 0 for a file that an earlier version wrote, which is a whole stream.
        stream: the first segment of the same stream.
        line: the number of the line at the beginning of the segment.
        is_inside: the segment begins inside this line.
        is_last: the process saw the end of its standard input after this segment.
    """

    path: Path
    number: int
    stream: int
    line: int = 1
    is_inside: bool = False
    is_last: bool = False


def list_segments(folder: Path, kind: Kept = Kept.STDIN) -> list[Segment]:
    """Return the segments of one kind in a folder, oldest first."""
    paths = sorted(folder.glob(f"{kind}-*.jsonl"))  # the names of earlier versions sort first
    return [_parse_name(path, legacy=-index) for index, path in enumerate(paths, 1)]


def _parse_name(path: Path, legacy: int) -> Segment:
    if (found := _NAME.fullmatch(path.name)) is None:
        return Segment(path, 0, legacy, is_last=path.stem.endswith("-whole"))
    return Segment(path, int(found[1]), int(found[2]), int(found[3]), found[4] is not None, found[5] is not None)


class SegmentFile:
    """A new segment that is being written. Raises OSError, and DamagedSourceError from `append`.

    `size` is how many bytes of it are on disk.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        stream: int,
        line: int = 1,
        *,
        is_inside: bool = False,
        kind: Kept = Kept.STDIN,
    ) -> None:
        name = f"{kind}-s{number:012}-of-{stream:012}-line-{line}{'-inside' if is_inside else ''}.jsonl"
        self.segment = Segment(folder / name, number, stream, line, is_inside)
        self.size = 0
        self._file = os.open(self.segment.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        sync_directory(folder)  # a power cut does not remove the file

    def append(self, source: StandardInput, size: int) -> bytes:
        """Move at most `size` bytes of standard input to the disk and return them; nothing at its end."""
        count = source.move(self._file, size)
        if count:
            sync_data(self._file)
        block = os.pread(self._file, count, self.size)
        self.size += count
        return block

    def write(self, block: bytes) -> None:
        """Write a block to the disk. After an error nothing of it is in the file."""
        try:
            write_all(self._file, block)
            sync_data(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(block)

    def mark_end(self) -> None:
        """Record durably that standard input ended after this segment."""
        path = self.segment.path
        ended = path.rename(path.with_name(f"{path.stem}-end{path.suffix}"))
        self.segment = replace(self.segment, path=ended, is_last=True)
        sync_directory(ended.parent)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def make_folder(folder: Path) -> None:
    """Create the folder of the spool so that a power cut does not remove it. Raises OSError."""
    for path in (folder.parent, folder):  # one by one: `parents=True` would let others read the upper one
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)
