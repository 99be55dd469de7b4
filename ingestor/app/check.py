"""`ingestor check` validates records, and sends nothing."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingestor.app.exit_codes import exit_code_of
from ingestor.app.options import BatchOptions
from ingestor.app.reading import complain_of_empty, reserved_paths
from ingestor.app.standard_streams import discard_output
from ingestor.app.terminal import naming
from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchStarted, InputRead, RecordRejected
from ingestor.model.ports import Input
from ingestor.model.record import Job, Outcome, Reject
from ingestor.model.sources import Chunk
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.report.metrics import Metrics
from ingestor.report.progress import Mode, Progress
from ingestor.report.summary import source_members
from ingestor.report.tables import skipped_table, source_table
from ingestor.report.text import spell_count
from ingestor.sources.locate import locate
from ingestor.sources.reader import read_sources

MOST_EXPERIMENTS = 10_000
"""How many experiments of the records are counted separately."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in the records: `experiments` counts the valid ones that name each experiment."""

    metrics: Metrics = field(default_factory=lambda: Metrics(time.monotonic, sends=False))
    experiments: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """How many records are not valid."""
        return self.metrics.counts[Outcome.REJECTED]

    @property
    def exit_code(self) -> ExitCode:
        """OK if every record is valid, USAGE if no record could be read because all input has another format."""
        return exit_code_of(read_nothing=self.metrics.has_read_nothing, counts=self.metrics.counts)

    def take(self, chunk: Chunk, source: Input) -> list[Reject]:
        """Count the records of a chunk, and return those that are invalid."""
        self.metrics.emit(InputRead.of(chunk, source.read_bytes, source.total_bytes))
        rejects = [it for it in chunk.records if isinstance(it, Reject)]
        for reject in rejects:
            self.metrics.emit(RecordRejected(reject))
        named = Counter(it.experiment_id for it in chunk.records if isinstance(it, Job) and it.experiment_id)
        for name, count in named.items():
            if name in self.experiments or len(self.experiments) < MOST_EXPERIMENTS:
                self.experiments[name] += count
        return rejects


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
    located = locate(sources, reserved_paths(options))
    complain_of_empty(located.empty)
    checked = Checked()
    checked.metrics.emit(BatchStarted(batch=options.batch, target="", sources=tuple(sources), skipped=located.skipped))
    source = read_sources(located.sources, Scope("", "", options.batch))
    with naming(source.waits_for):
        asyncio.run(_validate(source, checked, as_json=as_json, progress=progress))
    return checked


def print_checked(checked: Checked, *, as_json: bool, **members: object) -> None:
    """Print what was found. `members` are further members of the JSON object."""
    metrics = checked.metrics
    if as_json:
        found = {"event": "check.finished", "rejected": checked.rejected, **source_members(metrics)}
        print(json.dumps({**found, **members}))
        return
    total = spell_count(metrics.records, "record")
    counts = f"{total}: {metrics.records - checked.rejected:,} valid, {checked.rejected:,} rejected"
    print("\n\n".join(filter(None, [source_table(metrics.sources), skipped_table(metrics.skipped), counts])))


async def _validate(source: Input, checked: Checked, *, as_json: bool, progress: Mode) -> None:
    spell = _as_json if as_json else _as_text
    async with Progress.with_lines(sys.stderr, progress, checked.metrics, time.monotonic).shown():
        async for chunk in source.chunks():
            for reject in checked.take(chunk, source):
                print(spell(reject))


def _as_json(reject: Reject) -> str:
    fields = {"event": "record.invalid", "source": reject.origin.source, "line": reject.origin.line}
    return json.dumps(fields | {"reason": reject.reason})


def _as_text(reject: Reject) -> str:
    return f"{printable(reject.origin.source, WHOLE)}:{reject.origin.line}: {printable(reject.reason, 1000)}"
