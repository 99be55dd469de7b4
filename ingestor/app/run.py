"""`ingestor run` creates a run for every record; `ingestor reconcile` finds runs of jobs whose result is not known."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingestor.app.exit_codes import worst
from ingestor.app.following import following
from ingestor.app.messages import complain, warn
from ingestor.app.on_done import KEEP, OnDone
from ingestor.app.options import BatchOptions
from ingestor.app.ports import OpenReading, Reading, Wrap, unwrapped
from ingestor.app.reading import complain_of_empty, from_the_start, reserved_paths
from ingestor.app.scope import absolute, batches_to_reconcile, other_servers
from ingestor.app.session import Session
from ingestor.app.target import Target
from ingestor.app.terminal import Terminal
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.reader import has_journal
from ingestor.model.errors import ExitCode
from ingestor.model.sources import STDIN
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.report.ending import Reconciled
from ingestor.sources.locate import locate
from ingestor.sources.posted import ACCEPTED
from ingestor.sources.segment_folder import kept_elsewhere
from ingestor.sources.segments import Kept

if TYPE_CHECKING:
    from ingestor.app.accepting import Accepting


def run(  # noqa: PLR0913 - what the command line says
    target: Target,
    options: BatchOptions,
    names: Sequence[str],
    terminal: Terminal,
    *,
    spool: bool = True,
    accepting: "Accepting | None" = None,
    on_done: OnDone = KEEP,
    wrap: Wrap = unwrapped,
) -> ExitCode:
    """Create the runs of the records in the sources `names`, show progress, and print the summary.

    With `spool`, standard input is kept until its records are done. What an earlier execution kept is read first.
    Where records are `accepting`, standard input is read only if it is named.
    Raises IngestorError if the batch can't begin.
    """
    names = names or ([STDIN] if accepting is None else [])
    if STDIN in names and sys.stdin is not None and sys.stdin.isatty():
        complain("reading records from the terminal; end them with Ctrl-D")
    spool_in = options.state if spool else None
    if options.follow:
        reading = following(names, options, spool_in=spool_in, accepting=accepting, on_done=on_done)
    else:
        located = locate(names, reserved_paths(options))
        complain_of_empty(located.empty)
        reading = from_the_start(located, spool_in=spool_in)

    async def open_reading(journal: SqliteJournal, scope: Scope) -> Reading:
        _warn_of_other_servers(target, options, scope)
        if STDIN in names or accepting is not None:
            warn_of_kept_input(options.state, scope)
        return await reading(journal, scope)

    observers = list(terminal.observers)
    if accepting is not None:
        names, observers = [*names, ACCEPTED], [accepting.observe, *observers]
    return ingest(Session(target, options, observers=observers, wrap=wrap), open_reading, names, terminal)


_INPUT = {Kept.STDIN: "standard input", Kept.ACCEPTED: "accepted records"}


def warn_of_kept_input(state: Path, scope: Scope) -> None:
    """Print a warning for what is kept in the state directory for another target or batch."""
    for kept in kept_elsewhere(state, scope):
        place = "another target or batch"
        if kept.scope is not None:
            place = kept.scope.display
        warn(
            f"{kept.size:,} bytes of {_INPUT[kept.kind]} are kept for {place}: `ingestor resume` with that target "
            f"and batch finishes them; to give them up, delete {printable(str(kept.folder), 1000)}"
        )


def _warn_of_other_servers(target: Target, options: BatchOptions, scope: Scope) -> None:
    for other in other_servers(target, options, scope):
        warn(
            f"batch {printable(options.batch)} has runs on {printable(other, 1000)} too, with a memory of its "
            "own: if that is the same server under another name, keep to one of the two, else records become two runs"
        )


def ingest(
    session: Session, open_reading: OpenReading, names: Sequence[str], terminal: Terminal, *, continues: bool = False
) -> ExitCode:
    """Create the runs of all records that are read, show progress, and print the summary. Raises IngestorError."""
    work = session.ingest(_announcing_new_state(session.options, open_reading), names, continues=continues)
    finished = terminal.attend(session, work)
    if finished is not None:
        terminal.print_summary(finished, session)
    return session.exit_code


def _announcing_new_state(options: BatchOptions, open_reading: OpenReading) -> OpenReading:
    """Return how to open the reading, after a message if there was no journal before it was opened."""
    if has_journal(options.state):
        return open_reading

    async def announce(journal: SqliteJournal, scope: Scope) -> Reading:
        state = absolute(options.state)
        complain(f"{state} is a new state directory: nothing is known yet, so every record counts as new")
        return await open_reading(journal, scope)

    return announce


def reconcile(
    target: Target, options: BatchOptions, batch: str | None, terminal: Terminal, *, wrap: Wrap = unwrapped
) -> ExitCode:
    """Look for the runs, show progress, and print the summary.

    `batch` is a name; None is every batch of this target. Raises IngestorError if it can't begin.
    """
    began_at = time.monotonic()
    names = batches_to_reconcile(target, options, batch)
    session = Session(target, options, observers=terminal.observers, wrap=wrap)
    ends = terminal.attend(session, session.reconcile(names))
    if ends is None:
        return ExitCode.STOPPED
    done = Reconciled(
        batches=tuple(names),
        exit_code=worst(ends),
        left=sum(end.left for end in ends),
        duration=time.monotonic() - began_at,
    )
    terminal.print_summary(done, session)
    return session.exit_code
