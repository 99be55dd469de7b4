"""The account of a batch at its end, for a person or a machine."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.outcome import Outcome
from ingestor.report.metrics import Metrics
from ingestor.report.tally import ErrorCount
from ingestor.report.text import json_line, printable, spell_duration, spell_rate

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_ERRORS_SHOWN = 10

_VERBS: Mapping[int, str] = {
    ExitCode.OK: "finished",
    ExitCode.INCOMPLETE: "finished",
    ExitCode.STOPPED: "stopped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the rest of the account lies, as the user would name it; None where there is none."""

    log: str | None
    rejects: str | None
    journal: str


def as_json(finished: BatchFinished, metrics: Metrics, files: Files) -> str:
    """Return the summary as one JSON object on one line of ASCII, without a line end.

    Keys: `batch`, `exit_code`, `records` (taken in), `counts` (per outcome, all five), `left` (read, no outcome yet),
    `exhausted` (whether the input was read to its end), `reason` (why it ended early; null if not),
    `duration_seconds`, `records_per_second` (with an outcome), `attempts`, `throttled` (429s), `retries`, `pace` (the
    attempts a second that were allowed at the end; null if unlimited), `latency_ms` (`p50`, `p95`, `p99` of the
    answers; null without any), `errors` (what ended a record first, then the most frequent: `count`, `cost`,
    `http_status`, `code`, `message`), `other_errors`, `halted` (`reason`, `advice`; null if not), `files` (`log`,
    `rejects`, `journal`; null where there is none), `next` (what to do, in sentences).
    """
    halt = metrics.halt
    summary = {
        "batch": finished.batch,
        "exit_code": int(finished.exit_code),
        "records": metrics.records,
        "counts": _counts(finished),
        "left": finished.left,
        "exhausted": finished.exhausted,
        "reason": finished.reason,
        "duration_seconds": round(finished.duration, 3),
        "records_per_second": round(_speed(finished), 3),
        "attempts": metrics.attempts,
        "throttled": metrics.throttled,
        "retries": metrics.retries,
        "pace": _rounded(_pace(metrics)),
        "latency_ms": {name: _rounded(value) for name, value in _latencies(metrics).items()},
        "errors": [asdict(error) for error in metrics.errors.most_frequent(_ERRORS_SHOWN)],
        "other_errors": metrics.errors.others,
        "halted": None if halt is None else {"reason": halt.reason, "advice": halt.advice},
        "files": asdict(_existing(finished, files)),
        "next": list(_advice(finished, metrics, files)),
    }
    return json_line(summary).decode("ascii").rstrip("\n")


def as_text(finished: BatchFinished, metrics: Metrics, files: Files) -> str:
    """Return the summary for a terminal, without a line end. What the service or a record said is made printable."""
    parts = [
        _headline(finished, metrics),
        _outcome_table(finished),
        _traffic_table(finished, metrics),
        error_table(metrics),
        file_table(_existing(finished, files)),
        "\n".join(_advice(finished, metrics, files)),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(finished: BatchFinished, metrics: Metrics) -> str:
    verb = _VERBS.get(finished.exit_code, "halted")
    headline = f"Batch {printable(finished.batch)} {verb} after {spell_duration(finished.duration)}"
    reason = finished.reason if metrics.halt is None else metrics.halt.reason
    return headline if reason is None else f"{headline}: {printable(reason, 500)}"


def _outcome_table(finished: BatchFinished) -> str:
    rows = {**_counts(finished), "left": finished.left}
    table = "\n".join(f"  {name:<11}{number:>12,}" for name, number in rows.items())
    return table if finished.exhausted else f"{table}   of those read; the input was not read to its end"


def _traffic_table(finished: BatchFinished, metrics: Metrics) -> str:
    pace = _pace(metrics)
    allowed = "" if pace is None else f", allowed {spell_rate(pace)}"
    latencies = [f"{name} {value:,.1f} ms" for name, value in _latencies(metrics).items() if value is not None]
    rows = [
        f"  {'records':<11}{metrics.records:>12,}   {spell_rate(_speed(finished))}",
        f"  {'attempts':<11}{metrics.attempts:>12,}   429s {metrics.throttled:,}, retries {metrics.retries:,}{allowed}",
    ]
    if latencies:
        rows.append(f"  {'latency':<11}{latencies[0]:>12}   {', '.join(latencies[1:])}")
    return "\n".join(rows)


def error_table(metrics: Metrics) -> str:
    """Return the most frequent errors as a table with a title; empty where there are none."""
    errors = metrics.errors.most_frequent(_ERRORS_SHOWN)
    if not errors:
        return ""
    rows = [f"  {error.count:>11,}  {error.cost:<12}{_describe(error)}" for error in errors]
    if metrics.errors.kinds > len(errors):
        rows.append(f"  {'':>11}  and {metrics.errors.kinds - len(errors):,} kinds more, all in the log")
    if metrics.errors.others:
        rows.append(f"  {metrics.errors.others:>11,}  others")
    return "\n".join(["Most frequent errors", *rows])


def _describe(error: ErrorCount) -> str:
    status = "" if error.http_status is None else str(error.http_status)
    label = printable(" ".join(part for part in (status, error.code) if part), 60)
    return ": ".join(part for part in (label, printable(error.message, 120)) if part)


def file_table(files: Files) -> str:
    """Return where the rest of the account lies, a file a line."""
    return "\n".join(f"  {name:<11}{printable(path)}" for name, path in asdict(files).items() if path is not None)


def _advice(finished: BatchFinished, metrics: Metrics, files: Files) -> Iterator[str]:
    """Say what to do next: one sentence or two a line."""
    match finished.exit_code:
        case ExitCode.OK if metrics.records:
            yield "Every record is a run."
        case ExitCode.OK:
            yield "There were no records."
        case ExitCode.INCOMPLETE:
            yield from _advice_for_the_incomplete(finished, files)
        case ExitCode.STOPPED:
            yield "Run the same command again: it goes on where this one stopped."
        case _:
            advice = "" if metrics.halt is None else printable(metrics.halt.advice, 1000)
            if advice:
                yield advice
            if "the same command" not in advice:
                yield "Mend that and run the same command again: what is done stays done."


def _advice_for_the_incomplete(finished: BatchFinished, files: Files) -> Iterator[str]:
    counts = _counts(finished)
    if counts[Outcome.REJECTED]:
        rejects = printable(files.rejects or "", 1000)
        yield (
            f"rejected: {rejects} tells why. Mend the input and run the same command again, or mend what "
            f"`jq -r .record {rejects}` prints and feed it to `ingestor run -` with the same settings."
        )
    if counts[Outcome.FAILED]:
        yield f"failed: {listing(Outcome.FAILED, files)} tells why. Run the same command again to try them again."
    if counts[Outcome.UNRESOLVED]:
        yield (
            f"unresolved: {listing(Outcome.UNRESOLVED, files)} tells why. `ingestor reconcile`, with the same "
            "settings, settles them: it asks the service."
        )


def listing(outcome: Outcome, files: Files) -> str:
    """Spell the command that lists the jobs which ended so; its state directory only where that is not the default."""
    state = files.journal.rpartition("/")[0]
    elsewhere = "" if state in {"", ".ingestor"} else f" --state {printable(state)}"
    return f"`ingestor results --outcome {outcome}{elsewhere}`"


def _counts(finished: BatchFinished) -> dict[str, int]:
    return {outcome.value: finished.counts.get(outcome, 0) for outcome in Outcome}


def _speed(finished: BatchFinished) -> float:
    """Return records a second that got an outcome."""
    return sum(_counts(finished).values()) / finished.duration if finished.duration > 0 else 0.0


def _pace(metrics: Metrics) -> float | None:
    return metrics.pace if metrics.pace is not None and isfinite(metrics.pace) else None


def _latencies(metrics: Metrics) -> dict[str, float | None]:
    return {name: metrics.latency.quantile(fraction) for name, fraction in QUANTILES.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _existing(finished: BatchFinished, files: Files) -> Files:
    """Leave out the rejects where nothing was rejected: there is no such file then."""
    rejects = files.rejects if _counts(finished)[Outcome.REJECTED] else None
    return Files(log=files.log, rejects=rejects, journal=files.journal)
