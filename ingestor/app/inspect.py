"""`ingestor status` and `ingestor results`: what the journal knows."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields

from ingestor.journal import reader
from ingestor.journal.reader import BatchStatus, ResultRow
from ingestor.journal.schema import State
from ingestor.model.errors import ExitCode, UsageError
from ingestor.report.text import printable, spell_duration
from ingestor.settings.options import Settings
from ingestor.settings.results import Format, ResultsOptions
from ingestor.settings.values import Output


def status(settings: Settings) -> ExitCode:
    """Print how many jobs of every batch ended how, the oldest without an end, and the last run. Raises UsageError."""
    report = reader.status(settings.state, now=time.time())
    if settings.output is Output.JSON:
        print(json.dumps({"journal": str(report.path), "batches": [asdict(batch) for batch in report.batches]}))
    else:
        print(f"journal: {printable(str(report.path))}")
        for batch in report.batches:
            print("\n" + "\n".join(_status_lines(batch)))
    return ExitCode.OK


def _status_lines(batch: BatchStatus) -> Iterator[str]:
    scope = batch.scope
    yield f"batch {printable(scope.batch)}, to {printable(' '.join(filter(None, (scope.platform, scope.workspace))))}"
    for state, count in batch.counts.items():
        yield f"  {state:<12}{count:>12,}"
    if batch.oldest is not None:
        age = spell_duration(batch.oldest.age)
        yield f"  oldest without an end: {printable(batch.oldest.job_id)} ({batch.oldest.state}), {age} old"
    if batch.last_execution is not None:
        begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.last_execution.started_at))
        yield f"  last run: began {begun}, {_how_it_ended(batch.last_execution)}"


def _how_it_ended(last: reader.Execution) -> str:
    if last.ended_at is None or last.counts is None:
        return "under way, or killed"
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in last.counts.items() if count)
    duration = spell_duration(last.ended_at - last.started_at)
    return f"took {duration}, exit code {last.exit_code}: {counts or 'no records'}, {last.left:,} left"


def results(settings: Settings, wanted: ResultsOptions, batch: str | None) -> ExitCode:
    """Print what the journal knows of every job, or of those that stand as `wanted`. Raises UsageError.

    `batch` is a name; None prints every batch.
    """
    if batch is not None:
        _require(batch, settings)
    outcome = None if wanted.outcome is None else State(wanted.outcome)
    rows = reader.results(settings.state, batch=batch, outcome=outcome)
    if wanted.format is Format.CSV:
        _write_csv(rows)
    else:
        for row in rows:
            print(json.dumps(asdict(row)))
    return ExitCode.OK


def _require(batch: str, settings: Settings) -> None:
    """Raise UsageError where the journal has no batch of this name."""
    names = reader.batch_names(settings.state)
    if batch not in names:
        known = ", ".join(map(printable, names)) or "none yet"
        state = printable(str(settings.state))
        raise UsageError(f"--batch {printable(batch)}: the journal in {state} has no such batch; it has {known}.")


def _write_csv(rows: Iterator[ResultRow]) -> None:
    names = [field.name for field in fields(ResultRow)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])
