"""The document at `/status`, made of what is known of a session."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence

from ingestor import __version__
from ingestor.app.description import settings_of
from ingestor.app.observing.monitored import MonitoredSession
from ingestor.model.activity import Activity, Phase
from ingestor.model.errors import ExitCode
from ingestor.model.events import SourceCount
from ingestor.model.history import STEPS
from ingestor.model.lag import MOST_FILES, FileLag, FileState, InputLag
from ingestor.model.record import Outcome
from ingestor.model.sources import SourceEnd
from ingestor.report.errors import ErrorCount
from ingestor.report.failure_advice import advice_about
from ingestor.report.history import History, without_gaps
from ingestor.report.metrics import Metrics
from ingestor.server import status_parts as parts
from ingestor.server.measurements import OUTCOMES
from ingestor.server.status import MOST_FAILURES, Status

_MEANINGS = {
    ExitCode.OK: "every record is a complete run",
    ExitCode.USAGE: "a setting or the input can't be used",
    ExitCode.INCOMPLETE: "finished, but some records are rejected, failed, partial or unresolved",
    ExitCode.HALTED: "halted: something is wrong for every record",
    ExitCode.STOPPED: "stopped early: the same command continues",
}
_OVER_BUDGET = "stopped by its time budget: something is left, and the next run continues"
_QUANTILES = (0.50, 0.95, 0.99)


def status_of(session: MonitoredSession, since: float | None) -> Status:
    """Return the document, with the history from `since` on (all: None)."""
    session.refresh()
    watched, metrics, activity = session.watched, session.watched.metrics, session.watched.activity()
    lag, now, failures = session.lag(), time.time(), metrics.errors.most_frequent(MOST_FAILURES)
    files = list(_files(lag, metrics.sources.listed(MOST_FILES), now, is_over=watched.phase is Phase.FINISHED))
    p50, p95, p99 = (metrics.latency.quantile(fraction) for fraction in _QUANTILES)
    return Status(
        sentence=watched.sentence(),
        phase=watched.phase,
        bound=None if activity is None else activity.bound,
        health=None if activity is None else activity.health,
        is_ready=session.readiness().ready,
        follows=watched.options.follow,
        batch=watched.options.batch,
        target=watched.target.endpoint.display,
        program=parts.Program(ingestor=__version__, python=platform.python_version(), commit=session.commit),
        now=now,
        started=session.started,
        uptime=max(0.0, now - session.started),
        last_created=session.last_created(),
        last_success=session.facts.last_success,
        oldest_unresolved=session.facts.oldest_unresolved,
        counts=_counts(session, metrics),
        progress=_progress(session, activity),
        rates=_rates(session, activity),
        attempts=_attempts(metrics, activity),
        latency=parts.Latency(p50=p50, p95=p95, p99=p99),
        lag=_lag(lag, now),
        history=list(_history(watched.history, since)),
        failures=[_failure(it) for it in failures],
        other_failures=metrics.errors.others + max(0, metrics.errors.kinds - len(failures)),
        files=files,
        other_files=lag.other_files if lag.files else max(0, len(metrics.sources) - len(files)),
        settings=_settings(session),
        end=_end(session, now),
    )


def _counts(session: MonitoredSession, metrics: Metrics) -> parts.Counts:
    read, left = session.counts()
    known = {outcome.value: count for outcome, count in metrics.counts.items()}
    outcomes = {name: known.get(name, 0) for name in OUTCOMES}
    return parts.Counts(read=read, already_done=metrics.already_done, left=left, **outcomes)


def _progress(session: MonitoredSession, activity: Activity | None) -> parts.Progress:
    """Return how far the input is done. What is followed has no end, and so neither a share nor a time to its end."""
    metrics, follows = session.watched.metrics, session.watched.options.follow
    snapshot, (read_bytes, total_bytes) = metrics.snapshot(), metrics.bytes_read
    total = None if follows else snapshot.total
    eta = None
    if total is not None and activity is not None and activity.hold is None:
        eta = session.pace.remaining(max(0, total - snapshot.done))
    return parts.Progress(
        percent=None if total is None else round(100 * min(1.0, snapshot.done / total), 1) if total else 100.0,
        total=total,
        total_is_exact=snapshot.is_exact and not follows,
        read_bytes=read_bytes,
        total_bytes=total_bytes,
        eta=None if eta is None else parts.Remaining(low=round(eta[0], 1), high=round(eta[1], 1)),
    )


def _rates(session: MonitoredSession, activity: Activity | None) -> parts.Rates:
    return parts.Rates(
        done=round(session.watched.metrics.snapshot().rate, 3),
        allowed=None if activity is None else activity.allowed_rate,
        ceiling=session.watched.options.rate,
    )


def _attempts(metrics: Metrics, activity: Activity | None) -> parts.Attempts:
    return parts.Attempts(
        total=metrics.attempts,
        throttled=metrics.throttled,
        repeated=metrics.retries,
        in_flight=0 if activity is None else activity.in_flight,
        slots=0 if activity is None else activity.slots,
        backlog=0 if activity is None else activity.backlog,
    )


def _history(history: History, since: float | None) -> Iterator[parts.Series]:
    for step in STEPS:
        points = [it for it in history.points(step) if since is None or it.start >= since]
        if points:
            begin, values = without_gaps(points)
            yield parts.Series(step=step, begin=begin, values=values)


def _lag(lag: InputLag, now: float) -> parts.Lag:
    return parts.Lag(
        bytes=lag.unread_bytes,
        seconds=_age(lag.waiting_since, now),
        held_files=lag.held_files,
        held_bytes=lag.held_bytes,
    )


def _failure(error: ErrorCount) -> parts.FailureGroup:
    example = error.example
    return parts.FailureGroup(
        outcome=error.cost,
        reason=error.message,
        varies=error.varies,
        count=error.count,
        first=error.first_at,
        last=error.last_at,
        http_status=error.http_status,
        error_code=error.code,
        request_id=example.request_id,
        job_id=example.job_id,
        source=example.source,
        line=example.line,
        advice=advice_about(error),
    )


def _files(lag: InputLag, read: Sequence[SourceCount], now: float, *, is_over: bool) -> Iterator[parts.File]:
    """Return the files that the input lists, with what was counted of each; else those of which records were read.

    Once the execution is over, it waits for no file any more.
    """
    counted = {it.source: it for it in read}
    for file in lag.files or [FileLag(name=it.source, state=_state(it)) for it in read]:
        count = counted.get(file.name)
        known = file.size is not None and file.read_bytes is not None
        yield parts.File(
            name=file.name,
            state=FileState.DONE if is_over and file.state is FileState.WAITING else file.state,
            records=None if count is None else count.records,
            rejected=None if count is None else count.rejected,
            read_bytes=file.read_bytes,
            size=file.size,
            lag_bytes=max(0, (file.size or 0) - (file.read_bytes or 0)) if known else None,
            lag_seconds=_age(file.waiting_since, now),
        )


def _state(count: SourceCount) -> FileState:
    ends: Mapping[SourceEnd | None, FileState] = {
        SourceEnd.COMPLETE: FileState.DONE,
        SourceEnd.DAMAGED: FileState.DAMAGED,
    }
    return ends.get(count.end, FileState.READING)


def _settings(session: MonitoredSession) -> list[parts.Setting]:
    settings = settings_of(session.watched.target, session.watched.options)
    return [parts.Setting(name=name, value=value) for name, value in settings.items()]


def _end(session: MonitoredSession, now: float) -> parts.End | None:
    watched, halt = session.watched, session.watched.metrics.halt
    if watched.phase is not Phase.FINISHED or watched.exit_code is None:
        return None
    code = ExitCode(watched.exit_code)
    is_excused = watched.has_stopped and code is not ExitCode.STOPPED  # by `budget_exit`
    has_unresolved = watched.metrics.counts[Outcome.UNRESOLVED] > 0
    steps = (
        "" if halt is None else halt.advice,
        "`ingestor reconcile`, with the same settings, settles what is unresolved." if has_unresolved else "",
        (ExitCode.STOPPED if is_excused else code).next_step,
    )
    return parts.End(
        exit_code=code,
        meaning=_OVER_BUDGET if is_excused else _MEANINGS[code],
        reason=None if halt is None else halt.reason,
        duration=max(0.0, now - session.started),
        next_steps=[step for step in steps if step],
    )


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else round(max(0.0, now - since), 3)
