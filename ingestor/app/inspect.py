"""The commands that read the journal: `ingestor status` and `results`."""

import csv
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ingestor.journal import reader
from ingestor.journal.lock import Holder, holder_of
from ingestor.journal.reader import BatchStatus, Execution, ResultRow, StatusReport
from ingestor.model.errors import ExitCode
from ingestor.model.record import State
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.report.text import spell_duration, spell_rate, spreadsheet_cell

_COLUMNS = tuple(field.name for field in fields(ResultRow))
_TOLERANCE = 5.0  # seconds between the clocks of journal and lock


def status(state: Path, *, as_json: bool) -> ExitCode:
    """Print the jobs per outcome of every batch, the oldest without an outcome, and the last run. Raises UsageError."""
    look = Look.at(state, time.time())
    print(look.document() if as_json else look.text())
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class Look:
    """What a state directory shows at one moment, `now` in seconds since the epoch."""

    now: float
    report: StatusReport
    user: "User"

    @classmethod
    def at(cls, state: Path, now: float) -> Self:
        """Look at a state directory. Raises UsageError if there is no journal."""
        user = User.of(state)
        return cls(now, reader.status(state, now=now), user)

    def document(self) -> str:
        """Return everything as JSON."""
        batches = [asdict(batch) for batch in self.report.batches]
        in_use_by = None if self.user.holder is None else self.user.holder.words
        return json.dumps({"journal": str(self.report.path), "in_use_by": in_use_by, "batches": batches})

    def text(self, rates: Mapping[Scope, float] = MappingProxyType({})) -> str:
        """Return everything for a person; `rates` has records a second of batches that move."""
        parts = [f"journal: {printable(str(self.report.path))}"]
        for batch in self.report.batches:
            lines = _status_lines(batch, self.user, self.now)
            rate = rates.get(batch.scope) if self._is_running(batch) else None
            speed = [] if rate is None else [f"  {'speed':<12}{spell_rate(rate):>12}"]
            parts.append("\n".join([*lines, *speed]))
        return "\n\n".join(parts)

    @property
    def is_in_progress(self) -> bool:
        """Whether a run is in progress. Where the lock can't be read, one without an end counts as such."""
        return any(map(self._is_running, self.report.batches))

    @property
    def over(self) -> frozenset[int]:
        """The numbers of the last executions that are not in progress: each has ended, or was killed."""
        batches = [it for it in self.report.batches if not self._is_running(it)]
        return frozenset(it.last_execution.number for it in batches if it.last_execution is not None)

    def _is_running(self, batch: BatchStatus) -> bool:
        last = batch.last_execution
        return last is not None and last.ended_at is None and self.user.may_run(last)


def results(state: Path, *, outcome: str | None, batch: str | None, as_csv: bool) -> ExitCode:
    """Print what is in the journal about every job, or about those in one state or batch. Raises UsageError."""
    rows = reader.results(state, batch=batch, outcome=None if outcome is None else State(outcome))
    if as_csv:
        _write_csv(rows)
    else:
        for row in rows:
            print(result_line(row))
    return ExitCode.OK


def result_line(row: ResultRow) -> str:
    """Return the line of `results` about a job, as JSON."""
    return json.dumps({name: getattr(row, name) for name in _COLUMNS})


@dataclass(frozen=True, slots=True)
class User:
    """The process that uses the state directory; None: no process does, unless it `is_hidden`."""

    holder: Holder | None
    is_hidden: bool = False

    @classmethod
    def of(cls, state: Path) -> Self:
        """Return the process that uses a state directory."""
        try:
            return cls(holder_of(state))
        except OSError:  # a user who may only read the journal
            return cls(None, is_hidden=True)

    def may_run(self, execution: Execution) -> bool:
        """Whether an execution without an end is still running, as far as that can be known."""
        if self.holder is None:
            return self.is_hidden
        since = self.holder.since
        return since is None or since <= execution.started_at + _TOLERANCE  # it began after it took the lock

    def state_of(self, execution: Execution) -> str:
        """Say whether an execution without an end is still running."""
        if self.is_hidden:
            return "in progress, or killed"
        if self.holder is None:
            return "killed before its end: run the same command again, or `ingestor resume`"
        who = printable(self.holder.words)
        if self.may_run(execution):
            return f"in progress: {who}"
        return f"killed before its end; the state directory is in use by {who}"


def _status_lines(batch: BatchStatus, user: User, now: float) -> Iterator[str]:
    yield batch.scope.display
    for state, count in batch.counts.items():
        yield f"  {state:<12}{count:>12,}"
    if batch.pruned:
        pruned = ", ".join(f"{count:,} {state}" for state, count in batch.pruned.items())
        yield f"  rows that were pruned, not counted above: {pruned}"
    if batch.forgotten_rejects:
        yield f"  rejected records that are forgotten: {batch.forgotten_rejects:,}"
    if batch.addresses:
        yield f"  other addresses of the server: {printable(', '.join(batch.addresses))}"
    if batch.oldest is not None:
        age = spell_duration(batch.oldest.age)
        yield f"  oldest without an outcome: {printable(batch.oldest.job_id)} ({batch.oldest.state}), {age} old"
    last = batch.last_execution
    if last is not None:
        yield f"  last run: began {_timestamp(last.started_at)}, {_end_of(last, user)}"
    if last is not None and last.situation is not None and last.situation_at is not None and user.may_run(last):
        age = spell_duration(max(0.0, now - last.situation_at))
        yield f"  {age} ago: {printable(last.situation, WHOLE)}"


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _end_of(last: Execution, user: User) -> str:
    if last.ended_at is None or last.counts is None:
        return user.state_of(last)
    counted = {**last.counts, "already done": last.already_done or 0}
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in counted.items() if count)
    duration = spell_duration(last.ended_at - last.started_at)
    return f"took {duration}, exit code {last.exit_code}: {counts or 'no records'}, {last.left:,} left"


def _write_csv(rows: Iterator[ResultRow]) -> None:
    names = [field.name for field in fields(ResultRow)]
    writer, is_terminal = csv.writer(sys.stdout), sys.stdout.isatty()
    writer.writerow(names)
    for row in rows:
        cells = [spreadsheet_cell(getattr(row, name)) for name in names]
        writer.writerow([printable(it, WHOLE) if is_terminal and isinstance(it, str) else it for it in cells])
