"""`ingestor check` validates records, and sends nothing."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingestor.app.options import BatchOptions
from ingestor.app.reading import complain_of_empty, reserved_paths
from ingestor.app.streams import discard_output
from ingestor.model.errors import ExitCode
from ingestor.model.events import InputRead, SourceCount
from ingestor.model.ports import Input
from ingestor.model.record import Job, Reject
from ingestor.model.sources import NOTHING_SKIPPED, Chunk, SkippedFiles
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.report.histogram import RecentRate
from ingestor.report.log_fields import fields_of_skipped, fields_of_source_end
from ingestor.report.metrics import Snapshot
from ingestor.report.progress import Mode, Progress
from ingestor.report.sources_read import SourcesRead
from ingestor.report.tables import skipped_table, source_table
from ingestor.report.text import spell_count
from ingestor.report.total import TotalEstimate
from ingestor.sources.reader import open_sources

MOST_EXPERIMENTS = 10_000
"""How many experiments of the records are counted separately."""


@dataclass(slots=True)
class Checked:
    """What was found in the records so far.

    Attributes:
        skipped: the files that are not read.
        valid: how many records are valid.
        invalid: how many are not.
        other_formats: how many sources have another format; each counts as one invalid record.
        experiments: how many valid records name each experiment.
        sources: what was read of each source.
    """

    skipped: SkippedFiles = NOTHING_SKIPPED
    valid: int = 0
    invalid: int = 0
    other_formats: int = 0
    experiments: Counter[str] = field(default_factory=Counter)
    sources: SourcesRead = field(default_factory=SourcesRead)
    _total: TotalEstimate = field(default_factory=TotalEstimate)
    _recent: RecentRate = field(default_factory=lambda: RecentRate(time.monotonic()))

    @property
    def exit_code(self) -> ExitCode:
        """OK if every record is valid, USAGE if no record could be read because all input has another format."""
        if 0 < self.other_formats == self.valid + self.invalid:
            return ExitCode.USAGE
        return ExitCode.INCOMPLETE if self.invalid else ExitCode.OK

    def take(self, chunk: Chunk, source: Input) -> list[Reject]:
        """Count the records of a chunk, and return those that are invalid."""
        event = InputRead.of(chunk, source.read_bytes, source.total_bytes)
        self.sources.read(event)
        self._total.read(event)
        self._recent.add(time.monotonic(), event.records)
        rejects = [it for it in chunk.records if isinstance(it, Reject)]
        for reject in rejects:
            self.sources.reject(reject)
        self.invalid += len(rejects)
        self.other_formats += sum(it.is_whole_source for it in rejects)
        self.valid += len(chunk.records) - len(rejects)
        self._count_experiments(chunk)
        return rejects

    def snapshot(self) -> Snapshot:
        """Return what progress shows."""
        done, rate, total = self.valid + self.invalid, self._recent.rate(time.monotonic()), self._total.total
        eta = max(0, total - done) / rate if total is not None and rate > 0 else None
        return Snapshot(done=done, total=total, is_exact=self._total.is_exact, rate=rate, eta=eta)

    def _count_experiments(self, chunk: Chunk) -> None:
        named = Counter(it.experiment_id for it in chunk.records if isinstance(it, Job) and it.experiment_id)
        for name, count in named.items():
            if name in self.experiments or len(self.experiments) < MOST_EXPERIMENTS:
                self.experiments[name] += count


def check(options: BatchOptions, sources: Sequence[str], *, as_json: bool, progress: Mode = Mode.AUTO) -> ExitCode:
    """Validate the records of `sources`, and print each that is invalid and what was found. Raises UsageError."""
    try:
        checked = validate(options, sources, as_json=as_json, progress=progress)
    except BrokenPipeError:  # of the line of an invalid record
        discard_output()
        return ExitCode.INCOMPLETE
    with suppress(BrokenPipeError):
        print_checked(checked, as_json=as_json)
    return checked.exit_code


def validate(options: BatchOptions, sources: Sequence[str], *, as_json: bool, progress: Mode = Mode.AUTO) -> Checked:
    """Validate the records of `sources`, and print a line for each that is invalid. Raises UsageError."""
    source = open_sources(sources, Scope("", "", options.batch), reserved=reserved_paths(options))
    complain_of_empty(source.empty)
    checked = Checked(source.skipped)
    asyncio.run(_validate(source, checked, as_json=as_json, progress=progress))
    return checked


def print_checked(checked: Checked, *, as_json: bool, **members: object) -> None:
    """Print what was found. `members` are further members of the JSON object."""
    if as_json:
        print(json.dumps({**_members_of(checked), **members}))
        return
    total = spell_count(checked.valid + checked.invalid, "record")
    tables = [source_table(checked.sources, bad="invalid"), skipped_table(checked.skipped)]
    print("\n\n".join([*filter(None, tables), f"{total}: {checked.valid:,} valid, {checked.invalid:,} invalid"]))


async def validated(source: Input) -> AsyncIterator[Job | Reject]:
    """Yield every record of a source, one by one."""
    async for chunk in source.chunks():
        for record in chunk.records:
            yield record


async def _validate(source: Input, checked: Checked, *, as_json: bool, progress: Mode) -> None:
    spell = _as_json if as_json else _as_text
    async with Progress.with_lines(sys.stderr, progress, checked, time.monotonic).shown():
        async for chunk in source.chunks():
            for reject in checked.take(chunk, source):
                print(spell(reject))


def _members_of(checked: Checked) -> dict[str, object]:
    return {
        "event": "check.finished",
        "valid": checked.valid,
        "invalid": checked.invalid,
        "inputs": [_members_of_source(it) for it in checked.sources.listed()],
        "other_inputs": checked.sources.others,
        "skipped": fields_of_skipped(checked.skipped),
    }


def _members_of_source(count: SourceCount) -> dict[str, object]:
    counts = {"source": count.source, "valid": count.records - count.rejected, "invalid": count.rejected}
    return {**counts, **fields_of_source_end(count)}


def _as_json(reject: Reject) -> str:
    fields = {"event": "record.invalid", "source": reject.origin.source, "line": reject.origin.line}
    return json.dumps(fields | {"reason": reject.reason})


def _as_text(reject: Reject) -> str:
    return f"{printable(reject.origin.source, WHOLE)}:{reject.origin.line}: {printable(reject.reason, 1000)}"
