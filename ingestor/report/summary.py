"""The summary at the end of a batch or of a reconciliation, for a person (text) or a program (JSON)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.record import Outcome
from ingestor.model.text import printable
from ingestor.report.metrics import ErrorCount, Metrics, counts_of
from ingestor.report.text import json_line, rounded, spell_duration, spell_rate

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_ERRORS_SHOWN = 10

_VERBS = {ExitCode.HALTED: "halted", ExitCode.STOPPED: "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where log, rejects and journal are, as the user would name them; None if there is none."""

    log: str | None
    rejects: str | None
    journal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How a reconciliation of `batches` ended. `left` is how many jobs it did not look up."""

    batches: tuple[str, ...]
    exit_code: ExitCode
    left: int
    duration: float


def as_json(end: BatchFinished | Reconciled, metrics: Metrics, files: Files) -> str:
    """Return the summary as one JSON object on one line of ASCII, without a line end.

    Keys of both: `exit_code`, `counts`, `left`, `duration_seconds`, `throttled` (429s), `halted` (`reason`, `advice`;
    null if not), `files` (`log`, `rejects`, `journal`; null where there is none), `next` (what to do, in sentences).

    Of a batch: `batch`, `records` (read), `counts` (per outcome, and `already_done`), `already_done`, `left` (read, no
    outcome yet), `exhausted` (whether the input was read to its end), `reason` (why it ended early; null if not),
    `records_per_second` (with an outcome), `attempts`, `retries`, `pace` (the attempts a second that were allowed at
    the end; null if unlimited), `latency_ms` (`p50`, `p95`, `p99` of the answers; null without any), `errors` (first
    those that ended a record, then by frequency: `count`, `cost`, `http_status`, `code`, `message`), `other_errors`.

    Of a reconciliation: `batches`, `counts` (`created`: found; `not_created`: the next run sends them again;
    `unresolved`), `left` (not looked up), `look_ups`. Its `files` has no `rejects`.
    """
    halt = metrics.halt
    common = {
        "exit_code": int(end.exit_code),
        "counts": _counts(end, metrics),
        "left": end.left,
        "duration_seconds": round(end.duration, 3),
        "throttled": metrics.throttled,
        "halted": None if halt is None else asdict(halt),
        "next": list(_advice(end, metrics, files)),
    }
    if isinstance(end, BatchFinished):
        own = _batch_members(end, metrics, files)
    else:
        places = {"log": files.log, "journal": files.journal}
        own = {"batches": end.batches, "look_ups": metrics.attempts, "files": places}
    return json_line({**own, **common}).decode("ascii").rstrip("\n")


def as_text(end: BatchFinished | Reconciled, metrics: Metrics, files: Files) -> str:
    """Return the summary for a terminal, without a line end. Text of the service or of a record is made printable."""
    parts = [
        _headline(end, metrics),
        _count_table(end, metrics),
        _traffic_table(end, metrics),
        _error_table(metrics),
        "\n".join(f"  {name:<11}{printable(path)}" for name, path in asdict(_existing(end, files)).items() if path),
        "\n".join(_advice(end, metrics, files)),
    ]
    return "\n\n".join(part for part in parts if part)


def _batch_members(end: BatchFinished, metrics: Metrics, files: Files) -> dict[str, object]:
    return {
        "batch": end.batch,
        "records": metrics.records,
        "already_done": end.already_done,
        "exhausted": end.exhausted,
        "reason": end.reason,
        "records_per_second": round(_speed(end), 3),
        "attempts": metrics.attempts,
        "retries": metrics.retries,
        "pace": rounded(metrics.pace),
        "latency_ms": {name: rounded(value) for name, value in _latencies(metrics).items()},
        "errors": [asdict(error) for error in metrics.errors.most_frequent(_ERRORS_SHOWN)],
        "other_errors": metrics.errors.others,
        "files": asdict(_existing(end, files)),
    }


def _headline(end: BatchFinished | Reconciled, metrics: Metrics) -> str:
    if isinstance(end, BatchFinished):
        subject, reason = f"Batch {printable(end.batch)}", end.reason
    else:
        names = ", ".join(printable(name) for name in end.batches) or "none"
        subject, reason = f"Reconciliation of batch {names}", None
    if metrics.halt is not None:
        reason = metrics.halt.reason
    headline = f"{subject} {_VERBS.get(ExitCode(end.exit_code), 'finished')} after {spell_duration(end.duration)}"
    return headline if reason is None else f"{headline}: {printable(reason, 500)}"


def _count_table(end: BatchFinished | Reconciled, metrics: Metrics) -> str:
    rows = {**_counts(end, metrics), "left": end.left}
    if not rows.get(Outcome.PARTIAL):
        rows.pop(Outcome.PARTIAL, None)  # only a record with more than one request can become partial
    table = "\n".join(f"  {name.replace('_', ' '):<12}{number:>11,}" for name, number in rows.items())
    is_cut = isinstance(end, BatchFinished) and not end.exhausted
    return f"{table}   of those read; the input was not read to its end" if is_cut else table


def _traffic_table(end: BatchFinished | Reconciled, metrics: Metrics) -> str:
    throttled = f"429s {metrics.throttled:,}"
    if isinstance(end, Reconciled):
        return f"  {'look-ups':<12}{metrics.attempts:>11,}   {throttled}"
    allowed = "" if metrics.pace is None else f", allowed {spell_rate(metrics.pace)}"
    latencies = [f"{name} {value:,.1f} ms" for name, value in _latencies(metrics).items() if value is not None]
    rows = [
        f"  {'records':<12}{metrics.records:>11,}   {spell_rate(_speed(end))}",
        f"  {'attempts':<12}{metrics.attempts:>11,}   {throttled}, retries {metrics.retries:,}{allowed}",
    ]
    if latencies:
        rows.append(f"  {'latency':<11}{latencies[0]:>12}   {', '.join(latencies[1:])}")
    return "\n".join(rows)


def _error_table(metrics: Metrics) -> str:
    errors = metrics.errors.most_frequent(_ERRORS_SHOWN)
    if not errors:
        return ""
    rows = [f"  {error.count:>11,}  {error.cost:<12}{_describe(error)}" for error in errors]
    if metrics.errors.kinds > len(errors):
        rows.append(f"  {'':>11}  and {metrics.errors.kinds - len(errors):,} more kinds, all of them in the log")
    if metrics.errors.others:
        rows.append(f"  {metrics.errors.others:>11,}  others")
    return "\n".join(["Most frequent errors", *rows])


def _describe(error: ErrorCount) -> str:
    label = printable(" ".join(str(part) for part in (error.http_status, error.code) if part), 60)
    return ": ".join(part for part in (label, printable(error.message, 120)) if part)


def _advice(end: BatchFinished | Reconciled, metrics: Metrics, files: Files) -> Iterator[str]:
    """Say what to do next: one or two sentences a line."""
    if metrics.halt is not None and metrics.halt.advice:
        yield printable(metrics.halt.advice, 1000)
    if next_step := ExitCode(end.exit_code).next_step:
        yield next_step
    if isinstance(end, Reconciled):
        yield from _advice_after_reconciliation(end, metrics, files)
    elif end.exit_code == ExitCode.INCOMPLETE:
        yield from _advice_for_incomplete(end, files)
    elif end.exit_code == ExitCode.OK:
        yield "Every record is a run." if metrics.records else "There were no records."


def _advice_for_incomplete(finished: BatchFinished, files: Files) -> Iterator[str]:
    counts = counts_of(finished)
    if counts[Outcome.PARTIAL]:
        yield f"partial: {_listing(Outcome.PARTIAL, files)} shows what the service refused; the runs exist."
    if counts[Outcome.REJECTED]:
        rejects = printable(files.rejects or "", 1000)
        yield (
            f"rejected: {rejects} has the reasons. Fix the input and run the same command again; or fix what "
            f"`jq -r .record {rejects}` prints and send it with `ingestor run -` and the same settings."
        )
    if counts[Outcome.FAILED]:
        yield f"failed: {_listing(Outcome.FAILED, files)} shows the reasons. The same command sends them again."
    if counts[Outcome.UNRESOLVED]:
        yield (
            f"unresolved: {_listing(Outcome.UNRESOLVED, files)} shows the reasons. `ingestor reconcile`, with the same "
            "settings, finds out whether their runs exist."
        )


def _advice_after_reconciliation(done: Reconciled, metrics: Metrics, files: Files) -> Iterator[str]:
    counts = _counts(done, metrics)
    if counts["not_created"]:
        yield "not created: run the batch again; it sends them under new tokens."
    if counts["unresolved"]:
        yield f"unresolved: {_listing(Outcome.UNRESOLVED, files)} shows why, and what to do, for each."
    if not any(counts.values()) and done.exit_code is ExitCode.OK:
        yield "Nothing was unresolved."


def _listing(outcome: Outcome, files: Files) -> str:
    """Return the command that lists the jobs of an outcome; with the state directory if it is not the default."""
    state = files.journal.rpartition("/")[0]
    option = "" if state in {"", ".ingestor"} else f" --state {printable(state)}"
    return f"`ingestor results --outcome {outcome}{option}`"


def _counts(end: BatchFinished | Reconciled, metrics: Metrics) -> dict[str, int]:
    if isinstance(end, BatchFinished):
        return counts_of(end)
    names = {"created": Outcome.CREATED, "not_created": Outcome.FAILED, "unresolved": Outcome.UNRESOLVED}
    return {name: metrics.counts[outcome] for name, outcome in names.items()}


def _existing(end: BatchFinished | Reconciled, files: Files) -> Files:
    """Leave out the rejects if nothing was rejected: then there is no such file."""
    has_rejects = isinstance(end, BatchFinished) and bool(counts_of(end)[Outcome.REJECTED])
    return Files(log=files.log, rejects=files.rejects if has_rejects else None, journal=files.journal)


def _speed(finished: BatchFinished) -> float:
    """Return records a second that have an outcome."""
    return sum(counts_of(finished).values()) / finished.duration if finished.duration > 0 else 0.0


def _latencies(metrics: Metrics) -> dict[str, float | None]:
    return {name: metrics.latency.quantile(fraction) for name, fraction in QUANTILES.items()}
