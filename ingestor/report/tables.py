"""Tables for a person: what was read and skipped, the most frequent errors, missing experiments."""

from ingestor.model.events import SourceCount
from ingestor.model.sources import SkippedFiles, SourceEnd
from ingestor.model.text import WHOLE, printable
from ingestor.report.errors import ErrorCount, ErrorTally, RefusedExperiments
from ingestor.report.sources_read import SourcesRead
from ingestor.report.text import spell_count, spell_source

ERRORS_SHOWN = 10
"""Kinds of error in a summary."""
_EXPERIMENTS_SHOWN = 10
_SOURCES_SHOWN = 20
_EXAMPLES_SHOWN = 3


def source_table(sources: SourcesRead) -> str:
    """List what was read of each source."""
    shown = sources.listed(_SOURCES_SHOWN)
    if not shown and not sources.kept:
        return ""
    rows = [_row(it.records, f"{spell_source(it.source)}{_notes(it)}") for it in shown]
    others, records, rejected = sources.rest_of(shown)
    if others:
        notes = f", {rejected:,} rejected" if rejected else ""
        rows.append(_row(records, f"in {others:,} more{notes}"))
    if sources.kept:
        rows.append(_row(sources.kept, "that the journal kept of earlier runs"))
    return "\n".join(["Records read", *rows])


def skipped_table(skipped: SkippedFiles) -> str:
    """Say which files of directories and globs were not read, and how to read them; "" if there are none."""
    if not skipped.count:
        return ""
    examples = ", ".join(printable(name, WHOLE) for name in skipped.examples[:_EXAMPLES_SHOWN])
    such = f", for example {examples}" if skipped.count > 1 else f": {examples}"
    what = f"{spell_count(skipped.count, 'file')}{such if examples else ''}"
    return (
        f"Skipped: not named like record files, or not regular files\n  {what}\n  To read a file, name it as a SOURCE."
    )


def error_table(errors: ErrorTally) -> str:
    """List the most frequent kinds of error, with an example of each."""
    shown = errors.most_frequent(ERRORS_SHOWN)
    if not shown:
        return ""
    rows = [_row(error.count, f"{error.cost:<12}{_describe(error)}") for error in shown]
    if errors.kinds > len(shown):
        rows.append(f"  {'':>11}  and {spell_count(errors.kinds - len(shown), 'more kind')}: see the log")
    if errors.others:
        rows.append(_row(errors.others, "others"))
    return "\n".join(["Most frequent errors", *rows])


def experiment_table(title: str, experiments: RefusedExperiments, listing: str) -> str:
    """List the experiments with the most records. `listing` is the command that lists them all."""
    shown = experiments.most_frequent(_EXPERIMENTS_SHOWN)
    if not shown:
        return ""
    rows = [_row(count, printable(name)) for name, count in shown]
    if experiments.others:
        rows.append(f"  {'':>11}  and more than {len(experiments) - len(shown):,} others: {listing} lists them")
    elif len(experiments) > len(shown):
        rows.append(f"  {'':>11}  and {len(experiments) - len(shown):,} more: {listing} lists them")
    return "\n".join([title, *rows])


def _row(number: int, text: str) -> str:
    return f"  {number:>11,}  {text}"


def _notes(count: SourceCount) -> str:
    notes = [f"{count.rejected:,} rejected"] if count.rejected else []
    if count.is_other_format:
        return ", another format: nothing was read"
    if count.end is SourceEnd.DAMAGED:
        notes.append("damaged: not read to its end")
    elif count.end is None and not count.is_followed:
        notes.append("not read to its end")
    return "".join(f", {note}" for note in notes)


def _describe(error: ErrorCount) -> str:
    label = printable(" ".join(str(part) for part in (error.http_status, error.code) if part), 60)
    message = printable(error.message, 120)
    if error.varies:
        return f"{label}, for example: {message}" if label else f"for example: {message}"
    return ": ".join(part for part in (label, message) if part)
