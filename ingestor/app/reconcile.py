"""`ingestor reconcile`: looks for the runs of jobs whose outcome is not known, and settles them."""

import time

from ingestor.app.options import BatchOptions
from ingestor.app.ports import Wrap, unwrapped
from ingestor.app.session import Session, worst
from ingestor.app.target import Target
from ingestor.app.terminal import Terminal
from ingestor.journal.reader import batches_of_target
from ingestor.model.errors import ExitCode
from ingestor.report.summary import Reconciled


def reconcile(
    target: Target, options: BatchOptions, batch: str | None, terminal: Terminal, *, wrap: Wrap = unwrapped
) -> ExitCode:
    """Look for the runs, show progress, and print the summary.

    `batch` is a name; None is every batch of this target. Raises IngestorError where it can't begin.
    """
    began_at = time.monotonic()
    names = batches_to_reconcile(target, options, batch)
    session = Session(target, options, wrap=wrap)
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
    return done.exit_code


def batches_to_reconcile(target: Target, options: BatchOptions, batch: str | None) -> list[str]:
    """Return the target's batches, or the one that is named. Raises UsageError where there is no journal."""
    known = batches_of_target(options.state, platform=target.platform, workspace=target.workspace)
    return [name for name in known if batch in (None, name)]
