"""`ingestor prune`, from its options to what it prints."""

import json
from collections.abc import Iterator
from pathlib import Path

from ingestor.api.values import server_name
from ingestor.app.chosen_batch import choose_batch
from ingestor.app.messages import print_result
from ingestor.app.prune import Pruned, count_prunable, prune, still_there
from ingestor.cli.report import saying
from ingestor.journal.database import NAME
from ingestor.journal.reader import known_batches
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.text import WHOLE, printable
from ingestor.report.text import spell_count, spell_moment, spell_size
from ingestor.settings.options import Settings
from ingestor.settings.report_commands import PruneOptions
from ingestor.settings.values import Output

_NAMED = 3  # sources


def prune_journal(own: PruneOptions, settings: Settings, batch: str | None) -> int:
    """Delete old rows of the batch with this name, or of all, and print what was done. Raises IngestorError."""
    age = own.older_than
    if age is None:
        raise UsageError("--older-than: give the age of the rows to delete, for example --older-than 90d")
    number = None if batch is None else _number_of(batch, settings)
    if own.dry_run:
        known_batches(settings.state)  # which explains a missing journal
        done = count_prunable(settings.state, number, age=age)
    else:
        known_batches(settings.state)
        network = settings.allow_network_state
        done = prune(settings.state, number, age=age, allow_network_state=network, say=saying("rows deleted"))
    if settings.output is Output.JSON:
        print_result(json.dumps(_members(done, own, settings)))
    else:
        print_result("\n".join(_lines(done, own)))
    return ExitCode.OK


def _number_of(batch: str, settings: Settings) -> int:
    chosen = choose_batch(
        known_batches(settings.state),
        settings.state,
        name=batch,
        platform=settings.platform_id if settings.tracking_uri is None else server_name(settings.tracking_uri),
        workspace=settings.workspace,
    )
    return chosen.number


def _members(done: Pruned, own: PruneOptions, settings: Settings) -> dict[str, object]:
    return {
        "journal": str(settings.state / NAME),
        "dry_run": own.dry_run,
        "before": done.before,
        "counts": dict(done.counts),
        "kept": done.kept,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "free_bytes": done.free_bytes,
        "sources_that_exist": still_there(done.sources, Path()),
    }


def _lines(done: Pruned, own: PruneOptions) -> Iterator[str]:
    states = ", ".join(f"{count:,} {state}" for state, count in done.counts.items())
    verb = "Would delete" if own.dry_run else "Deleted"
    yield (
        f"{verb} {spell_count(done.total, 'row')} of jobs that ended before {spell_moment(done.before)}"
        f"{f': {states}' if states else ''}. {spell_count(done.kept, 'row')} {'stays' if done.kept == 1 else 'stay'}."
    )
    if not own.dry_run:
        free = f"; later rows use {spell_size(done.free_bytes)} of it" if done.free_bytes else ""
        yield f"The journal had {spell_size(done.bytes_before)}, and has {spell_size(done.bytes_after)} now{free}."
    if not done.total:
        return
    yield "A run that reads the records of these rows again creates their runs again."
    if there := still_there(done.sources, Path()):
        names = ", ".join(printable(name, WHOLE) for name in there[:_NAMED])
        more = f" and {len(there) - _NAMED:,} more" if len(there) > _NAMED else ""
        yield f"Some of their files are still there: move them away, or never read them again: {names}{more}"
