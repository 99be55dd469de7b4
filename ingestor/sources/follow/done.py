"""Files that are read to their end and done: they are deleted or moved without following a link."""

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from ingestor.sources.follow.consumed import Identity, State
from ingestor.sources.unchanged import state_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class DoneFile:
    """A file of which every record has a durable outcome: a path, and what the file was like when it was read."""

    path: str
    identity: Identity
    state: State


class Entry:
    """A name in a directory that is held open, and the file of this name. Nothing else is ever changed.

    Attributes:
        content: a path to the content of exactly this file.
    """

    def __init__(self, file: DoneFile, root: str, relative: str) -> None:
        self.file = file
        self._relative = relative
        self._folder = _open_folder(root, os.path.dirname(relative))
        self._name = os.path.basename(file.path)
        try:
            self._descriptor = os.open(self._name, _FILE, dir_fd=self._folder)
        except OSError:
            os.close(self._folder)
            raise
        self.content = f"/dev/fd/{self._descriptor}"

    @classmethod
    def open(cls, file: DoneFile, roots: Sequence[str]) -> "Entry | None":
        """Open the entry of a file. None if it is a link, is outside the roots, or has changed. Raises OSError."""
        folder, name = os.path.split(file.path)
        path = os.path.join(os.path.realpath(folder), name)
        root = next((it for it in roots if path.startswith(os.path.join(it, ""))), None)
        if root is None or os.path.islink(path):
            return None
        entry = cls(file, root, os.path.relpath(path, root))
        if entry.is_same:
            return entry
        entry.close()
        return None

    @property
    def is_same(self) -> bool:
        """Whether the name still stands for the file as it was read."""
        try:
            named = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return False
        return all(
            ((it.st_dev, it.st_ino), state_of(it)) == (self.file.identity, self.file.state)
            for it in (named, os.fstat(self._descriptor))
        )

    def delete(self) -> bool:
        """Delete the file, and return whether it was still the same. Raises OSError."""
        if not self.is_same:
            return False
        os.unlink(self._name, dir_fd=self._folder)
        return True

    def move(self, folder: Path) -> Path | None:
        """Move the file to the same place in another directory, under a free name; None if it is not the same any more.

        Raises OSError.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = os.path.dirname(self._relative)
        target = _open_folder(folder, place, is_new=True)
        try:
            name = self._move_into(target)
        finally:
            os.close(target)
        return None if name is None else folder / place / name

    def close(self) -> None:
        """Close the directory and the file."""
        os.close(self._descriptor)
        os.close(self._folder)

    def _move_into(self, target: int) -> str | None:
        """Move the file into an open directory, and return its name there."""
        name, descriptor = _reserve(target, self._name)
        is_moved = False
        try:
            if self.is_same:
                is_moved = self._rename(target, name) or self._copy(target, descriptor)
        finally:
            os.close(descriptor)
            if not is_moved:
                with suppress(OSError):
                    os.unlink(name, dir_fd=target)
        return name if is_moved else None

    def _rename(self, target: int, name: str) -> bool:
        """Give the file another name, and return whether that is possible: it is on the same file system."""
        is_possible = os.fstat(self._folder).st_dev == os.fstat(target).st_dev
        if is_possible:
            os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=target)
        return is_possible

    def _copy(self, target: int, descriptor: int) -> bool:
        """Copy the file to a new one, then delete it; return whether it was still the same."""
        with open(self._descriptor, "rb", closefd=False) as source, open(descriptor, "wb", closefd=False) as copy:
            source.seek(0)
            shutil.copyfileobj(source, copy)
        status = os.fstat(self._descriptor)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(descriptor)
        os.fsync(target)
        return self.delete()


def _open_folder(root: str | Path, relative: str, *, is_new: bool = False) -> int:
    """Open a directory below another one without following a link. If it `is_new`, it is created. Raises OSError."""
    folder = os.open(root, _FOLDER)
    for name in relative.split(os.sep) if relative else ():
        try:
            if is_new:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _reserve(folder: int, wanted: str) -> tuple[str, int]:
    """Create an empty file under a name that is free; return the name and a descriptor."""
    for name in chain([wanted], (f"{wanted}.{number}" for number in count(2))):
        with suppress(FileExistsError):
            return name, os.open(name, _NEW, 0o600, dir_fd=folder)
    raise AssertionError
