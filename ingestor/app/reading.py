"""What a batch reads, and in which order: kept records whose tokens still protect, its sources, failed records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingestor.app.options import STDOUT, BatchOptions
from ingestor.app.ports import OpenReading, Reading
from ingestor.journal.journal import SqliteJournal
from ingestor.model.ports import Input
from ingestor.model.record import Outcome
from ingestor.model.sources import Checkpoint, Source
from ingestor.policy.identity import Scope
from ingestor.sources.inputs import Chained, KeptRecords
from ingestor.sources.locate import ReservedPaths
from ingestor.sources.reader import read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT


def reserved_paths(options: BatchOptions) -> ReservedPaths:
    """Return what the program writes itself, so that it is not read as records."""
    log = "" if options.log_path == STDOUT else str(options.log_path)
    return ReservedPaths(log=log, rejects=str(options.rejects_path), state=str(options.state))


def from_the_start(sources: Sequence[Source], scope: Scope, spool: Spool | None) -> OpenReading:
    """Read all of `sources`, and of the standard input that the spool keeps, what is behind its checkpoint."""

    async def open_reading(journal: SqliteJournal) -> Reading:
        known = {it.source: it for it in await journal.checkpoints()}
        starts = {source: Checkpoint(source) for source in sources}
        if spool is not None and (STANDARD_INPUT in starts or not spool.is_empty):
            starts[STANDARD_INPUT] = _reopened(known.get(STANDARD_INPUT))
        return _reading(journal, scope, sources, spool, starts)

    return open_reading


def from_checkpoints(sources: Sequence[Source], scope: Scope, spool: Spool) -> OpenReading:
    """Read what is behind the checkpoints of `sources`, and of the standard input that the spool keeps."""

    async def open_reading(journal: SqliteJournal) -> Reading:
        known = {it.source: it for it in await journal.checkpoints()}
        starts = {source: known.get(source, Checkpoint(source)) for source in sources}
        if not spool.is_empty:
            starts[STANDARD_INPUT] = _reopened(known.get(STANDARD_INPUT))
        return _reading(journal, scope, sources, spool, starts)

    return open_reading


def objects(source: Input, name: str, scope: Scope) -> OpenReading:
    """Read the objects of a program, which nobody else can read again."""

    async def open_reading(journal: SqliteJournal) -> Reading:
        return Reading(_with_kept_records(journal, scope, source), [Checkpoint(Source(name, None))])

    return open_reading


def _reading(
    journal: SqliteJournal,
    scope: Scope,
    sources: Sequence[Source],
    spool: Spool | None,
    starts: Mapping[Source, Checkpoint],
) -> Reading:
    positions = {source: start.position for source, start in starts.items() if start.position is not None}
    reader = read_sources(sources, scope, spool, positions)
    return Reading(_with_kept_records(journal, scope, reader), list(starts.values()))


def _with_kept_records(journal: SqliteJournal, scope: Scope, source: Input) -> Input:
    """Put the kept records around a source: unresolved ones first, because their tokens age."""
    unresolved, failed = (KeptRecords(journal, outcome, scope) for outcome in (Outcome.UNRESOLVED, Outcome.FAILED))
    return Chained([unresolved, source, failed])


def _reopened(known: Checkpoint | None) -> Checkpoint:
    """Return where standard input goes on. The rejects of one that was read to its end are not counted again."""
    if known is None:
        return Checkpoint(STANDARD_INPUT)
    return replace(known, end=None, rejected=0 if known.end is not None else known.rejected)
