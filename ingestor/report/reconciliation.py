"""The account of a reconciliation at its end, for a person or a machine."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ingestor.model.errors import ExitCode
from ingestor.model.outcome import Outcome
from ingestor.report.metrics import Metrics
from ingestor.report.summary import Files, error_table, file_table, listing
from ingestor.report.text import json_line, printable, spell_duration

_VERBS = {ExitCode.HALTED: "halted", ExitCode.STOPPED: "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How a reconciliation ended: of which batches, and the jobs that were left as they were."""

    batches: tuple[str, ...]
    exit_code: ExitCode
    left: int
    duration: float


def as_json(done: Reconciled, metrics: Metrics, files: Files) -> str:
    """Return the summary as one JSON object on one line of ASCII, without a line end.

    Keys: `batches`, `exit_code`, `counts` (`created`: found; `not_created`: the next run sends them again;
    `unresolved`), `left` (looked for in vain by a stop), `duration_seconds`, `look_ups`, `throttled` (429s), `halted`
    (`reason`, `advice`; null if not), `files` (`log`, `journal`), `next` (what to do, in sentences).
    """
    halt = metrics.halt
    summary = {
        "batches": done.batches,
        "exit_code": int(done.exit_code),
        "counts": _counts(metrics),
        "left": done.left,
        "duration_seconds": round(done.duration, 3),
        "look_ups": metrics.attempts,
        "throttled": metrics.throttled,
        "halted": None if halt is None else {"reason": halt.reason, "advice": halt.advice},
        "files": {"log": files.log, "journal": files.journal},
        "next": list(_advice(done, metrics, files)),
    }
    return json_line(summary).decode("ascii").rstrip("\n")


def as_text(done: Reconciled, metrics: Metrics, files: Files) -> str:
    """Return the summary for a terminal, without a line end. What the service said is made printable."""
    rows = {**_counts(metrics), "left": done.left}
    parts = [
        _headline(done, metrics),
        "\n".join(f"  {name.replace('_', ' '):<11}{number:>12,}" for name, number in rows.items()),
        f"  {'look-ups':<11}{metrics.attempts:>12,}   429s {metrics.throttled:,}",
        error_table(metrics),
        file_table(Files(**(asdict(files) | {"rejects": None}))),
        "\n".join(_advice(done, metrics, files)),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(done: Reconciled, metrics: Metrics) -> str:
    names = ", ".join(printable(name) for name in done.batches) or "none"
    verb = _VERBS.get(done.exit_code, "finished")
    headline = f"Reconciliation of batch {names} {verb} after {spell_duration(done.duration)}"
    return headline if metrics.halt is None else f"{headline}: {printable(metrics.halt.reason, 500)}"


def _counts(metrics: Metrics) -> dict[str, int]:
    counts = metrics.counts
    return {
        "created": counts[Outcome.CREATED],
        "not_created": counts[Outcome.FAILED],
        "unresolved": counts[Outcome.UNRESOLVED],
    }


def _advice(done: Reconciled, metrics: Metrics, files: Files) -> Iterator[str]:
    counts = _counts(metrics)
    if metrics.halt is not None:
        yield printable(metrics.halt.advice, 1000)
    if done.exit_code in _VERBS:
        yield "Run the same command again: it goes on where this one stopped."
    if counts["not_created"]:
        yield "not created: run the batch again, and they are sent under new tokens."
    if counts["unresolved"]:
        yield f"unresolved: {listing(Outcome.UNRESOLVED, files)} tells of each why, and what to do."
    if not any(counts.values()) and done.exit_code is ExitCode.OK:
        yield "Nothing was unresolved."
