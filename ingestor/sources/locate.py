"""SOURCE arguments become inputs: files in a fixed order, or standard input."""

import errno
import glob
import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ingestor.model.errors import IngestorError, UsageError
from ingestor.model.sources import STDIN, SkippedFiles, Source
from ingestor.model.text import WHOLE, printable
from ingestor.sources.directory import Skipped, Walk, is_record_name, kind_of
from ingestor.sources.standard_input import check_standard_input
from ingestor.system.limits import limit_of

_STANDARD_INPUT = (STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/")  # in another process they mean something else
_NUMBER = re.compile(r"\.\d+$")  # the log is renamed to a name with a number
_TIMESTAMP = re.compile(r"-\d{8}T\d{6}Z(-\d+)?$")  # an earlier rejects file is renamed to a name with its time


@dataclass(frozen=True, slots=True)
class ReservedPaths:
    """The files that the program writes itself, which are never read as records; an empty path reserves nothing."""

    log: str = ""
    rejects: str = ""
    state: str = ""

    def resolved(self) -> "ReservedPaths":
        """Return the same with real paths, without links."""
        paths = {name: path and os.path.realpath(path) for name, path in asdict(self).items()}
        return ReservedPaths(**paths)

    def writer(self, path: str) -> str | None:
        """Return the option that names this real path as an output; None if no option does. `self` is resolved."""
        if self.log and _NUMBER.sub("", path) == self.log:
            return "--log"
        if self.rejects and _without_timestamp(path) == self.rejects:
            return "--rejects"
        if self.state and f"{path}{os.sep}".startswith(self.state + os.sep):
            return "--state"
        return None


NO_RESERVED_PATHS = ReservedPaths()


@dataclass(frozen=True, slots=True)
class Located:
    """What SOURCE arguments mean.

    Attributes:
        names: the inputs, each once, in sequence.
        skipped: what directories and globs leave out.
        empty: the directories and globs that gave no input.
    """

    names: Sequence[str]
    skipped: SkippedFiles
    empty: Sequence[str]

    @property
    def sources(self) -> list[Source]:
        """The inputs as sources: what each name means now."""
        return [source_of(name) for name in self.names]


def locate(
    sources: Sequence[str],
    reserved: ReservedPaths = NO_RESERVED_PATHS,
    *,
    unreadable: dict[str, IngestorError] | None = None,
) -> Located:
    """Return the inputs that `sources` mean. No source means standard input.

    A source is a file, `-`, a directory or a glob (`**` matches any depth). A directory means its record files at any
    depth, also through links, sorted, without hidden ones. An existing name is never read as a glob. Directories and
    globs leave out `reserved` files, and what is not a regular file.
    Raises UsageError for what can't be read, and for a file that is named and reserved; LimitError. With `unreadable`,
    each input that can't be opened is left out instead, and its error is added there by name.
    """
    return _Search(sources, reserved.resolved(), unreadable).run()


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
        raise _missing(path)
    if kind_of(path) not in ("file", ""):
        raise UsageError(f"{printable(path, WHOLE)}: is no longer a file. Put the file back.")
    _check_readable(path)


class _Search:
    """Finds the inputs that sources mean. `reserved` has real paths."""

    def __init__(
        self, sources: Sequence[str], reserved: ReservedPaths, unreadable: dict[str, IngestorError] | None
    ) -> None:
        self._unreadable = unreadable
        self._sources = sources or [STDIN]
        self._reserved = reserved
        self._skipped = Skipped(self._sources)
        self._walk = Walk(lambda path: reserved.writer(path) is not None, self._skipped)

    def run(self) -> Located:
        unique: dict[object, str] = {}
        empty = []
        for source in self._sources:
            names = self._expand(source)
            if not names:
                empty.append(source)
            for name in names:
                unique.setdefault(_identity(name), name)
        readable = [name for name in unique.values() if self._is_readable(name)]
        return Located(readable, self._skipped.files, empty)

    def _is_readable(self, name: str) -> bool:
        """Whether an input can be opened. Raises UsageError if it can't, unless such errors are collected."""
        try:
            _check_readable(name)
        except UsageError as error:
            if self._unreadable is None:
                raise
            self._unreadable[name] = error
            return False
        return True

    def _expand(self, source: str) -> list[str]:
        if source == STDIN:
            return [source]
        if os.path.isdir(source):
            return self._files_in(source)
        if os.path.lexists(source):
            self._refuse_own(source)
            return [source]
        if glob.has_magic(source):
            return self._matches(source)
        raise _missing(source)

    def _refuse_own(self, source: str) -> None:
        if (option := self._reserved.writer(os.path.realpath(source))) is not None:
            raise UsageError(
                f"{printable(source, WHOLE)}: this program writes it ({option}), so it can't be read as records."
            )

    def _files_in(self, directory: str) -> list[str]:
        self._refuse_own(directory)
        try:
            return sorted(self._walk.files(directory))
        except OSError as error:
            raise _unreadable(error) from None

    def _matches(self, pattern: str) -> list[str]:
        _require_folder(pattern)
        files = [it for it in glob.glob(pattern, recursive=True) if self._is_file(it, pattern)]
        if not files:
            _require_match(os.path.dirname(pattern))
        return sorted("./-" if it == STDIN else it for it in files)

    def _is_file(self, match: str, pattern: str) -> bool:
        if self._reserved.writer(os.path.realpath(match)) is not None:
            return False
        kind = kind_of(match)
        failure = _failure_of(match)
        if failure == errno.ENOENT and not is_record_name(match):  # the same rule as in a directory
            kind = "link to nothing"
        elif kind in ("file", ""):
            return failure != errno.ELOOP  # `**` finds such a path for a link back up the tree
        if kind != "directory" or "**" not in pattern:
            self._skipped.add(match, kind)
        return False


def _failure_of(match: str) -> int | None:
    """Return the number of the error if a path leads nowhere; None if it leads somewhere."""
    try:
        os.stat(match)
    except OSError as error:
        return error.errno
    return None


def _require_folder(pattern: str) -> None:
    """Raise UsageError if the folder that a glob begins with does not exist or can't be read."""
    parts = list(itertools.takewhile(lambda part: not glob.has_magic(part), pattern.split(os.sep)))
    folder = os.sep.join([*parts, ""]) or os.curdir
    if not os.path.lexists(folder):
        raise _missing(folder)
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise _unreadable(error, folder) from None


def _require_match(folder: str) -> None:
    """Raise UsageError if the folder of a glob has wildcards too, and no folder matches them."""
    if glob.has_magic(folder) and next(glob.iglob(os.path.join(folder, ""), recursive=True), None) is None:
        raise UsageError(f"{printable(folder, WHOLE)}: no folder matches.")


def _missing(source: str) -> IngestorError:
    """Return the reason why there is nothing under a name: this user may have no right to see it."""
    try:
        os.stat(source)
    except PermissionError as error:
        return _unreadable(error, source)
    except (OSError, ValueError):
        pass
    return UsageError(f"{printable(source, WHOLE)}: there is no such file or directory.")


def _identity(name: str) -> object:
    if name == STDIN:
        return STDIN
    try:
        status = os.stat(name)
    except OSError:
        return name
    return status.st_dev, status.st_ino


def _check_readable(name: str) -> None:
    """Raise UsageError for what can't be opened. Only a regular file is opened: to open others changes something."""
    if name in _STANDARD_INPUT:
        check_standard_input()
    if name == STDIN:
        return
    try:
        if kind_of(name) in ("file", ""):
            open(name, "rb").close()
        elif not os.access(name, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unreadable(error, name) from None


def _unreadable(error: OSError, name: str = "") -> IngestorError:
    return limit_of(error) or UsageError(
        f"{printable(name or str(error.filename), WHOLE)}: can't be read: {error.strerror}."
    )


def _without_timestamp(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    return _TIMESTAMP.sub("", stem) + suffix
