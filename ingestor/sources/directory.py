"""What a directory means: its record files at any depth. What is left out is counted."""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator

from ingestor.model.sources import SkippedFiles
from ingestor.sources.compression import SUFFIXES

SPELLINGS = ("jsonl", "ndjson", "json", "jsonlines", "jl", "ldjson")
"""How the names of record files end, in upper or lower case.

The number or time of a rotated file may follow, and the suffix of a compression: `runs.jsonl.2.gz`."""

MOST_EXAMPLES = 3

_ROTATED = r"(?:[.-]\d[\dT:_.-]*Z?)?"
_RECORD_FILE = re.compile(
    rf"\.(?:{'|'.join(SPELLINGS)}){_ROTATED}(?:\.(?:{'|'.join(SUFFIXES)}))?{_ROTATED}\Z", re.IGNORECASE
)


def is_record_name(name: str) -> bool:
    """Return whether a file with this name is a record file of its directory, if it is not hidden."""
    return _RECORD_FILE.search(name) is not None


class Skipped:
    """Counts files that are not read, without those that the user named besides."""

    def __init__(self, named: Collection[str]) -> None:
        self._named = {os.path.abspath(name) for name in named}
        self._count = 0
        self._examples: list[str] = []

    def add(self, path: str, kind: str = "") -> None:
        """Count a path that is left out; `kind` says what it is, if its name is not the reason."""
        if os.path.abspath(path) in self._named:
            return
        self._count += 1
        if len(self._examples) < MOST_EXAMPLES:
            self._examples.append(f"{path} ({kind})" if kind else path)

    @property
    def files(self) -> SkippedFiles:
        """What was counted."""
        return SkippedFiles(self._count, tuple(self._examples))


class Walk:
    """Finds the record files of directories, also through links. A directory that was read before is left out.

    Hidden directories and hidden files are left out; a hidden file with the name of a record file is counted.
    `is_own` says whether this program writes a file or a directory, by its real path: they are left out, uncounted.
    """

    def __init__(self, is_own: Callable[[str], bool], skipped: Skipped) -> None:
        self._is_own = is_own
        self._skipped = skipped
        self._seen: set[tuple[int, int]] = set()

    def files(self, directory: str) -> Iterator[str]:
        """Yield the record files in a directory at any depth. Raises OSError for a directory that can't be read."""
        left = [directory]
        while left:
            folder = left.pop()
            if not self._is_new(folder):
                continue
            real = os.path.realpath(folder)
            folders = []
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda it: it.name):
                    if self._is_own(os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"):
                        continue
                    if kind_of(entry) == "directory":
                        folders += [] if entry.name.startswith(".") else [entry.path]
                    elif self._is_record_file(entry):
                        yield entry.path
            left += reversed(folders)

    def _is_new(self, folder: str) -> bool:
        status = os.stat(folder)
        identity = status.st_dev, status.st_ino
        is_new = identity not in self._seen
        self._seen.add(identity)
        return is_new

    def _is_record_file(self, entry: "os.DirEntry[str]") -> bool:
        kind, is_hidden = kind_of(entry), entry.name.startswith(".")
        if not is_record_name(entry.name):
            if kind == "file" and not is_hidden:
                self._skipped.add(entry.path)
        elif is_hidden:
            self._skipped.add(entry.path, "hidden")
        elif kind in ("file", ""):  # what it is can't be found out: reading it fails with the reason
            return True
        else:
            self._skipped.add(entry.path, kind)
        return False


_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def kind_of(entry: "os.DirEntry[str] | str") -> str:
    """Return what a path leads to: file, directory, pipe, socket, device; "" if that can't be found out."""
    try:
        if not isinstance(entry, str):
            if entry.is_file():
                return "file"
            if entry.is_dir():
                return "directory"
        mode = os.stat(entry).st_mode
    except (OSError, ValueError):
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")
