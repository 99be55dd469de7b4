"""The fields of the lines of the structured log (docs/results-and-exit-codes.md)."""

from collections.abc import Mapping

from msgspec import Struct

from ingestor.model import events
from ingestor.model.record import Job, Reject, Result
from ingestor.model.sources import SkippedFiles, SourceEnd
from ingestor.report.metrics import counts_of
from ingestor.report.text import rounded, spell_reply

Fields = Mapping[str, object]
"""None means that a field is not known, and left out."""


class JobLine(Struct, omit_defaults=True, gc=False):
    """The fields of the line of a job, in this order. Only a job that is retried has the last two."""

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
    reason: str | None = None
    delay_seconds: float | None = None


def line_of_result(result: Result) -> JobLine:
    """Return the line of a job that was sent."""
    job = result.job
    return JobLine(
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


def line_of_duplicate(job: Job, run_id: str | None) -> JobLine:
    """Return the line of a record that occurred before, with the run of the first one."""
    return JobLine(job.key, job.origin.source, job.origin.line, job.token, run_id, job.experiment_id)


def line_of_retry(event: events.RunRetried) -> JobLine:
    """Return the line of a job whose next attempt or look-up is due later."""
    job, reply = event.job, event.reply
    return JobLine(
        job.key,
        job.origin.source,
        job.origin.line,
        job.token,
        None,
        job.experiment_id,
        reply.status,
        reply.code or reply.fault,
        spell_reply(reply.status, reply.message) or None,
        event.attempts,
        rounded(reply.latency_ms),
        reply.opc_request_id,
        reply.opc_client_request_id or None,
        event.reason,
        round(event.delay, 3),
    )


def fields_of_reject(reject: Reject) -> Fields:
    """Return the fields of `run.rejected`."""
    return {
        "job_id": reject.job_id,
        "source": reject.origin.source,
        "line": reject.origin.line,
        "error_message": reject.reason,
    }


def fields_of_start(event: events.BatchStarted) -> Fields:
    """Return the fields of `batch.started`."""
    skipped = fields_of_skipped(event.skipped) if event.skipped.count else None
    return {"batch": event.batch, "target": event.target, "sources": event.sources, "skipped": skipped}


def fields_of_progress(event: events.BatchProgress) -> Fields:
    """Return the fields of `batch.progress`."""
    return {
        "counts": event.counts,
        "already_done": event.already_done,
        "records": event.records,
        "left": event.left,
        "total": event.total,
        "rate": rounded(event.rate),
        "reason": event.pause,
        "situation": event.situation,
    }


def fields_of_end(event: events.BatchFinished) -> Fields:
    """Return the fields of `batch.finished`."""
    return {
        "batch": event.batch,
        "counts": counts_of(event),
        "already_done": event.already_done,
        "left": event.left,
        "unread_bytes": event.unread_bytes or None,
        "rejected_lines": event.rejected_lines or None,
        "exit_code": int(event.exit_code),
        "duration_seconds": round(event.duration, 3),
        "reason": event.reason,
        "sources": [fields_of_source(it) for it in event.sources] or None,
        "other_sources": event.other_sources or None,
    }


def fields_of_source(count: events.SourceCount) -> Fields:
    """Return the members of a source in the log and in the summary."""
    return {
        "source": count.source,
        "records": count.records,
        "rejected": count.rejected,
        "complete": count.end is SourceEnd.COMPLETE,
        "damaged": count.end is SourceEnd.DAMAGED and not count.is_other_format,
        "other_format": count.is_other_format,
    }


def fields_of_skipped(skipped: SkippedFiles) -> Fields:
    """Return the members of the skipped files in the log and in the summary."""
    return {"count": skipped.count, "examples": skipped.examples}
