"""SOURCE arguments become inputs: files in a fixed order, or standard input."""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ingestor.model.errors import UsageError
from ingestor.model.sources import Source
from ingestor.model.text import WHOLE, printable

STDIN = "-"

SUFFIXES = (".jsonl", ".ndjson", ".json")
"""The ends of the names of record files in a directory; `.gz` or `.zst` may follow."""

_RECORD_FILES = tuple(suffix + packed for suffix in SUFFIXES for packed in ("", ".gz", ".zst"))
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/")  # in another process they mean something else
_TIMESTAMP = re.compile(r"-\d{8}T\d{6}Z(-\d+)?$")  # an earlier rejects file is renamed to a name with its time


@dataclass(frozen=True, slots=True)
class ReservedPaths:
    """The files that the program writes itself, which are never read as records; an empty path reserves nothing."""

    log: str = ""
    rejects: str = ""
    state: str = ""

    def writer(self, name: str) -> str | None:
        """Return the option that names this file as an output; None if no option does."""
        path = os.path.realpath(name)
        if self.log and path == os.path.realpath(self.log):
            return "--log"
        if self.rejects and _without_timestamp(path) == os.path.realpath(self.rejects):
            return "--rejects"
        if self.state and path.startswith(os.path.realpath(self.state) + os.sep):
            return "--state"
        return None


NO_RESERVED_PATHS = ReservedPaths()


def locate(sources: Sequence[str], reserved: ReservedPaths = NO_RESERVED_PATHS) -> list[str]:
    """Return the names of the inputs that `sources` mean, each input once, in sequence. No source means standard input.

    A source is a file, `-`, a directory or a glob (`**` matches any depth). A directory means its record files at any
    depth, also through links, sorted, without hidden ones. An existing name is never read as a glob. Directories and
    globs leave out `reserved` files.
    Raises UsageError for what can't be read, and for a file that is named and reserved.
    """
    unique: dict[object, str] = {}
    for source in sources or [STDIN]:
        for name in _expand(source, reserved):
            unique.setdefault(_identity(name), name)
    for name in unique.values():
        _check_readable(name)
    return list(unique.values())


def source_of(name: str) -> Source:
    """Return the source that a name means now, with the real path of a file: a link may lead elsewhere later."""
    if name == STDIN or is_descriptor(name):
        return Source(name, None)
    path = os.path.realpath(name)
    return Source(name, path if os.path.isfile(path) else None)


def is_descriptor(name: str) -> bool:
    """Return whether a name means a descriptor of the process that uses it, as in a shell's `<(command)`."""
    return os.path.abspath(name).startswith(_DESCRIPTORS)


def require_file(path: str) -> None:
    """Raise UsageError if there is no readable file under this very path. It is never read as a glob."""
    if not os.path.lexists(path):
        _raise_missing(path)
    if _is_pipe(path):
        raise UsageError(f"{printable(path, WHOLE)}: is no longer a file. Put the file back.")
    _check_readable(path)


def _expand(source: str, reserved: ReservedPaths) -> Iterator[str]:
    if source == STDIN:
        yield source
    elif os.path.isdir(source):
        yield from _files_in(source, reserved)
    elif os.path.lexists(source):
        if (option := reserved.writer(source)) is not None:
            raise UsageError(
                f"{printable(source, WHOLE)}: this program writes it ({option}), so it can't be read as records."
            )
        yield source
    elif glob.has_magic(source):
        yield from _matches(source, reserved)
    else:
        _raise_missing(source)


def _raise_missing(source: str) -> NoReturn:
    """Raise the reason why there is nothing under a name: this user may have no right to see it."""
    try:
        os.stat(source)
    except PermissionError as error:
        _raise_unreadable(error, source)
    except (OSError, ValueError):
        pass
    raise UsageError(f"{printable(source, WHOLE)}: there is no such file or directory.")


def _files_in(directory: str, reserved: ReservedPaths) -> list[str]:
    files, seen = [], set()
    for folder, folders, names in os.walk(directory, onerror=_raise_unreadable, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if (identity := _identity(folder)) in seen:  # a link back up the tree
            folders.clear()
        seen.add(identity)
        files += [os.path.join(folder, it) for it in names if it.endswith(_RECORD_FILES) and not it.startswith(".")]
    files = [name for name in files if reserved.writer(name) is None]
    if not files:
        kinds = ", *".join(SUFFIXES)
        raise UsageError(
            f"{printable(directory, WHOLE)}: there are no record files in it (*{kinds}, also with .gz or .zst)."
        )
    return sorted(files)


def _matches(pattern: str, reserved: ReservedPaths) -> list[str]:
    files = (match for match in glob.glob(pattern, recursive=True) if not os.path.isdir(match))
    matches = sorted("./-" if name == STDIN else name for name in files if reserved.writer(name) is None)
    if not matches:
        raise UsageError(f"{printable(pattern, WHOLE)}: no file matches.")
    return matches


def _identity(name: str) -> object:
    if name == STDIN:
        return STDIN
    try:
        status = os.stat(name)
    except OSError:
        return name
    return status.st_dev, status.st_ino


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


def _check_readable(name: str) -> None:
    """Raise UsageError for what can't be opened. A FIFO is not opened: that would disturb its writer."""
    if name == STDIN:
        return
    try:
        if not _is_pipe(name):
            open(name, "rb").close()
        elif not os.access(name, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        _raise_unreadable(error, name)


def _raise_unreadable(error: OSError, name: str = "") -> NoReturn:
    raise UsageError(f"{printable(name or str(error.filename), WHOLE)}: can't be read: {error.strerror}.") from None


def _without_timestamp(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    return _TIMESTAMP.sub("", stem) + suffix
