"""Which files there are, and which of them have changed: by looking, in bounded time.

A directory is listed when it changed. A file is looked at every second while it is active, and else in turn.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from math import ceil, inf

from ingestor.sources.follow.patterns import Moment, Pattern

ACTIVE = 600.0
"""Seconds after a change in which a file is looked at every time."""
ROUND = 25.0
"""Seconds in which every other file is looked at once."""

_KIND = 0o170000  # the bits of a mode that say what a file is

Status = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of the content and of the inode, in nanoseconds."""

Seen = tuple[str, Status | None]
"""A path, and what it leads to now: None if that is no regular file."""


def _say_nothing(_sentence: str) -> None:
    """Be the messages of what nobody watches."""


class _Path:
    """A path that is watched, and what it led to. `status` is None before it was looked at, and if it led nowhere."""

    __slots__ = ("active_until", "name", "status")

    def __init__(self, name: str) -> None:
        self.name = name
        self.status: Status | None = None
        self.active_until = inf


class Watch:
    """Watches what SOURCE arguments mean. Times are those of a monotonic clock.

    `is_own` says whether this program writes a file, by its real path. `say` takes sentences for the user.
    """

    def __init__(
        self, sources: Sequence[str], is_own: Callable[[str], bool], say: Callable[[str], None] = _say_nothing
    ) -> None:
        self._patterns = [Pattern(source) for source in sources]
        self._is_own = is_own
        self._say = say
        self._unlisted: set[str] = set()
        self._paths: dict[str, _Path] = {}
        self._active: dict[str, _Path] = {}
        self._idle: list[_Path] = []
        self._next = 0  # index of the idle path that is looked at next
        self._looked_at: float | None = None
        self._folder = ("", os.path.realpath(""))  # the last one, and its real path

    def __len__(self) -> int:
        return len(self._paths)

    def look(self, moment: Moment) -> Iterator[Seen]:
        """Yield the paths that are new, gone or changed since the last call."""
        now = moment.now
        appeared: dict[str, None] = {}
        unlisted: dict[str, OSError] = {}
        for pattern in self._patterns:
            names = pattern.look(moment)
            unlisted |= names.unlisted
            for path in names.gone:
                if self._forget(path):
                    yield path, None
            appeared |= dict.fromkeys(names.appeared)
        for path in unlisted.keys() - self._unlisted:
            self._say(f"{path}: can't be listed: {unlisted[path].strerror}")
        self._unlisted = set(unlisted)
        for path in appeared:
            if path not in self._paths and not self._is_reserved(path):
                self._paths[path] = self._active[path] = _Path(path)
        due = self._due(now, appeared, everything=moment.everything)
        for watched in due:
            status = _found(watched.name)
            if status != watched.status:
                self._note_change(watched, status, moment)
                yield watched.name, status
        self._looked_at = now

    def _due(self, now: float, appeared: dict[str, None], *, everything: bool) -> list[_Path]:
        """Return what is looked at now: what is active, what may be another file, and a part of all others."""
        if everything:
            return list(self._paths.values())
        for path in [path for path, it in self._active.items() if it.active_until < now]:
            self._idle.append(self._active.pop(path))
        again = [self._paths[path] for path in appeared if path in self._paths and path not in self._active]
        return [*self._active.values(), *again, *self._in_turn(now)]

    def _in_turn(self, now: float) -> list[_Path]:
        since = 0.0 if self._looked_at is None else now - self._looked_at
        count = min(len(self._idle), ceil(len(self._idle) * since / ROUND))
        due = self._idle[self._next : self._next + count]
        self._next += count
        if self._next >= len(self._idle):
            self._next = 0
            self._idle = [
                it for it in dict.fromkeys(self._idle) if self._paths.get(it.name) is it and it.name not in self._active
            ]
        return [it for it in due if self._paths.get(it.name) is it]

    def _note_change(self, watched: _Path, status: Status | None, moment: Moment) -> None:
        watched.status = status
        if status is None:
            watched.active_until = inf
        else:
            age = moment.wall - status[3] / 1e9 if self._looked_at is None else 0.0
            watched.active_until = moment.now + ACTIVE - max(0.0, age)
        self._active[watched.name] = watched

    def _forget(self, path: str) -> bool:
        self._active.pop(path, None)
        return self._paths.pop(path, None) is not None

    def _is_reserved(self, path: str) -> bool:
        return self._is_own(self.real_path(path))

    def real_path(self, path: str) -> str:
        """Return a path without links."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder != self._folder[0]:
            self._folder = (folder, os.path.realpath(folder))
        return os.path.join(self._folder[1], name)


def status_of(status: os.stat_result) -> Status:
    """Return what is compared of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _found(path: str) -> Status | None:
    """Return what a path leads to; None if that is no regular file, or can't be found out."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if status.st_mode & _KIND != stat.S_IFREG:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
