"""What a SOURCE means while it is followed: which names it has now, and which of them are new or gone."""

import fnmatch
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from glob import has_magic

from ingestor.sources.directory import is_record_name
from ingestor.sources.follow.folders import Changes, Folder

UNFINISHED = (".tmp", ".part")
"""How the names of files end that are not complete yet. They are left out unless a pattern ends so."""

_ANY_DEPTH = "**"

_Matches = Callable[[str], bool]


@dataclass(slots=True)
class Names:
    """Paths that are new, or may stand for another file now; those that are gone; directories that can't be listed."""

    appeared: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unlisted: dict[str, OSError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """When names are looked at: by a monotonic clock and by that of the files; and whether everything is listed."""

    now: float
    wall: float
    everything: bool = False


class Pattern:
    """A file, a directory or a glob that is followed. It may mean nothing yet, or something else later.

    A glob matches as `glob` does; a directory means its record files at any depth. Both leave out hidden files, and
    those whose names say that they are not complete.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._folders: dict[str, Folder] = {}
        self._files_in: dict[str, _Matches] = {}
        self._is_known = False

    def look(self, moment: Moment) -> Names:
        """Return what changed since the last call."""
        walk = _Walk(self._folders, moment)
        if os.path.isdir(self.source):
            walk.go(self.source, (_ANY_DEPTH, ""), (_is_anything, _is_record_file))
        elif has_magic(self.source) and not os.path.lexists(self.source):
            base, parts = _split(self.source)
            walk.go(base, parts, [_matcher(part) for part in parts])
        elif not self._is_known:
            self._is_known = True
            walk.names.appeared.append(self.source)
        for path in self._folders.keys() - walk.listed.keys():
            _keep_gone(self._folders.pop(path).names(), path, self._files_in.pop(path, _is_nothing), walk.names)
        self._files_in |= walk.files_in
        return walk.names


class _Walk:
    """One look at all directories of a pattern."""

    def __init__(self, folders: dict[str, Folder], moment: Moment) -> None:
        self._folders = folders
        self._moment = moment
        self._visited: set[tuple[int, int, int]] = set()
        self.listed: dict[str, Changes | None] = {}
        self.files_in: dict[str, _Matches] = {}
        self.names = Names()

    def go(self, path: str, parts: Sequence[str], matches: Sequence[_Matches]) -> None:
        """Look at what the rest of a pattern means in a directory."""
        if len(parts) == 1:
            self._files(path, matches[0])
        elif parts[0] == _ANY_DEPTH:
            if self._is_new(path, len(parts)):
                self.go(path, parts[1:], matches[1:])
                for name in self._subfolders(path):
                    self.go(_join(path, name), parts, matches)
        elif has_magic(parts[0]):
            for name in filter(matches[0], self._subfolders(path)):
                self.go(_join(path, name), parts[1:], matches[1:])
        else:
            self.go(_join(path, parts[0]), parts[1:], matches[1:])

    def _files(self, path: str, matches: _Matches) -> None:
        changes = self._list(path)
        if path not in self._folders:
            return
        self.files_in[path] = matches
        if changes is not None:
            found = [*changes.appeared, *changes.links]
            self.names.appeared += [_join(path, name) for name in found if matches(name)]
            _keep_gone(changes.gone, path, matches, self.names)

    def _subfolders(self, path: str) -> list[str]:
        self._list(path)
        return self._folders[path].folders if path in self._folders else []

    def _list(self, path: str) -> Changes | None:
        """List a directory, once in a look. One that can't be listed has no names."""
        if path not in self.listed:
            folder = self._folders.get(path) or Folder(path)
            try:
                changes = folder.look(self._moment.now, self._moment.wall, everything=self._moment.everything)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                self.names.unlisted[path] = error
                return None
            self._folders[path] = folder
            self.listed[path] = changes
        return self.listed[path]

    def _is_new(self, path: str, depth: int) -> bool:
        """Whether a directory was not visited yet at this place of the pattern: a link may lead back up."""
        try:
            status = os.stat(path or os.curdir)
        except OSError:
            return False
        identity = (status.st_dev, status.st_ino, depth)
        is_new = identity not in self._visited
        self._visited.add(identity)
        return is_new


def root_of(source: str) -> str:
    """Return the directory, without links, in which everything is that a source means, unless links lead elsewhere."""
    if os.path.isdir(source):
        return os.path.realpath(source)
    base = _split(source)[0] if has_magic(source) and not os.path.lexists(source) else os.path.dirname(source)
    return os.path.realpath(base)


def _keep_gone(gone: Sequence[str], path: str, matches: _Matches, names: Names) -> None:
    names.gone += [_join(path, name) for name in gone if matches(name)]


def _split(pattern: str) -> tuple[str, list[str]]:
    """Return the directory that a glob begins with, and its other parts. `**` at the end means all files."""
    parts = pattern.split(os.sep)
    count = next(index for index, part in enumerate(parts) if has_magic(part))
    base = os.sep.join(parts[:count]) or (os.sep if count else "")
    rest = [part for part in parts[count:] if part]
    return base, [*rest, "*"] if rest[-1] == _ANY_DEPTH else rest


def _matcher(part: str) -> _Matches:
    """Return whether a name matches a part of a pattern."""
    return partial(
        _is_match, re.compile(fnmatch.translate(part)).match, part.startswith("."), part.endswith(UNFINISHED)
    )


def _is_match(matches: Callable[[str], object], is_hidden: bool, is_unfinished: bool, name: str) -> bool:
    if name.startswith(".") and not is_hidden:
        return False
    return bool(matches(name)) and (is_unfinished or not name.endswith(UNFINISHED))


def _is_record_file(name: str) -> bool:
    return not name.startswith(".") and is_record_name(name)


def _is_anything(_name: str) -> bool:
    return True


def _is_nothing(_name: str) -> bool:
    return False


def _join(path: str, name: str) -> str:
    return os.path.join(path, name) if path else name
