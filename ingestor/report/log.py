"""Where events go: the structured log, one JSON object a line (docs/results-and-exit-codes.md), and the other sinks."""

import logging
import os
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import assert_never, cast

import structlog
from msgspec import Struct

from ingestor.model import events
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.ports import Clock, EventLog, EventSink
from ingestor.model.record import Job, Outcome, Reject, Result
from ingestor.model.text import printable
from ingestor.report.appender import LINGER, Appender, open_to_append
from ingestor.report.metrics import counts_of
from ingestor.report.text import json_line, json_lines, rounded

STDOUT = "-"
"""The log target that means standard output."""

STDOUT_LINGER = 0.02
"""Seconds that a line may wait on its way to standard output, where another program probably reads it at once."""


class StructuredLog(Appender):
    """An EventLog that writes one line for each event or ended record.

    AttemptEnded, InputRead and RecordsAlreadyDone write no line; `batch.finished` has the number of the latter. A field
    that is not known is left out. The name of a field ends in its unit; `rate` is attempts a second.

    `target` is a path (appended to, 0600 where it is new), or `-` for standard output. Raises UsageError if it can't
    be opened.
    """

    def __init__(self, target: str, clock: Clock) -> None:
        to_stdout = target == STDOUT
        name = "standard output" if to_stdout else printable(target)
        linger = STDOUT_LINGER if to_stdout else LINGER
        super().__init__(_opener(target, name), what=f"The log {name}", option="--log", linger=linger)
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
            case events.AttemptEnded() | events.InputRead() | events.RecordsAlreadyDone():
                pass
            case events.RunsEnded(results):
                self._log_results(results)
            case events.RunRetried():
                self._log_retry(event)
            case events.RecordsDuplicate(duplicates):
                self._log_duplicates(duplicates)
            case events.RecordRejected(reject):
                self._log_reject(reject)
            case _:
                self._log_batch(event)

    def _log_results(self, results: Sequence[Result]) -> None:
        for outcome, same in groupby(results, key=attrgetter("outcome")):
            level = logging.INFO if outcome is Outcome.CREATED else logging.ERROR
            self._log.log(level, f"run.{outcome}", lines=[_line_of(result) for result in same])

    def _log_retry(self, event: events.RunRetried) -> None:
        job, reply = event.job, event.reply
        self._line(
            logging.WARNING,
            "run.retried",
            job_id=job.key,
            source=job.origin.source,
            line=job.origin.line,
            retry_token=job.token,
            experiment_id=job.experiment_id,
            http_status=reply.status,
            error_code=reply.code or reply.fault,
            error_message=reply.message or None,
            attempts=event.attempts,
            latency_ms=rounded(reply.latency_ms),
            opc_request_id=reply.opc_request_id,
            opc_client_request_id=reply.opc_client_request_id or None,
            reason=event.reason,
            delay_seconds=round(event.delay, 3),
        )

    def _log_duplicates(self, duplicates: Sequence[tuple[Job, str | None]]) -> None:
        lines = [
            _JobLine(job.key, job.origin.source, job.origin.line, job.token, run_id, job.experiment_id)
            for job, run_id in duplicates
        ]
        self._log.info("run.duplicate", lines=lines)

    def _log_reject(self, reject: Reject) -> None:
        self._line(
            logging.WARNING,
            "run.rejected",
            job_id=reject.job_id,
            source=reject.origin.source,
            line=reject.origin.line,
            error_message=reject.reason,
        )

    def _log_batch(
        self,
        event: events.BatchStarted
        | events.BatchPaused
        | events.BatchResumed
        | events.BatchHalted
        | events.BatchFinished
        | events.RateChanged,
    ) -> None:
        match event:
            case events.BatchStarted(batch=batch, target=target, sources=sources):
                self._line(logging.INFO, "batch.started", batch=batch, target=target, sources=sources)
            case events.RateChanged(rate, reason):
                self._line(logging.INFO, "rate.changed", rate=rounded(rate), reason=reason)
            case events.BatchPaused(reason, seconds):
                self._line(logging.WARNING, "batch.paused", reason=reason, pause_seconds=rounded(seconds))
            case events.BatchResumed(reason):
                self._line(logging.INFO, "batch.resumed", reason=reason)
            case events.BatchHalted(reason, advice):
                self._line(logging.ERROR, "batch.halted", reason=reason, advice=advice or ExitCode.HALTED.next_step)
            case events.BatchFinished():
                self._log_end(event)
            case _:
                assert_never(event)

    def _log_end(self, event: events.BatchFinished) -> None:
        self._line(
            logging.INFO,
            "batch.finished",
            batch=event.batch,
            counts=counts_of(event),
            already_done=event.already_done,
            left=event.left,
            exit_code=int(event.exit_code),
            duration_seconds=round(event.duration, 3),
            reason=event.reason,
        )

    def _line(self, level: int, name: str, **fields: object) -> None:
        self._log.log(level, name, **{field: value for field, value in fields.items() if value is not None})

    def _render(self, _logger: object, level: str, fields: MutableMapping[str, object]) -> bytes:
        head = {"event": fields.pop("event"), "timestamp": _timestamp(self._clock.now()), "level": level}
        lines = fields.pop("lines", None)
        return json_line({**head, **fields}) if lines is None else json_lines(head, cast("list[_JobLine]", lines))


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


def _opener(target: str, name: str) -> Callable[[], int]:
    """Return how to open the log. Raises UsageError if that fails; a FIFO is not tried: it needs a reader."""
    open_log = partial(os.dup, 1) if target == STDOUT else partial(open_to_append, Path(target))
    if not Path(target).is_fifo():
        try:
            os.close(open_log())
        except OSError as error:
            raise UsageError(f"The log {name} can't be opened: {error.strerror}. Choose another with --log.") from error
    return open_log


class _JobLine(Struct, omit_defaults=True, gc=False):
    """The fields of the line of a job that ended, in this order."""

    job_id: str
    source: str
    line: int
    retry_token: str
    run_id: str | None = None
    experiment_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    attempts: int | None = None
    latency_ms: float | None = None
    opc_request_id: str | None = None
    opc_client_request_id: str | None = None


def _line_of(result: Result) -> _JobLine:
    job = result.job
    return _JobLine(
        job.key,
        job.origin.source,
        job.origin.line,
        job.token,
        result.run_id,
        job.experiment_id,
        result.http_status,
        result.error_code,
        result.error_message,
        result.attempts,
        rounded(result.latency_ms),
        result.opc_request_id,
        result.opc_client_request_id,
    )


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
