"""The commands that send nothing: `ingestor status` and `results` read the journal, `check` validates records."""

import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ingestor.app.options import BatchOptions
from ingestor.app.reading import reserved_paths
from ingestor.journal import reader
from ingestor.journal.reader import BatchStatus, Execution, ResultRow
from ingestor.model.errors import ExitCode
from ingestor.model.ports import Input
from ingestor.model.record import Job, Reject, State
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.report.text import spell_count, spell_duration
from ingestor.sources.reader import open_sources


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
    """Print what is in the journal about every job, or about those in one state or batch. Raises UsageError."""
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


def _write_csv(rows: Iterator[ResultRow]) -> None:
    names = [field.name for field in fields(ResultRow)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])


def check(options: BatchOptions, sources: Sequence[str], *, as_json: bool) -> ExitCode:
    """Validate the records of `sources` and print a line for each that is invalid. Raises UsageError."""
    source = open_sources(sources, Scope("", "", options.batch), reserved=reserved_paths(options))
    valid, invalid = asyncio.run(_check(source, as_json=as_json))
    if as_json:
        print(json.dumps({"event": "check.finished", "valid": valid, "invalid": invalid}))
    else:
        print(f"{spell_count(valid + invalid, 'record')}: {valid:,} valid, {invalid:,} invalid")
    return ExitCode.INCOMPLETE if invalid else ExitCode.OK


async def _check(source: Input, *, as_json: bool) -> tuple[int, int]:
    valid = invalid = 0
    async for record in validated(source):
        if isinstance(record, Job):
            valid += 1
        else:
            invalid += 1
            print(_as_json(record) if as_json else _as_text(record))
    return valid, invalid


async def validated(source: Input) -> AsyncIterator[Job | Reject]:
    """Yield every record of a source, one by one."""
    async for chunk in source.chunks():
        for record in chunk.records:
            yield record


def _as_json(reject: Reject) -> str:
    fields = {"event": "record.invalid", "source": reject.origin.source, "line": reject.origin.line}
    return json.dumps(fields | {"reason": reject.reason})


def _as_text(reject: Reject) -> str:
    return f"{printable(reject.origin.source)}:{reject.origin.line}: {printable(reject.reason, 1000)}"
