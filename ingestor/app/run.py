"""`ingestor run` creates a run for every record; `ingestor reconcile` finds runs of jobs whose result is not known."""

import sys
import time
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from ingestor.app.options import BatchOptions
from ingestor.app.ports import OpenReading, Wrap, unwrapped
from ingestor.app.reading import from_the_start, reserved_paths
from ingestor.app.session import Session, worst
from ingestor.app.target import Target
from ingestor.app.terminal import Terminal, complain
from ingestor.journal.reader import batches_of_target, unknown_batch
from ingestor.model.errors import ExitCode
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.report.summary import Reconciled
from ingestor.sources.locate import STDIN, locate, source_of
from ingestor.sources.spool import Spool, kept_elsewhere


def run(
    target: Target,
    options: BatchOptions,
    names: Sequence[str],
    terminal: Terminal,
    *,
    spool: bool = True,
    wrap: Wrap = unwrapped,
) -> ExitCode:
    """Create the runs of the records in the sources `names`, show progress, and print the summary.

    With `spool`, standard input is kept until its records are done. What an earlier execution kept is read first.
    Raises IngestorError if the batch can't begin.
    """
    names = names or [STDIN]
    if STDIN in names and sys.stdin is not None and sys.stdin.isatty():
        complain("reading records from the terminal; end them with Ctrl-D")
    sources = [source_of(name) for name in locate(names, reserved_paths(options))]
    scope = target.scope(options.batch)
    if STDIN in names:
        warn_of_kept_input(options.state, scope)
    kept = Spool(options.state, scope) if spool else None
    return ingest(Session(target, options, wrap=wrap), from_the_start(sources, scope, kept), names, terminal)


def warn_of_kept_input(state: Path, scope: Scope) -> None:
    """Print a warning for standard input that is kept in the state directory for another target or batch."""
    for kept in kept_elsewhere(state, scope):
        place = "another target or batch"
        if (its := kept.scope) is not None:
            place = (
                f"batch {printable(its.batch)}, to {printable(' '.join(filter(None, (its.platform, its.workspace))))}"
            )
        complain(
            f"warning: {kept.size:,} bytes of standard input are kept for {place}: `ingestor resume` with that target "
            f"and batch finishes them; to give them up, delete {printable(str(kept.folder), 1000)}"
        )


def ingest(
    session: Session, open_reading: OpenReading, names: Sequence[str], terminal: Terminal, *, continues: bool = False
) -> ExitCode:
    """Create the runs of all records that are read, show progress, and print the summary. Raises IngestorError."""
    work = session.ingest(open_reading, names, continues=continues)
    finished = terminal.attend(session, work, attrgetter("exit_code"))
    if finished is None:
        return ExitCode.STOPPED
    terminal.print_summary(finished, session)
    return ExitCode(finished.exit_code)


def reconcile(
    target: Target, options: BatchOptions, batch: str | None, terminal: Terminal, *, wrap: Wrap = unwrapped
) -> ExitCode:
    """Look for the runs, show progress, and print the summary.

    `batch` is a name; None is every batch of this target. Raises IngestorError if it can't begin.
    """
    began_at = time.monotonic()
    names = batches_to_reconcile(target, options, batch)
    session = Session(target, options, wrap=wrap)
    ends = terminal.attend(session, session.reconcile(names), worst)
    if ends is None:
        return ExitCode.STOPPED
    done = Reconciled(
        batches=tuple(names),
        exit_code=worst(ends),
        left=sum(end.left for end in ends),
        duration=time.monotonic() - began_at,
    )
    terminal.print_summary(done, session)
    return done.exit_code


def batches_to_reconcile(target: Target, options: BatchOptions, batch: str | None) -> list[str]:
    """Return the target's batches, or the one that is named. Raises UsageError if there is none, or no journal."""
    known = batches_of_target(options.state, platform=target.platform, workspace=target.workspace)
    if batch is not None and batch not in known:
        raise unknown_batch(batch, known, options.state)
    return known if batch is None else [batch]
