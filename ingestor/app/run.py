"""`ingestor run`: creates a run for every record."""

import sys
from collections.abc import Sequence

from ingestor.app.options import BatchOptions
from ingestor.app.ports import OpenReading, Wrap, unwrapped
from ingestor.app.reading import from_the_start, reserved_paths
from ingestor.app.session import Session
from ingestor.app.target import Target
from ingestor.app.terminal import Terminal, complain
from ingestor.model.errors import ExitCode
from ingestor.sources.locate import STDIN, locate, source_of
from ingestor.sources.spool import Spool


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
    Raises IngestorError where the batch can't begin.
    """
    names = names or [STDIN]
    if STDIN in names and sys.stdin is not None and sys.stdin.isatty():
        complain("reading records from the terminal; end them with Ctrl-D")
    sources = [source_of(name) for name in locate(names, reserved_paths(options))]
    scope = target.scope(options.batch)
    kept = Spool(options.state, scope) if spool else None
    return ingest(Session(target, options, wrap=wrap), from_the_start(sources, scope, kept), names, terminal)


def ingest(session: Session, open_reading: OpenReading, names: Sequence[str], terminal: Terminal) -> ExitCode:
    """Create the runs of all records that are read, show progress, and print the summary. Raises IngestorError."""
    finished = terminal.attend(session, session.ingest(open_reading, names))
    if finished is None:
        return ExitCode.STOPPED
    terminal.print_summary(finished, session)
    return ExitCode(finished.exit_code)
