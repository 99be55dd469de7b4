"""`rejects.jsonl`: the records that the last run rejected, to be fixed and sent again. `resume` adds to them.

The file of an earlier run is kept under another name. It is renamed only when this run has a record to write, or
completes: `jq -r .record rejects.jsonl | ingestor run -` opens the old file before this run rejects anything.
"""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.model.events import Event, RecordRejected
from ingestor.model.record import Reject
from ingestor.model.text import printable
from ingestor.report.appender import Appender, ReportError
from ingestor.report.output_file import OutputFile, open_to_append
from ingestor.report.text import json_line

_OPTION = "--rejects"


class RejectsFile(Appender):
    """An EventLog that writes a line for every rejected record: `source`, `line`, `reason`, `record`.

    After a run that completed, the file exists if and only if the run rejected something. The file of an earlier run
    becomes `rejects-<time of its last line, UTC>.jsonl`, with a number after it where that name is taken.
    With `append`, the run continues earlier ones: it adds to their file, and never renames it.
    Raises UsageError if `path` can't be a file.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        name = printable(str(path))
        if not _is_writable(path):
            raise UsageError(
                f"Rejected records can't be written to {name}: it must be a file in a directory that exists and is "
                f"writable. Choose another with {_OPTION}."
            )
        super().__init__(OutputFile(self._open_new_file), what=f"The file of rejected records {name}", option=_OPTION)
        self._path = path
        self._append = append
        self._is_empty = True

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RecordRejected) and not event.is_known:
            self._is_empty = False
            self.add(_line(event.reject))

    async def sync_rejects(self) -> None:
        """Wait until every reject so far is on disk (see `Appender`). Raises ReportError."""
        await self.sync()

    async def close(self, *, completed: bool = False) -> None:
        """Write what is left and close; safe to call twice. Raises ReportError.

        `completed`: the run read all its input. If it then rejected nothing, the file of an earlier run is renamed too.
        """
        await super().close()
        if completed and self._is_empty and not self._append:
            try:
                await asyncio.to_thread(set_aside, self._path)
            except OSError as error:
                raise ReportError(f"{self._what} can't be renamed: {error.strerror}.") from error

    def _open_new_file(self) -> int:
        if not self._append:
            set_aside(self._path)
        return open_to_append(self._path)


def _is_writable(path: Path) -> bool:
    """Return whether rejects can be written there: a device or a pipe by itself, a file in its directory."""
    if path.exists() and not path.is_file():
        return not path.is_dir() and os.access(path, os.W_OK)
    return os.access(path.parent, os.W_OK | os.X_OK)


def set_aside(path: Path) -> None:
    """Rename the file of an earlier run, or remove it if it is empty. Raises OSError.

    A device, a pipe and a missing file stay as they are.
    """
    if not path.is_file():
        return
    about = path.stat()
    if about.st_size == 0:
        path.unlink()
        return
    path.replace(_reserve_name(path, about.st_mtime))


def _reserve_name(path: Path, time: float) -> Path:
    """Create an empty file under a name that is free."""
    stem = f"{path.stem}-{datetime.fromtimestamp(time, UTC):%Y%m%dT%H%M%SZ}"
    for number in count(1):
        name = path.with_name(stem + (f"-{number}" if number > 1 else "") + path.suffix)
        with suppress(FileExistsError):
            name.touch(mode=0o600, exist_ok=False)
            break
    return name


def _line(reject: Reject) -> bytes:
    place = reject.origin
    fields = {"source": place.source, "line": place.line, "reason": reject.reason, "record": reject.text}
    kinds = {"other_format": reject.is_other_format, "damaged": reject.is_damage}
    return json_line(fields | {name: True for name, is_so in kinds.items() if is_so})
