"""The files that a batch writes: each is one of its own, whatever its name, and no file that has another use."""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from ingestor.app.options import STDOUT, BatchOptions
from ingestor.journal.database import NAME
from ingestor.model.errors import UsageError
from ingestor.model.sources import Source
from ingestor.model.text import WHOLE, printable

_OF_THE_STATE = ("lock", NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal", "journal.new", "spool")
"""Names in the state directory that have a fixed use."""

_STREAMS = ("standard input", "standard output", "standard error")
_OF_A_RECORD = frozenset({"job_id", "experiment_id", "experiment_name", "run_name", "start_time", "tags"})
_LONGEST = 64 * 1024  # bytes of a first line that are looked at


def refuse_shared_outputs(options: BatchOptions) -> None:
    """Raise UsageError if log or rejects can't be files of their own.

    They are neither one file, nor a file of the state directory or of a standard stream, nor an existing file of
    another kind, such as a key.
    """
    if options.rejects_path == STDOUT:
        raise UsageError(
            "--rejects: must be a file: standard output has the summary. With --log - the reasons are in the log."
        )
    outputs = list(_outputs(options))
    for (option, path), (other, its) in combinations(outputs, 2):
        if _is_same(path, its):
            raise _shared(option, path, f"the file of {other}")
    for option, path in outputs:
        if (use := _use_of(path, options.state)) is not None:
            raise _shared(option, path, use)
        _refuse_foreign(option, path)


def refuse_another_use(option: str, path: Path, options: BatchOptions) -> None:
    """Raise UsageError if a further file of an option is the log, the rejects, or a file with a fixed use."""
    for other, its in _outputs(options):
        if _is_same(path, its):
            raise _shared(option, path, f"the file of {other}")
    if (use := _use_of(path, options.state)) is not None:
        raise _shared(option, path, use)


def refuse_outputs_among(options: BatchOptions, sources: Sequence[Source]) -> None:
    """Raise UsageError if log or rejects are one of the sources, under whatever name."""
    for source in sources:
        read = Path(source.path or source.name)
        for option, path in _outputs(options):
            if _is_same(path, read):
                raise _shared(option, path, f"the source {printable(source.name, WHOLE)}")


def _outputs(options: BatchOptions) -> Iterator[tuple[str, Path]]:
    """Yield each file that is written, with its option: also the names that the log gets when it is renamed."""
    if options.log_path != STDOUT:
        yield "--log", options.log_path
        if options.log_max_bytes is not None:
            number = options.rejects_path.name.removeprefix(f"{options.log_path.name}.")
            if number.isdecimal() and 1 <= int(number) <= options.log_keep:
                yield "--log-keep", options.log_path.with_name(f"{options.log_path.name}.{number}")
    yield "--rejects", options.rejects_path


def _use_of(path: Path, state: Path) -> str | None:
    """Return the other use of a file, in words; None if it has none."""
    for name in _OF_THE_STATE:
        if _is_same(path, state / name) or Path(os.path.realpath(state / name)) in Path(os.path.realpath(path)).parents:
            return f"{printable(str(state / name), WHOLE)} of the state directory"
    for number, name in enumerate(_STREAMS):
        if _identity_of(number) is not None and _identity_of(number) == _identity(path):
            return f"{name}; for the log on standard output give --log -" if number == 1 else name
    return None


def _refuse_foreign(option: str, path: Path) -> None:
    """Raise UsageError if a file has something else than JSON Lines, or records."""
    if not path.is_file() or not os.access(path, os.R_OK):
        return
    with path.open("rb") as file:
        first = file.readline(_LONGEST).strip()
    if (first and not first.startswith(b"{")) or _is_record(first):
        raise UsageError(
            f"{option}: {printable(str(path), WHOLE)} exists, and has something else than the lines of this option: "
            "choose another file."
        )


def _is_record(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and not _OF_A_RECORD.isdisjoint(found) and "event" not in found


def _shared(option: str, path: Path, use: str) -> UsageError:
    return UsageError(f"{option}: {printable(str(path), WHOLE)} is also {use}: choose another file.")


def _is_same(one: Path, other: Path) -> bool:
    identity = _identity(one)
    return identity is not None and identity == _identity(other)


def _identity(path: Path) -> object:
    """Return what is equal for all names of a file, also of one that does not exist; None for a device."""
    try:
        found = path.stat()
    except OSError:
        real = Path(os.path.realpath(path))
        try:
            folder = real.parent.stat()
        except OSError:
            return real
        return folder.st_dev, folder.st_ino, real.name
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def _identity_of(number: int) -> object:
    """Return the identity of a standard stream, if it is a regular file."""
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
