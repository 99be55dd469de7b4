"""`ingestor status` and `ingestor results`: what the journal knows."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from ingestor.journal import reader
from ingestor.journal.reader import BatchStatus, Execution, ResultRow
from ingestor.journal.schema import State
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.text import printable
from ingestor.report.text import spell_duration


def status(state: Path, *, as_json: bool) -> ExitCode:
    """Print the jobs per outcome of every batch, the oldest without an outcome, and the last run. Raises UsageError."""
    report = reader.status(state, now=time.time())
    if as_json:
        print(json.dumps({"journal": str(report.path), "batches": [asdict(batch) for batch in report.batches]}))
    else:
        print(f"journal: {printable(str(report.path))}")
        for batch in report.batches:
            print("\n" + "\n".join(_status_lines(batch)))
    return ExitCode.OK


def results(state: Path, *, outcome: str | None, batch: str | None, as_csv: bool) -> ExitCode:
    """Print what the journal knows of every job, or of those in one state or batch. Raises UsageError."""
    if batch is not None:
        _require_batch(state, batch)
    rows = reader.results(state, batch=batch, outcome=None if outcome is None else State(outcome))
    if as_csv:
        _write_csv(rows)
    else:
        for row in rows:
            print(json.dumps(asdict(row)))
    return ExitCode.OK


def _status_lines(batch: BatchStatus) -> Iterator[str]:
    scope = batch.scope
    yield f"batch {printable(scope.batch)}, to {printable(' '.join(filter(None, (scope.platform, scope.workspace))))}"
    for state, count in batch.counts.items():
        yield f"  {state:<12}{count:>12,}"
    if batch.oldest is not None:
        age = spell_duration(batch.oldest.age)
        yield f"  oldest without an outcome: {printable(batch.oldest.job_id)} ({batch.oldest.state}), {age} old"
    if batch.last_execution is not None:
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.last_execution.started_at))
        yield f"  last run: began {began}, {_end_of(batch.last_execution)}"


def _end_of(last: Execution) -> str:
    if last.ended_at is None or last.counts is None:
        return "in progress, or killed"
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in last.counts.items() if count)
    duration = spell_duration(last.ended_at - last.started_at)
    return f"took {duration}, exit code {last.exit_code}: {counts or 'no records'}, {last.left:,} left"


def _require_batch(state: Path, batch: str) -> None:
    names = reader.batch_names(state)
    if batch not in names:
        known = ", ".join(map(printable, names)) or "none yet"
        raise UsageError(
            f"--batch {printable(batch)}: the journal in {printable(str(state))} has no such batch; it has {known}."
        )


def _write_csv(rows: Iterator[ResultRow]) -> None:
    names = [field.name for field in fields(ResultRow)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])
