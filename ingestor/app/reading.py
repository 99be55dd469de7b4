"""What a batch reads, and in which order: kept records whose tokens still protect, its sources, failed records."""

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeGuard

from ingestor.app.messages import complain
from ingestor.app.options import STDOUT, BatchOptions
from ingestor.app.ports import OpenReading, Reading
from ingestor.journal.journal import SqliteJournal
from ingestor.model.errors import UsageError
from ingestor.model.ports import Input
from ingestor.model.record import Outcome
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.sources.accepted import AcceptedRecords
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS, AcceptedSpool
from ingestor.sources.follow.followed_files import FollowedFiles
from ingestor.sources.follow.merged import Merged
from ingestor.sources.inputs import Chained, IterableInput, KeptRecords
from ingestor.sources.locate import Located, ReservedPaths
from ingestor.sources.reader import read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from ingestor.app.accepting import Accepting

AnyPath = str | PathLike[str]
Records = AnyPath | Iterable[object] | AsyncIterable[object]
"""Records to read.

A path, or a list or tuple of paths: files, globs and directories, as on the command line. A dictionary: one record.
Any other iterable or async iterable: each item is a record, as a dictionary or as its JSON (str or bytes).
"""

NOTHING_FOLLOWED: Mapping[str, Checkpoint] = MappingProxyType({})

OBJECTS = "records"
"""The name of the source of records that are objects of a program."""


def reserved_paths(options: BatchOptions) -> ReservedPaths:
    """Return the files that the program writes itself, so that they are not read as records."""
    log = "" if options.log_path == STDOUT else str(options.log_path)
    return ReservedPaths(log=log, rejects=str(options.rejects_path), state=str(options.state))


def complain_of_empty(names: Sequence[str]) -> None:
    """Print a message for each directory and each glob that gives no record file, which is no error."""
    for name in names:
        why = "there are no record files in it" if Path(name).is_dir() else "no file matches"
        complain(f"{printable(name, WHOLE)}: {why}")


def from_the_start(located: Located, *, spool_in: Path | None = None) -> OpenReading:
    """Read everything that was located, and what is kept in the spool of a state directory, if one is given."""
    sources = located.sources

    async def open_reading(journal: SqliteJournal, scope: Scope) -> Reading:
        spool = None if spool_in is None else Spool(spool_in, scope)
        known = {it.source: it for it in await journal.checkpoints()}
        starts = {source: Checkpoint(source) for source in sources}
        if spool is not None and (STANDARD_INPUT in starts or not spool.is_empty):
            starts[STANDARD_INPUT] = reopened(STANDARD_INPUT, known)
        accepted = None if spool_in is None else await open_accepted(spool_in, scope, known)
        if accepted is not None:
            starts[ACCEPTED_RECORDS] = reopened(ACCEPTED_RECORDS, known)
        reading = await asyncio.to_thread(_reading, journal, scope, sources, spool, starts, accepted)
        return replace(reading, skipped=located.skipped)

    return open_reading


def from_checkpoints(
    sources: Sequence[Source], *, spool_in: Path, followed: Mapping[str, Checkpoint] = NOTHING_FOLLOWED
) -> OpenReading:
    """Read `sources`, and what is kept in the spool of a state directory, after their checkpoints.

    Files that were `followed`, by their present paths, are read to their present ends.
    """

    async def open_reading(journal: SqliteJournal, scope: Scope) -> Reading:
        spool = Spool(spool_in, scope)
        known = {it.source: it for it in await journal.checkpoints()}
        starts = {it.source: it for it in known.values() if has_unreported_rejects(it)}
        starts |= {source: known.get(source, Checkpoint(source)) for source in sources}
        if not spool.is_empty:
            starts[STANDARD_INPUT] = reopened(STANDARD_INPUT, known)
        accepted = await open_accepted(spool_in, scope, known)
        if accepted is not None:
            starts[ACCEPTED_RECORDS] = reopened(ACCEPTED_RECORDS, known)
        reading = await asyncio.to_thread(_reading, journal, scope, sources, spool, starts, accepted)
        if not followed:
            return reading
        files = FollowedFiles(list(followed), scope, list(followed.values()))
        files.finish()
        starts |= {it.source: it for it in followed.values()}
        return replace(reading, source=Merged([reading.source, files]), starts=list(starts.values()))

    return open_reading


def objects(records: Records) -> OpenReading:
    """Read the objects of a program, which no other process can read again. Raises UsageError, at once."""
    given = _iterable(records)

    async def open_reading(journal: SqliteJournal, scope: Scope) -> Reading:
        source = IterableInput(given, scope, OBJECTS)
        return Reading(_with_kept_records(journal, scope, source), [Checkpoint(Source(OBJECTS, None))])

    return open_reading


def _reading(
    journal: SqliteJournal,
    scope: Scope,
    sources: Sequence[Source],
    spool: Spool | None,
    starts: Mapping[Source, Checkpoint],
    accepted: AcceptedRecords | None,
) -> Reading:
    """Look at every source, which takes seconds for very many files: not on the event loop."""
    positions = {source: start.position for source, start in starts.items() if start.position is not None}
    reader = read_sources(sources, scope, spool, positions)
    source = reader if accepted is None else Chained([accepted, reader])
    return Reading(_with_kept_records(journal, scope, source), list(starts.values()), waits_for=reader.waits_for)


async def open_accepted(
    state: Path, scope: Scope, known: Mapping[Source, Checkpoint], accepting: "Accepting | None" = None
) -> AcceptedRecords | None:
    """Return the accepted records of a batch as an input; None if there are none.

    It has what earlier executions kept. Where records are `accepting`, it receives more until it is finished.
    """
    start = known.get(ACCEPTED_RECORDS, Checkpoint(ACCEPTED_RECORDS))
    spool = await asyncio.to_thread(AcceptedSpool, state, scope, start.position)
    accepted = AcceptedRecords(spool, scope)
    if accepting is not None:
        accepting.begin(accepted)
        return accepted
    accepted.finish()
    return None if spool.is_empty else accepted


def _with_kept_records(journal: SqliteJournal, scope: Scope, source: Input) -> Input:
    """Put the kept records around a source: unresolved ones first, because their tokens age.

    A record may be kept and in the source too; it is sent and counted once. An unresolved one is sent from its kept
    text, and its line is left out (`Intake`). A failed one is sent as its line is read: what this execution has tried
    is not read from the journal.
    """
    unresolved, failed = (KeptRecords(journal, outcome, scope) for outcome in (Outcome.UNRESOLVED, Outcome.FAILED))
    return Chained([unresolved, source, failed])


def has_unreported_rejects(source: Checkpoint) -> bool:
    """Whether a source was read to its end by an execution that was killed before its exit code reported the rejects.

    The next `resume` continues its row, so that the rejects are reported once.
    """
    return source.end is SourceEnd.COMPLETE and source.rejected > 0


def reopened(source: Source, known: Mapping[Source, Checkpoint]) -> Checkpoint:
    """Return where a source continues that never ends for good."""
    return replace(known.get(source, Checkpoint(source)), end=None)


def paths_of(records: Records) -> list[str] | None:
    """Return the paths that records are read from; None if `records` are the records themselves."""
    given = records if isinstance(records, list | tuple) else [records]
    paths = [fspath(item) for item in given if _is_path(item)]
    return paths if paths and len(paths) == len(given) else None


def _is_path(item: object) -> TypeGuard[AnyPath]:
    """Return whether an item is a path, and not the JSON text of a record."""
    return isinstance(item, PathLike) or (isinstance(item, str) and not item.lstrip().startswith("{"))


def objects_of(records: Records, scope: Scope) -> IterableInput:
    """Return the input that reads the objects of a program. Raises UsageError."""
    return IterableInput(_iterable(records), scope, OBJECTS)


def _iterable(records: Records) -> Iterable[object] | AsyncIterable[object]:
    given = [records] if isinstance(records, Mapping | bytes | str | PathLike) else records
    if not isinstance(given, Iterable | AsyncIterable):
        raise UsageError(f"records: must be a path, a record or an iterable of records, not {type(given).__name__}")
    return given
