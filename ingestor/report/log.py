"""The structured log: one line of JSON an event, for machines (DESIGN.md "The structured log")."""

import logging
import os
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite
from operator import attrgetter
from pathlib import Path
from typing import Self, assert_never, cast

import structlog
from msgspec import Struct

from ingestor.model.errors import UsageError
from ingestor.model.events import (
    AttemptEnded,
    BatchFinished,
    BatchHalted,
    BatchPaused,
    BatchResumed,
    BatchStarted,
    Event,
    InputRead,
    RateChanged,
    RecordRejected,
    RecordsDuplicate,
    RunRetried,
    RunsEnded,
)
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Clock
from ingestor.model.record import Job, Reject
from ingestor.report.appender import LINGER, Appender, open_to_append
from ingestor.report.text import json_line, json_lines, printable

STDOUT = "-"
"""The log target that means standard output."""

STDOUT_LINGER = 0.02
"""Seconds a line may wait on its way to standard output, where someone is likely to be listening."""


class StructuredLog:
    """An EventSink that writes a line for every event but AttemptEnded and InputRead.

    A field that is not known is left out. Times are in the unit that a field's name ends in; `rate` is attempts a
    second.
    """

    def __init__(self, appender: Appender, clock: Clock) -> None:
        self._appender = appender
        self._clock = clock
        self._log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            _Output(appender),
            processors=[self._render],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        ).bind()

    @classmethod
    def open(cls, target: str, clock: Clock) -> Self:
        """Open the log at a path (appending, 0600 where it is new) or on standard output for `-`.

        Raises UsageError.
        """
        to_stdout = target == STDOUT
        name = "standard output" if to_stdout else printable(target)
        linger = STDOUT_LINGER if to_stdout else LINGER
        return cls(Appender(_opener(target, name), what=f"The log {name}", option="--log", linger=linger), clock)

    async def ready(self) -> None:
        """Wait while too much is unwritten (see `Appender`). Raises ReportError."""
        await self._appender.ready()

    async def flush(self) -> None:
        """Wait until every event so far is written. Raises ReportError."""
        await self._appender.flush()

    async def sync(self) -> None:
        """Wait until every event so far is on disk (see `Appender`). Raises ReportError."""
        await self._appender.sync()

    async def close(self) -> None:
        """Write what is left and close; harmless when repeated. Raises ReportError."""
        await self._appender.close()

    def emit(self, event: Event) -> None:
        """Take one event."""
        match event:
            case AttemptEnded() | InputRead():
                pass
            case RunsEnded():
                self._tell_settled(event.results)
            case RunRetried():
                self._tell_retried(event)
            case RecordsDuplicate():
                self._tell_duplicates(event)
            case RecordRejected():
                self._tell_rejected(event.reject)
            case _:
                self._tell_batch(event)

    def _tell_settled(self, results: Sequence[Result]) -> None:
        for outcome, same in groupby(results, key=attrgetter("outcome")):
            level = logging.INFO if outcome is Outcome.CREATED else logging.ERROR
            self._log.log(level, f"run.{outcome}", lines=[_line_of(result) for result in same])

    def _tell_retried(self, event: RunRetried) -> None:
        reply = event.reply
        self._tell(
            logging.WARNING,
            "run.retried",
            **_job_fields(event.job),
            http_status=reply.status,
            error_code=reply.code or reply.fault,
            error_message=reply.message or None,
            attempts=event.attempts,
            latency_ms=_milliseconds(reply.latency_ms),
            opc_request_id=reply.opc_request_id,
            opc_client_request_id=reply.opc_client_request_id or None,
            reason=event.reason,
            delay_seconds=round(event.delay, 3),
        )

    def _tell_duplicates(self, event: RecordsDuplicate) -> None:
        lines = [
            _JobLine(job.key, job.origin.source, job.origin.line, job.token, run_id, job.experiment_id)
            for job, run_id in event.duplicates
        ]
        self._log.info("run.duplicate", lines=lines)

    def _tell_rejected(self, reject: Reject) -> None:
        self._tell(
            logging.WARNING,
            "run.rejected",
            job_id=reject.job_id,
            source=reject.origin.source,
            line=reject.origin.line,
            error_message=reject.reason,
        )

    def _tell_batch(
        self, event: BatchStarted | BatchPaused | BatchResumed | BatchHalted | BatchFinished | RateChanged
    ) -> None:
        match event:
            case BatchStarted(batch=batch, target=target, sources=sources):
                self._tell(logging.INFO, "batch.started", batch=batch, target=target, sources=sources)
            case RateChanged(rate, reason):
                self._tell(logging.INFO, "rate.changed", rate=_finite(rate), reason=reason)
            case BatchPaused(reason, seconds):
                self._tell(logging.WARNING, "batch.paused", reason=reason, pause_seconds=_finite(seconds))
            case BatchResumed():
                self._tell(logging.INFO, "batch.resumed")
            case BatchHalted(reason, advice):
                self._tell(logging.ERROR, "batch.halted", reason=reason, advice=advice)
            case BatchFinished():
                self._tell_finished(event)
            case _:
                assert_never(event)

    def _tell_finished(self, event: BatchFinished) -> None:
        self._tell(
            logging.INFO,
            "batch.finished",
            batch=event.batch,
            counts={outcome.value: event.counts.get(outcome, 0) for outcome in Outcome},
            left=event.left,
            exit_code=int(event.exit_code),
            duration_seconds=round(event.duration, 3),
            reason=event.reason,
        )

    def _tell(self, level: int, name: str, **fields: object) -> None:
        self._log.log(level, name, **{field: value for field, value in fields.items() if value is not None})

    def _render(self, _logger: object, level: str, fields: MutableMapping[str, object]) -> bytes:
        head = {"event": fields.pop("event"), "timestamp": _timestamp(self._clock.now()), "level": level}
        lines = fields.pop("lines", None)
        return json_line({**head, **fields}) if lines is None else json_lines(head, cast("list[_JobLine]", lines))


def _opener(target: str, name: str) -> Callable[[], int]:
    """Open the log now, so that what is wrong is told at once; but a FIFO in the thread, for its reader may be late."""
    if target != STDOUT and Path(target).is_fifo():
        return lambda: open_to_append(Path(target))
    try:
        fd = os.dup(1) if target == STDOUT else open_to_append(Path(target))
    except OSError as error:
        raise UsageError(f"The log {name} can't be opened: {error.strerror}. Choose another with --log.") from error
    return lambda: fd


class _JobLine(Struct, omit_defaults=True, gc=False):
    """What a line tells of a job that ended, in this order."""

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
        _milliseconds(result.latency_ms),
        result.opc_request_id,
        result.opc_client_request_id,
    )


class _Output:
    """What structlog hands a rendered line to, by its level's name."""

    def __init__(self, appender: Appender) -> None:
        self.info = self.warning = self.error = appender.add


def _job_fields(job: Job) -> dict[str, object]:
    return {
        "job_id": job.key,
        "source": job.origin.source,
        "line": job.origin.line,
        "retry_token": job.token,
        "experiment_id": job.experiment_id,
    }


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _finite(value: float) -> float | None:
    """JSON has no infinity; an unlimited rate is one that is not known."""
    return round(value, 3) if isfinite(value) else None
