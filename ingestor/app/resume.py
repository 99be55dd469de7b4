"""`ingestor resume`: finishes what stopped or killed executions left."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ingestor.app.messages import complain, print_result
from ingestor.app.options import BatchOptions
from ingestor.app.ports import Wrap, unwrapped
from ingestor.app.reading import OBJECTS, from_checkpoints, has_unreported_rejects
from ingestor.app.run import ingest, warn_of_kept_input
from ingestor.app.scope import batches_to_reconcile, scope_of
from ingestor.app.session import Session
from ingestor.app.target import Target
from ingestor.app.terminal import Terminal, files_of
from ingestor.journal.reader import (
    batches_of_target,
    has_journal,
    has_kept_records,
    known_sources,
    sources_of_unresolved,
)
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.events import BatchFinished
from ingestor.model.sources import STDIN, Checkpoint, Source, SourceEnd
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.report.metrics import Metrics
from ingestor.report.summary import as_json
from ingestor.report.text import spell_source
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS
from ingestor.sources.follow.unread import unread_files
from ingestor.sources.locate import is_descriptor, require_file
from ingestor.sources.posted import ACCEPTED
from ingestor.sources.segment_folder import SegmentFolder
from ingestor.sources.segments import Kept
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT

_CUT = (
    "the run that kept standard input stopped before the input ended: what is kept is finished now; if there was more, "
    "run the same `ingestor run` command to read the rest"
)


@dataclass(frozen=True)
class Remainder:
    """What is left of a batch, from journal and spool.

    Attributes:
        known: the checkpoints of all known sources.
        spool: the kept standard input.
        accepted: the kept records of accepted requests.
        has_kept_records: whether there is a failed or unresolved record that may be sent again.
    """

    known: Sequence[Checkpoint]
    spool: Spool
    accepted: SegmentFolder
    has_kept_records: bool

    @classmethod
    def of(cls, state: Path, scope: Scope) -> "Remainder":
        """Read what is left of a batch. Raises JournalError."""
        kept = has_kept_records(state, scope, now=time.time())
        accepted = SegmentFolder(state, scope, Kept.ACCEPTED)
        return cls(known_sources(state, scope), Spool(state, scope), accepted, kept)

    @property
    def files(self) -> list[Source]:
        """The files that were not read to their end, or that have records without an outcome."""
        unread = [it.source for it in self.known if it.end is None and it.source.path is not None]
        return [source for source in unread if not source.number]

    @cached_property
    def followed(self) -> Mapping[str, Checkpoint]:
        """The files that were followed and have something unread, by their present paths."""
        return unread_files(it for it in self.known if it.end is None and it.source.number)

    @property
    def lost(self) -> list[str]:
        """The names of other sources that were not read to their end, and of which nothing is kept.

        Nothing is lost of accepted records: all of them are kept until they are done.
        """
        kept = {ACCEPTED_RECORDS} if self.spool.is_empty else {ACCEPTED_RECORDS, STANDARD_INPUT}
        unread = [it.source for it in self.known if it.end is None and it.source.path is None]
        return [source.name for source in unread if source not in kept]

    @property
    def damaged(self) -> list[str]:
        """The names of the sources that could not be read to their end."""
        return [it.source.name for it in self.known if it.end is SourceEnd.DAMAGED]

    @property
    def has_rejects(self) -> bool:
        """Whether records were rejected that no exit code has reported yet."""
        return any(it.rejected for it in self.known)

    @property
    def is_readable(self) -> bool:
        """Whether an execution has something to do: to read, or to report rejects once."""
        has_spooled = not (self.spool.is_empty and self.accepted.is_empty)
        has_unread = bool(self.files) or bool(self.followed) or has_spooled or self.has_kept_records
        return has_unread or any(map(has_unreported_rejects, self.known))


def resume(
    target: Target, options: BatchOptions, terminal: Terminal, *, is_named: bool = False, wrap: Wrap = unwrapped
) -> ExitCode:
    """Read what is left of the batch, after the checkpoints: files, kept standard input, and kept records.

    Finished records are not sent again, nor is a job whose token no longer protects (see `reconcile`). If only another
    command or program can read the rest, a message says so, and the exit code is STOPPED instead of OK. It is
    INCOMPLETE if a job can only be reconciled, a source is damaged, or an earlier execution rejected records.
    Raises IngestorError, also if a file is no longer there, or if the batch is not known although it `is_named`.
    """
    scope = scope_of(target, options)
    left = Remainder.of(options.state, scope)
    warn_of_kept_input(options.state, scope)
    if not left.is_readable:
        if is_named and has_journal(options.state):
            batches_to_reconcile(target, options, options.batch)
        return _nothing_to_read(options, scope, left, terminal)
    _require(left.files)
    if left.spool.is_cut:
        complain(_CUT)
    spooled = {STDIN: left.spool, ACCEPTED: left.accepted}
    kept = [name for name, folder in spooled.items() if not folder.is_empty]
    names = list(dict.fromkeys([*kept, *(it.name for it in left.files), *left.followed]))
    reading = from_checkpoints(left.files, spool_in=options.state, followed=left.followed)
    session = Session(target, options, observers=terminal.observers, wrap=wrap)
    code = ingest(session, reading, names, terminal, continues=True)
    if session.life.has_stopped:
        return code
    if code is ExitCode.OK and (unfinished := _unfinished(options, scope, left)):
        code, message = unfinished
        complain(message)
    elif code is ExitCode.INCOMPLETE and left.has_rejects:
        complain(_rejected_earlier(options))
    return code


def _require(files: Sequence[Source]) -> None:
    """Raise UsageError if one of the files is not there."""
    try:
        for source in files:
            require_file(source.path or source.name)
    except UsageError as error:
        raise UsageError(
            f"{error} An earlier run did not finish it: put it back, or put an empty file there to drop it."
        ) from error


def _unfinished(options: BatchOptions, scope: Scope, before: Remainder) -> tuple[ExitCode, str] | None:
    """Return the exit code and the message if something is not done; None if everything is.

    `before` is what was left when this execution began.
    """
    state = options.state
    batch, after = printable(scope.batch), Remainder.of(state, scope)
    if after.lost:
        return ExitCode.STOPPED, _who_can_read(batch, after.lost)
    if unresolved := sources_of_unresolved(state, scope):
        return ExitCode.INCOMPLETE, (
            f"Records of batch {batch} from {_listed(unresolved)} have no known outcome, and can't be sent again "
            "safely: `ingestor reconcile` looks for their runs."
        )
    if after.damaged:
        return ExitCode.INCOMPLETE, (
            f"Batch {batch} could not read {_listed(after.damaged)} to the end: replace it and run the same "
            "`ingestor run` command again. To give it up, put an empty file there."
        )
    if before.has_rejects:
        return ExitCode.INCOMPLETE, _rejected_earlier(options)
    return None


def _rejected_earlier(options: BatchOptions) -> str:
    path = options.rejects_path
    files = f"{printable(path.name)} and {printable(path.stem)}-<time>{printable(path.suffix)}"
    return f"Earlier runs of batch {printable(options.batch)} rejected records: see {files} in {_folder(path)}."


def _folder(path: Path) -> str:
    return printable(str(path.parent))


def _who_can_read(batch: str, names: Sequence[str]) -> str:
    """Say of sources that no other process can read what must be done to read their rest."""
    if OBJECTS in names:
        return (
            f"A program did not pass all its records of batch {batch} to the end: it must pass the same records again, "
            "by the same call of the library."
        )
    if any(is_descriptor(name) for name in names):
        return (
            f"A run of batch {batch} did not reach the end of {_listed(names)}, which the shell created for that run "
            "only: run the same command again, with the same process substitution or redirection."
        )
    return (
        f"A run of batch {batch} did not reach the end of {_listed(names)}, and the rest is not kept: the "
        "same `ingestor run` command reads the rest, or drops it if no input comes."
    )


def _listed(sources: Sequence[str]) -> str:
    return ", ".join(map(spell_source, sources))


def _nothing_to_read(options: BatchOptions, scope: Scope, left: Remainder, terminal: Terminal) -> ExitCode:
    """Print what else can be resumed, and return the exit code."""
    state = options.state
    batch, code = printable(scope.batch), ExitCode.OK
    if unfinished := _unfinished(options, scope, left):
        code, message = unfinished
    else:
        message = f"Nothing is left to resume of batch {batch} in {printable(str(state))}."
    others = map(printable, _others(state, scope))
    steps = [message, *(f"Batch {it} has something to resume: --batch {it}" for it in others)]
    if terminal.json:
        read = code is not ExitCode.STOPPED
        end = BatchFinished(
            batch=scope.batch, counts={}, already_done=0, left=0, exit_code=code, duration=0.0, exhausted=read
        )
        print_result(as_json(end, Metrics(time.monotonic), files_of(options), steps))
    elif not terminal.quiet or code or len(steps) > 1:
        print_result("\n".join(steps))
    return code


def _others(state: Path, scope: Scope) -> list[str]:
    """Return the other batches of this target that have something to resume."""
    known: list[str] = []
    with suppress(UsageError):  # there is no journal yet
        known = batches_of_target(state, platform=scope.platform, workspace=scope.workspace)
    others = [replace(scope, batch=name) for name in known if name != scope.batch]
    return [other.batch for other in others if Remainder.of(state, other).is_readable]
