"""`rejects.jsonl`: what the last run could not take, ready to be mended and fed back.

The file of an earlier run is kept under another name, and only moved when this run has something to write or ends:
`jq -r .record rejects.jsonl | ingestor run -` has the old file open long before this run rejects what jq read there.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.model.events import Event, RecordRejected
from ingestor.model.record import Reject
from ingestor.report.appender import Appender, ReportError, open_to_append
from ingestor.report.text import json_line, printable

_OPTION = "--rejects"


class RejectsFile:
    """An EventSink that writes a line for every rejected record: `source`, `line`, `reason`, `record`.

    After a run that completed, the file is there exactly if the run rejected something. What an earlier run left
    becomes `rejects-<time of its last line, UTC>.jsonl`, whatever has that name already.
    Raises UsageError where `path` can't be a file.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise UsageError(
                f"Rejected records can't be written to {printable(str(path))}: it must be a file in a directory that "
                f"exists and is writable. Choose another with {_OPTION}."
            )
        self._path = path
        self._what = f"The file of rejected records {printable(str(path))}"
        self._appender: Appender | None = None

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RecordRejected):
            if self._appender is None:
                self._appender = Appender(self._open_afresh, what=self._what, option=_OPTION)
            self._appender.add(_line(event.reject))

    async def ready(self) -> None:
        """Wait while too much is unwritten (see `Appender`). Raises ReportError."""
        if self._appender is not None:
            await self._appender.ready()

    async def flush(self) -> None:
        """Wait until every reject so far is written. Raises ReportError."""
        if self._appender is not None:
            await self._appender.flush()

    async def close(self, *, completed: bool) -> None:
        """Write what is left and close; harmless when repeated. Raises ReportError.

        `completed` says that the run read all its input: then, if it rejected nothing, an old file is moved too.
        """
        if self._appender is not None:
            await self._appender.close()
        elif completed:
            try:
                await asyncio.to_thread(set_aside, self._path)
            except OSError as error:
                raise ReportError(f"{self._what} can't be moved aside: {error.strerror}.") from error

    def _open_afresh(self) -> int:
        set_aside(self._path)
        return open_to_append(self._path)


def set_aside(path: Path) -> None:
    """Give an earlier run's file a name of its own, or remove it if it is empty. Raises OSError.

    Devices, pipes and what is not there are left alone.
    """
    if not path.is_file():
        return
    about = path.stat()
    if about.st_size == 0:
        path.unlink()
        return
    path.replace(_reserve_name(path, about.st_mtime))


def _reserve_name(path: Path, time: float) -> Path:
    """Create an empty file of a name that nobody has."""
    stem = f"{path.stem}-{datetime.fromtimestamp(time, UTC):%Y%m%dT%H%M%SZ}"
    name = path.with_name(stem + path.suffix)
    number = 1
    while True:
        try:
            name.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            number += 1
            name = path.with_name(f"{stem}-{number}{path.suffix}")
        else:
            return name


def _line(reject: Reject) -> bytes:
    return json_line(
        {
            "source": reject.origin.source,
            "line": reject.origin.line,
            "reason": reject.reason,
            "record": reject.text,
        }
    )
