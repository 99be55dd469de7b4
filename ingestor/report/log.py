"""Where events go: the structured log, one JSON object a line (docs/results-and-exit-codes.md), and the other sinks."""

import logging
import os
from collections.abc import MutableMapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import assert_never, cast

import structlog

from ingestor.model import events
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.ports import Clock, EventLog, EventSink
from ingestor.model.record import Outcome, Result
from ingestor.model.text import printable
from ingestor.report.appender import LINGER, Appender
from ingestor.report.log_fields import (
    Fields,
    JobLine,
    fields_of_end,
    fields_of_progress,
    fields_of_reject,
    fields_of_start,
    line_of_duplicate,
    line_of_result,
    line_of_retry,
)
from ingestor.report.output_file import LogFile, OutputFile, open_to_append
from ingestor.report.text import json_line, json_lines, rounded

STDOUT = "-"
"""The log target that means standard output."""

STDOUT_LINGER = 0.02
"""Seconds that a line may wait on its way to standard output, where another program probably reads it at once."""


class StructuredLog(Appender):
    """An EventLog that writes one line for each event or ended record.

    AttemptEnded, InputRead, RecordsAlreadyDone and RecordsForgotten write no line: `batch.finished` has their numbers.
    A field that is not known is left out. The name of a field ends in its unit; `rate` is attempts a second.

    `target` is a path (appended to, 0600 where it is new), or `-` for standard output. A regular file is renamed by
    its size (see `LogFile`). Raises UsageError if it can't be opened, or can't be renamed where `max_bytes` is given.
    """

    def __init__(self, target: str, clock: Clock, *, max_bytes: int | None = None, keep: int = 0) -> None:
        to_stdout = target == STDOUT
        name = "standard output" if to_stdout else printable(target)
        linger = STDOUT_LINGER if to_stdout else LINGER
        file = _open(target, name, max_bytes, keep)
        super().__init__(file, what=f"The log {name}", option="--log", linger=linger)
        self._clock = clock
        self._log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            SimpleNamespace(info=self.add, warning=self.add, error=self.add),
            processors=[self._render],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        ).bind()

    async def sync_rejects(self) -> None:
        """Wait until the line of every rejected record so far is on disk. Raises ReportError."""
        await self.sync()

    def emit(self, event: events.Event) -> None:
        """Take one event."""
        match event:
            case events.AttemptEnded() | events.InputRead() | events.RecordsAlreadyDone() | events.RecordsForgotten():
                pass
            case events.RunsEnded(results):
                self._log_results(results)
            case events.RunRetried():
                self._log.warning("run.retried", lines=[line_of_retry(event)])
            case events.RecordsDuplicate(duplicates):
                self._log.info("run.duplicate", lines=[line_of_duplicate(*it) for it in duplicates])
            case events.RecordRejected(is_known=True):
                pass
            case events.RecordRejected(reject):
                self._line(logging.WARNING, "run.rejected", fields_of_reject(reject))
            case _:
                self._log_batch(event)

    def _log_results(self, results: Sequence[Result]) -> None:
        for outcome, same in groupby(results, key=attrgetter("outcome")):
            level = logging.INFO if outcome is Outcome.CREATED else logging.ERROR
            self._log.log(level, f"run.{outcome}", lines=[line_of_result(result) for result in same])

    def _log_batch(
        self,
        event: events.BatchStarted
        | events.BatchPaused
        | events.BatchResumed
        | events.BatchHalted
        | events.BatchProgress
        | events.BatchFinished
        | events.RateChanged,
    ) -> None:
        match event:
            case events.BatchStarted():
                self._line(logging.INFO, "batch.started", fields_of_start(event))
            case events.RateChanged(rate, reason):
                self._line(logging.INFO, "rate.changed", {"rate": rounded(rate), "reason": reason})
            case events.BatchPaused(reason, seconds):
                self._line(logging.WARNING, "batch.paused", {"reason": reason, "pause_seconds": rounded(seconds)})
            case events.BatchResumed(reason):
                self._line(logging.INFO, "batch.resumed", {"reason": reason})
            case events.BatchHalted(reason, advice):
                advice = advice or (ExitCode.HALTED.next_step if event.is_recorded else "")
                self._line(logging.ERROR, "batch.halted", {"reason": reason, "advice": advice})
            case events.BatchProgress():
                self._line(logging.INFO, "batch.progress", fields_of_progress(event))
            case events.BatchFinished():
                self._line(logging.INFO, "batch.finished", fields_of_end(event))
            case _:
                assert_never(event)

    def _line(self, level: int, name: str, fields: Fields) -> None:
        self._log.log(level, name, **{field: value for field, value in fields.items() if value is not None})

    def _render(self, _logger: object, level: str, fields: MutableMapping[str, object]) -> bytes:
        head = {"event": fields.pop("event"), "timestamp": _timestamp(self._clock.now()), "level": level}
        lines = fields.pop("lines", None)
        return json_line({**head, **fields}) if lines is None else json_lines(head, cast("list[JobLine]", lines))


class Reporter:
    """An EventLog that passes every event to all of its `files`, then to all of its `views`, in the order given.

    `files` may be slow or fail, and `ready` waits for them. `views` must not.
    """

    def __init__(self, *, files: Sequence[EventLog], views: Sequence[EventSink]) -> None:
        self._files = files
        self._sinks = [*files, *views]

    def emit(self, event: events.Event) -> None:
        """Take one event."""
        for sink in self._sinks:
            sink.emit(event)

    async def ready(self) -> None:
        """Wait while too much is unwritten. Raises ReportError if writing failed."""
        for file in self._files:
            await file.ready()

    async def sync_rejects(self) -> None:
        """Wait until every rejected record that was emitted is on disk, in each file. Raises ReportError."""
        for file in self._files:
            await file.sync_rejects()


def _open(target: str, name: str, max_bytes: int | None, keep: int) -> OutputFile:
    """Return the log's file. Raises UsageError if it can't be opened; a FIFO is not tried: it needs a reader."""
    path = Path(target)
    if target == STDOUT or (path.exists() and not path.is_file() and not path.is_dir()):
        if max_bytes is not None:
            raise UsageError(
                f"--log-max-bytes: the log {name} is not a regular file, so it can't be renamed: remove "
                "--log-max-bytes, or choose a file with --log."
            )
        open_log = partial(os.dup, 1) if target == STDOUT else partial(open_to_append, path)
        file = OutputFile(open_log)
    else:
        open_log, file = partial(open_to_append, path), LogFile(path, max_bytes, keep)
    if not path.is_fifo():
        try:
            os.close(open_log())
        except OSError as error:
            raise UsageError(f"The log {name} can't be opened: {error.strerror}. Choose another with --log.") from error
    return file


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
