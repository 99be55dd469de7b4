"""The commands that read the journal: `ingestor status` and `results`."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from ingestor.journal import reader
from ingestor.journal.lock import Holder, holder_of
from ingestor.journal.reader import BatchStatus, Execution, ResultRow
from ingestor.model.errors import ExitCode
from ingestor.model.record import State
from ingestor.model.text import printable
from ingestor.report.text import spell_duration

_TOLERANCE = 5.0  # seconds between the clocks of journal and lock


def status(state: Path, *, as_json: bool) -> ExitCode:
    """Print the jobs per outcome of every batch, the oldest without an outcome, and the last run. Raises UsageError."""
    user = _User.of(state)
    report = reader.status(state, now=time.time())
    if as_json:
        batches = [asdict(batch) for batch in report.batches]
        in_use_by = None if user.holder is None else user.holder.words
        print(json.dumps({"journal": str(report.path), "in_use_by": in_use_by, "batches": batches}))
    else:
        print(f"journal: {printable(str(report.path))}")
        for batch in report.batches:
            print("\n" + "\n".join(_status_lines(batch, user)))
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


@dataclass(frozen=True, slots=True)
class _User:
    """The process that uses the state directory; None: no process does, unless it `is_hidden`."""

    holder: Holder | None
    is_hidden: bool = False

    @classmethod
    def of(cls, state: Path) -> Self:
        try:
            return cls(holder_of(state))
        except OSError:  # a user who may only read the journal
            return cls(None, is_hidden=True)

    def state_of(self, execution: Execution) -> str:
        """Say whether an execution without an end is still running."""
        if self.is_hidden:
            return "in progress, or killed"
        if self.holder is None:
            return "killed before its end: run the same command again, or `ingestor resume`"
        who, since = printable(self.holder.words), self.holder.since
        if since is not None and since > execution.started_at + _TOLERANCE:  # it began after it took the lock
            return f"killed before its end; the state directory is in use by {who}"
        return f"in progress: {who}"


def _status_lines(batch: BatchStatus, user: _User) -> Iterator[str]:
    yield batch.scope.display
    for state, count in batch.counts.items():
        yield f"  {state:<12}{count:>12,}"
    if batch.forgotten_rejects:
        yield f"  rejected records that are forgotten: {batch.forgotten_rejects:,}"
    if batch.addresses:
        yield f"  other addresses of the server: {printable(', '.join(batch.addresses))}"
    if batch.oldest is not None:
        age = spell_duration(batch.oldest.age)
        yield f"  oldest without an outcome: {printable(batch.oldest.job_id)} ({batch.oldest.state}), {age} old"
    if batch.last_execution is not None:
        began = _timestamp(batch.last_execution.started_at)
        yield f"  last run: began {began}, {_end_of(batch.last_execution, user)}"


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _end_of(last: Execution, user: _User) -> str:
    if last.ended_at is None or last.counts is None:
        return user.state_of(last)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in last.counts.items() if count)
    duration = spell_duration(last.ended_at - last.started_at)
    return f"took {duration}, exit code {last.exit_code}: {counts or 'no records'}, {last.left:,} left"


def _write_csv(rows: Iterator[ResultRow]) -> None:
    names = [field.name for field in fields(ResultRow)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])
