"""The names in directories, read again only when they may have changed."""

import os
import time
from dataclasses import dataclass, field
from math import inf

LIST_EVERY = 30.0
"""Seconds after which a directory is listed again although its time of change is the same: not every file system
changes it when a file appears."""

_RACY = 3.0  # seconds: a name that appears so soon after another one may leave the directory's time unchanged
_PAUSE = 5.0  # how many times longer than its last listing took processor time a directory is not listed again


@dataclass(slots=True)
class Changes:
    """What a listing found: names of files that are new or stand for another file, links, and names that are gone."""

    appeared: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Folder:
    """A directory. `folders` are the names of the directories in it, without hidden ones."""

    __slots__ = ("_changed_at", "_files", "_is_sure", "_links", "_listed_at", "_took", "folders", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.folders: list[str] = []
        self._files: dict[str, int] = {}
        self._links: set[str] = set()
        self._changed_at = -1
        self._is_sure = False
        self._listed_at = -inf
        self._took = 0.0

    def look(self, now: float, wall: float, *, everything: bool) -> Changes | None:
        """List the names if they may have changed; None if they have not. Raises OSError.

        `now` is monotonic, `wall` the time of the file system's clock.
        """
        changed_at = os.stat(self.path or os.curdir).st_mtime_ns
        age = now - self._listed_at
        is_same = changed_at == self._changed_at and self._is_sure and age < LIST_EVERY
        if not everything and (is_same or age < _PAUSE * self._took):
            return None
        self._changed_at, self._listed_at = changed_at, now
        self._is_sure = wall - changed_at / 1e9 > _RACY
        began = time.thread_time()
        changes = self._list()
        self._took = time.thread_time() - began
        return changes

    def names(self) -> list[str]:
        """Return the names of all files and links that were listed."""
        return [*self._files, *self._links]

    def _list(self) -> Changes:
        files: dict[str, int] = {}
        links: set[str] = set()
        self.folders = []
        with os.scandir(self.path or os.curdir) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links.add(entry.name)
                    if not entry.name.startswith(".") and _leads_to_folder(entry):
                        self.folders.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        self.folders.append(entry.name)
                else:
                    files[entry.name] = entry.inode()
        before, self._files = self._files, files
        links_before, self._links = self._links, links
        return Changes(
            [name for name, number in files.items() if before.get(name) != number],
            list(links),
            [name for name in [*before, *links_before] if name not in files and name not in links],
        )


def _leads_to_folder(link: "os.DirEntry[str]") -> bool:
    """Whether a link leads to a directory. One that leads nowhere, to itself or to a forbidden place does not."""
    try:
        return link.is_dir()
    except OSError:
        return False
