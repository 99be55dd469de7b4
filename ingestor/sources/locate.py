"""SOURCE arguments to concrete inputs: files in a fixed order, or standard input."""

import errno
import glob
import os
import stat
from collections.abc import Iterator, Sequence

from ingestor.model.errors import UsageError
from ingestor.sources.reserved_paths import ReservedPaths

STDIN = "-"

SUFFIXES = (".jsonl", ".ndjson", ".json")
"""The names of record files, in directories; each may end in .gz or .zst as well."""

_RECORD_FILES = tuple(suffix + packed for suffix in SUFFIXES for packed in ("", ".gz", ".zst"))


_NO_OUTPUTS = ReservedPaths()


def locate(sources: Sequence[str], outputs: ReservedPaths = _NO_OUTPUTS) -> list[str]:
    """Return the inputs that `sources` mean, each once, in order; none at all means standard input.

    A source is a file, `-`, a directory (its record files at any depth and through links, sorted, hidden ones left out)
    or a glob (`**` for any depth). A name that exists is never read as a glob.
    Of directories and globs, `outputs` are left out. Raises UsageError for what can't be read, and for an output.
    """
    unique: dict[object, str] = {}
    for source in sources or [STDIN]:
        for name in _expand(source, outputs):
            unique.setdefault(_identity(name), name)
    for name in unique.values():
        _check_readable(name)
    return list(unique.values())


def may_be_file(name: str) -> bool:
    """Whether a file stands under a name or may have: no pipe and no directory does."""
    return os.path.isfile(name) or not os.path.exists(name)


def require_file(path: str) -> None:
    """Raise UsageError where no file that can be read stands under this very path: it is never read as a glob."""
    if not os.path.lexists(path):
        raise UsageError(_lack(path))
    if _is_pipe(path):
        raise UsageError(f"{_shown(path)}: is no file any more.")
    _check_readable(path)


def _expand(source: str, outputs: ReservedPaths) -> Iterator[str]:
    if source == STDIN:
        yield source
    elif os.path.isdir(source):
        yield from _files_in(source, outputs)
    elif os.path.lexists(source):
        if (option := outputs.writer(source)) is not None:
            raise UsageError(f"{_shown(source)}: is written by {option}, and can't be read as records too.")
        yield source
    elif glob.has_magic(source):
        yield from _matches(source, outputs)
    else:
        raise UsageError(_lack(source))


def _lack(source: str) -> str:
    """Say why nothing stands under a name: it may only be hidden from this user."""
    try:
        os.stat(source)
    except PermissionError as error:
        return f"{_shown(source)}: can't be read: {error.strerror}."
    except (OSError, ValueError):
        pass
    return f"{_shown(source)}: there is no such file or directory."


def _files_in(directory: str, outputs: ReservedPaths) -> list[str]:
    files, seen = [], set()
    for folder, folders, names in os.walk(directory, onerror=_raise_unreadable, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if (identity := _identity(folder)) in seen:  # a link back up the tree
            folders.clear()
        seen.add(identity)
        files += [os.path.join(folder, name) for name in names if _is_record_file(name)]
    files = [name for name in files if outputs.writer(name) is None]
    if not files:
        raise UsageError(
            f"{_shown(directory)}: no record files are in it (*{', *'.join(SUFFIXES)}, also .gz and .zst)."
        )
    return sorted(files)


def _matches(pattern: str, outputs: ReservedPaths) -> list[str]:
    files = (match for match in glob.glob(pattern, recursive=True) if not os.path.isdir(match))
    matches = sorted(_as_file(name) for name in files if outputs.writer(name) is None)
    if not matches:
        raise UsageError(f"{_shown(pattern)}: no file matches.")
    return matches


def _as_file(name: str) -> str:
    return f"./{name}" if name == STDIN else name


def _is_record_file(name: str) -> bool:
    return name.endswith(_RECORD_FILES) and not name.startswith(".")


def _identity(name: str) -> object:
    if name == STDIN:
        return STDIN
    try:
        about = os.stat(name)
    except OSError:
        return name
    return about.st_dev, about.st_ino


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


def _check_readable(name: str) -> None:
    """Refuse what can't be opened before anything is read. A FIFO is not opened: that would disturb its writer."""
    if name == STDIN:
        return
    try:
        if not _is_pipe(name):
            open(name, "rb").close()
        elif not os.access(name, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"{_shown(name)}: can't be read: {error.strerror}.") from None


def _raise_unreadable(error: OSError) -> None:
    raise UsageError(f"{_shown(str(error.filename))}: can't be read: {error.strerror}.")


def _shown(name: str) -> str:
    return repr(name)[1:-1]
