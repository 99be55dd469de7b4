"""The summary at the end of a batch or of a reconciliation, for a person (text) or a program (JSON)."""

from collections.abc import Sequence
from dataclasses import asdict

from ingestor.model.acceptance import Acceptance
from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.record import Outcome
from ingestor.model.text import WHOLE, printable
from ingestor.report.ending import End, Files, counts_at, existing, speed
from ingestor.report.errors import RefusedExperiments
from ingestor.report.log_fields import fields_of_skipped, fields_of_source
from ingestor.report.metrics import Metrics
from ingestor.report.next_steps import experiment_listing, next_steps
from ingestor.report.tables import ERRORS_SHOWN, error_table, experiment_table, skipped_table, source_table
from ingestor.report.text import json_line, rounded, spell_count, spell_duration, spell_rate, spell_unread

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_VERBS = {ExitCode.HALTED: "halted", ExitCode.STOPPED: "stopped"}


def as_json(end: End, metrics: Metrics, files: Files, steps: Sequence[str] | None = None) -> str:
    """Return the summary as one JSON object on one line of ASCII, without a line end.

    Keys of both: `exit_code`, `counts`, `left`, `duration_seconds`, `throttled` (429s), `halted` (`reason`, `advice`;
    null if not), `files` (`log`, `rejects`, `journal`; null where there is none), `next` (what to do, in sentences:
    `steps`, if they are given).

    Of a batch: `batch`, `records` (read), `counts` (per outcome, and `already_done`), `already_done`, `left` (read, no
    outcome yet), `exhausted` (whether the input was read to its end), `unread_bytes` (what was not read of followed
    files and accepted records; null: not known), `rejected_lines` (of requests), `reason` (why it ended early; null if
    not), `records_per_second` (with an outcome), `attempts`, `retries`, `pace` (the attempts a second that were allowed
    at the end; null if unlimited), `latency_ms` (`p50`, `p95`, `p99` of the answers; null without any), `errors` (first
    those that ended a record, then by frequency: `count`, `cost`, `http_status`, `code`, `message`, and `varies` if
    the message is only an example), `other_errors`, `missing_experiments` (`experiment_id`, `count`), their
    `other_missing_experiments` (records), the same two of `refused_experiments`, `sources` (`source`, `records`,
    `rejected`, `complete`, `damaged`, `other_format`), `other_sources`, `kept_records` (read from the journal),
    `skipped` (`count`, `examples`).

    Of a reconciliation: `batches`, `counts` (`created`: found; `not_created`: the next run sends them again;
    `unresolved`), `left` (not looked up), `look_ups`. Its `files` has no `rejects`.
    """
    halt = metrics.halt
    common = {
        "exit_code": int(end.exit_code),
        "counts": counts_at(end, metrics),
        "left": end.left,
        "duration_seconds": round(end.duration, 3),
        "throttled": metrics.throttled,
        "halted": None if halt is None else {"reason": halt.reason, "advice": halt.advice},
        "next": list(next_steps(end, metrics, files) if steps is None else steps),
    }
    if isinstance(end, BatchFinished):
        own = {**_batch_members(end, metrics), **source_members(metrics), "files": asdict(existing(end, files))}
    else:
        places = {"log": files.log, "journal": files.journal}
        own = {"batches": end.batches, "look_ups": metrics.attempts, "files": places}
    return json_line({**own, **common}).decode("ascii").rstrip("\n")


def as_text(end: End, metrics: Metrics, files: Files) -> str:
    """Return the summary for a terminal, without a line end. Text of the service or of a record is made printable."""
    parts = [
        _headline(end, metrics),
        _count_table(end, metrics),
        _traffic_table(end, metrics),
        source_table(metrics.sources) if isinstance(end, BatchFinished) else "",
        skipped_table(metrics.skipped),
        error_table(metrics.errors),
        *_experiments(end, metrics, files),
        "\n".join(
            f"  {name:<11}{printable(path, WHOLE)}" for name, path in asdict(existing(end, files)).items() if path
        ),
        "\n".join(next_steps(end, metrics, files)),
    ]
    return "\n\n".join(part for part in parts if part)


def _batch_members(end: BatchFinished, metrics: Metrics) -> dict[str, object]:
    missing, refused = metrics.missing_experiments, metrics.refused_experiments
    return {
        "batch": end.batch,
        "already_done": end.already_done,
        "exhausted": end.exhausted,
        "unread_bytes": end.unread_bytes,
        "rejected_lines": end.rejected_lines,
        "reason": end.reason,
        "records_per_second": round(speed(end), 3),
        "attempts": metrics.attempts,
        "retries": metrics.retries,
        "pace": rounded(metrics.pace),
        "kept_records": metrics.sources.kept,
        "latency_ms": {name: rounded(value) for name, value in _latencies(metrics).items()},
        "errors": [error.members() for error in metrics.errors.most_frequent(ERRORS_SHOWN)],
        "other_errors": metrics.errors.others,
        "missing_experiments": _counted(missing),
        "other_missing_experiments": missing.others,
        "refused_experiments": _counted(refused),
        "other_refused_experiments": refused.others,
    }


def source_members(metrics: Metrics) -> dict[str, object]:
    """Return what was read and skipped, as members of a JSON object."""
    return {
        "records": metrics.records,
        "sources": [fields_of_source(it) for it in metrics.sources.listed()],
        "other_sources": metrics.sources.others,
        "skipped": fields_of_skipped(metrics.skipped),
    }


def _headline(end: End, metrics: Metrics) -> str:
    if isinstance(end, BatchFinished):
        subject, reason = f"Batch {printable(end.batch)}", end.reason
    else:
        names = ", ".join(printable(name) for name in end.batches) or "none"
        subject, reason = f"Reconciliation of batch {names}", None
    if metrics.halt is not None:
        reason = metrics.halt.reason
    verb, duration = _VERBS.get(ExitCode(end.exit_code), "finished"), spell_duration(end.duration)
    if reason is None:
        return f"{subject} {verb} after {duration}"
    if reason.startswith(f"{verb} by "):  # by a signal
        return f"{subject} {printable(reason)} after {duration}"
    return f"{subject} {verb} after {duration}: {printable(reason, 500)}"


def _count_table(end: End, metrics: Metrics) -> str:
    rows = {**counts_at(end, metrics), "left": end.left}
    for rare in (Outcome.PARTIAL, Outcome.FORGOTTEN):
        if not rows.get(rare):
            rows.pop(rare, None)
    table = "\n".join(f"  {name.replace('_', ' '):<12}{number:>11,}" for name, number in rows.items())
    if not isinstance(end, BatchFinished) or end.exhausted:
        return table
    return f"{table}   of those read; {spell_unread(end.unread_bytes)}"


def _traffic_table(end: End, metrics: Metrics) -> str:
    throttled = f"429s {metrics.throttled:,}"
    if not isinstance(end, BatchFinished):
        return f"  {'look-ups':<12}{metrics.attempts:>11,}   {throttled}"
    allowed = f", allowed {spell_rate(metrics.pace)}" if metrics.pace is not None and metrics.throttled else ""
    latencies = [f"{name} {value:,.1f} ms" for name, value in _latencies(metrics).items() if value is not None]
    rows = [
        f"  {'records':<12}{metrics.records:>11,}   {spell_rate(speed(end))}",
        f"  {'attempts':<12}{metrics.attempts:>11,}   {throttled}, retries {metrics.retries:,}{allowed}",
    ]
    if sum(metrics.acceptance.requests.values()):
        rows.append(_requests(metrics.acceptance))
    if latencies:
        rows.append(f"  {'latency':<11}{latencies[0]:>12}   {', '.join(latencies[1:])}")
    return "\n".join(rows)


def _requests(acceptance: Acceptance) -> str:
    refused = sum(acceptance.requests.values()) - acceptance.requests["2xx"]
    rejected = spell_count(acceptance.rejected, "rejected line")
    return f"  {'accepted':<12}{acceptance.accepted:>11,}   {rejected}, {spell_count(refused, 'request')} not accepted"


def _experiments(end: End, metrics: Metrics, files: Files) -> list[str]:
    """List the experiments of refused records of a batch. A look-up does not ask for them."""
    if not isinstance(end, BatchFinished):
        return []
    missing, refused = "Missing experiments, with their records", "Experiments of refused records, with their records"
    listing = experiment_listing(files)
    return [
        experiment_table(missing, metrics.missing_experiments, listing),
        experiment_table(f"{refused} (missing, or no right to create runs)", metrics.refused_experiments, listing),
    ]


def _counted(experiments: RefusedExperiments) -> list[dict[str, object]]:
    return [{"experiment_id": name, "count": count} for name, count in experiments.most_frequent()]


def _latencies(metrics: Metrics) -> dict[str, float | None]:
    return {name: metrics.latency.quantile(fraction) for name, fraction in QUANTILES.items()}
