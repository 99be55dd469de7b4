"""What a batch reads that follows its sources: files, pipes, standard input and accepted records, all at once."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from ingestor.app.earlier_rejects import reported_before
from ingestor.app.finished_files import FinishedFiles
from ingestor.app.messages import complain
from ingestor.app.on_done import KEEP, Action, OnDone
from ingestor.app.options import BatchOptions
from ingestor.app.ports import OpenReading, Reading
from ingestor.app.reading import open_accepted, reopened, reserved_paths
from ingestor.journal.journal import SqliteJournal
from ingestor.model.errors import UsageError
from ingestor.model.lag import InputLag, together
from ingestor.model.ports import Changes, Input
from ingestor.model.record import Outcome
from ingestor.model.sources import STDIN, Checkpoint, Source
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.sources.accepted import AcceptedRecords
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS
from ingestor.sources.follow.followed_files import FollowedFiles
from ingestor.sources.follow.merged import Merged
from ingestor.sources.follow.patterns import Moment, Pattern, root_of
from ingestor.sources.follow.pipe import FollowedPipe
from ingestor.sources.inputs import Chained, KeptRecords
from ingestor.sources.locate import ReservedPaths, is_descriptor, source_of
from ingestor.sources.reader import Reader, read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from ingestor.app.accepting import Accepting


def following(
    names: Sequence[str],
    options: BatchOptions,
    *,
    spool_in: Path | None,
    accepting: "Accepting | None" = None,
    on_done: OnDone = KEEP,
) -> OpenReading:
    """Follow the sources `names`. They may not exist yet. Raises UsageError for a file that the program writes.

    Standard input, and what else can't be followed, is read until it is closed.
    """
    reserved = reserved_paths(options).resolved()
    streams = [name for name in dict.fromkeys(names) if name == STDIN or is_descriptor(name) or _is_pipe(name)]
    files = [name for name in dict.fromkeys(names) if name not in streams]
    for name in files:
        _refuse_own(name, reserved)
        if (what := _waits_for_files(name)) is not None:
            complain(what)
    return _Following(streams, files, reserved, options.rejects_path, spool_in, accepting, on_done).open


@dataclass(frozen=True, slots=True)
class _Following:
    """What is followed.

    Attributes:
        streams: standard input, descriptors and named pipes.
        files: SOURCE arguments that mean files.
    """

    streams: Sequence[str]
    files: Sequence[str]
    reserved: ReservedPaths
    rejects: Path
    spool_in: Path | None
    accepting: "Accepting | None"
    on_done: OnDone

    async def open(self, journal: SqliteJournal, scope: Scope) -> Reading:
        """Return what is read: all inputs, each from where earlier executions were in it."""
        known = {it.source: it for it in await journal.checkpoints()}
        followed = [it for source, it in known.items() if source.number and it.end is None]
        starts = {it.source: it for it in followed if it.rejected}
        inputs = [_kept_records(journal, scope), *self._open_streams(scope, known, starts)]
        if self.spool_in is not None:
            accepted = await open_accepted(self.spool_in, scope, known, self.accepting)
            if accepted is not None:
                starts[ACCEPTED_RECORDS] = reopened(ACCEPTED_RECORDS, known)
                inputs.append(accepted)
        if self.files:
            inputs.append(self._open_files(journal, scope, followed))
        return Reading(
            Merged(inputs),
            list(starts.values()),
            waits_for=partial(_waits_for, inputs),
            lag=partial(_lag_of, inputs),
            reported=await asyncio.to_thread(reported_before, self.rejects),
        )

    def _open_streams(
        self, scope: Scope, known: Mapping[Source, Checkpoint], starts: dict[Source, Checkpoint]
    ) -> list[Input]:
        """Return the inputs of standard input, descriptors and pipes; add where they start."""
        inputs: list[Input] = []
        spool = None if self.spool_in is None else Spool(self.spool_in, scope)
        if STDIN in self.streams or (spool is not None and not spool.is_empty):
            start = Checkpoint(STANDARD_INPUT) if spool is None else reopened(STANDARD_INPUT, known)
            positions = {} if start.position is None else {STANDARD_INPUT: start.position}
            sources = [STANDARD_INPUT] if STDIN in self.streams else []
            starts[STANDARD_INPUT] = start
            inputs.append(read_sources(sources, scope, spool, positions))
        for name in [name for name in self.streams if name != STDIN]:
            source = source_of(name)
            starts[source] = Checkpoint(source)
            is_pipe = _is_pipe(name) and not is_descriptor(name)
            inputs.append(Reader([FollowedPipe(name, scope)]) if is_pipe else read_sources([source], scope))
        return inputs

    def _open_files(self, journal: SqliteJournal, scope: Scope, known: Sequence[Checkpoint]) -> Input:
        """Return the input of files. What is moved elsewhere when it is done is not read again."""
        on_done, keeps = self.on_done, self.on_done.action is Action.KEEP
        age = None if keeps else on_done.age
        register = partial(_register, journal)
        files = FollowedFiles(
            self.files, scope, known, is_own=self._is_own, say=_say, done_after=age, register=register
        )
        roots = sorted({root_of(name) for name in self.files})
        return files if keeps else FinishedFiles(files, on_done, roots, journal, scope)

    def _is_own(self, path: str) -> bool:
        """Whether this program writes a file, by its real path."""
        folder = self.on_done.folder
        is_moved = folder is not None and path.startswith(f"{os.path.realpath(folder)}{os.sep}")
        return is_moved or self.reserved.writer(path) is not None


async def _register(journal: SqliteJournal, new: Sequence[Checkpoint]) -> None:
    await journal.commit(Changes(checkpoints=new))


def _waits_for(inputs: Sequence[Input]) -> list[str]:
    waiting = [it.waits_for() for it in inputs if isinstance(it, Reader | AcceptedRecords)]
    return [sentence for sentences in waiting for sentence in sentences]


def _waits_for_files(name: str) -> str | None:
    """Say what is waited for if a SOURCE means no file yet; None if it means one."""
    shown = printable(name, WHOLE)
    if not os.path.lexists(name) and not has_magic(name):
        return f"{shown} does not exist yet: it is read once it is there"
    if Pattern(name).look(Moment(time.monotonic(), time.time())).appeared:
        return None
    return f"waiting for {'record files in' if Path(name).is_dir() else 'files that match'} {shown}: there are none yet"


def _lag_of(inputs: Sequence[Input]) -> InputLag | None:
    """Return how far those inputs are read that know it; None if none does."""
    lags = [it.lag() for it in inputs if isinstance(it, FollowedFiles | FinishedFiles | AcceptedRecords)]
    return together(lags) if lags else None


def _kept_records(journal: SqliteJournal, scope: Scope) -> Input:
    """Return the records that earlier executions left: unresolved ones first, because their tokens age."""
    return Chained([KeptRecords(journal, outcome, scope) for outcome in (Outcome.UNRESOLVED, Outcome.FAILED)])


def _say(sentence: str) -> None:
    complain(printable(sentence, WHOLE))


def _is_pipe(name: str) -> bool:
    try:
        return Path(name).is_fifo()
    except (OSError, ValueError):
        return False


def _refuse_own(name: str, reserved: ReservedPaths) -> None:
    if (option := reserved.writer(os.path.realpath(name))) is not None:
        raise UsageError(
            f"{printable(name, WHOLE)}: this program writes it ({option}), so it can't be read as records."
        )
