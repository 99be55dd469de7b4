"""The file of a report: only its owner can read it, it is never half written, and no other file is lost to it."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE, printable
from ingestor.report.appender import ReportError
from ingestor.system.durable import sync_data, sync_directory

_LOOKED_AT = 200  # bytes


def refuse_other_files(path: Path, mark: str) -> None:
    """Raise UsageError if a file exists there that is not a report, or if none can be written there.

    A report has `mark` in its first bytes. A device or a pipe, such as /dev/stdout, is written to.
    """
    name = printable(str(path), WHOLE)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a directory" if path.is_dir() else "is in a directory that does not exist"
        raise UsageError(f"--to: {name} {what}: name a file.")
    if path.is_symlink() and (path.is_file() or not path.exists()):
        raise UsageError(f"--to: {name} is a symbolic link: name the file itself.")
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            begin = file.read(_LOOKED_AT)
    except OSError as error:
        raise UsageError(f"--to: {name} exists, and can't be read: {error.strerror}.") from error
    if begin and mark.encode() not in begin:
        raise UsageError(f"--to: {name} exists, and is not a report: name another file.")


def write_report(path: Path, text: str) -> None:
    """Write a report. Raises ReportError; then an older one is still there."""
    try:
        _write(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        name = printable(str(path), WHOLE)
        raise ReportError(f"The report {name} can't be written: {error.strerror}. Choose another file.") from error


def _write(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            sync_data(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)
