"""What watches a session from before its state directory is open until after its end is known."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.journal.journal import SqliteJournal
from ingestor.model.activity import Activity, Phase
from ingestor.model.lag import InputLag
from ingestor.report.history import History
from ingestor.report.metrics import Metrics


class Watched(Protocol):
    """A session, as an observer sees it. Read it in the task of the session: it changes between two awaits only."""

    @property
    def target(self) -> Target:
        """Where the runs are created."""
        ...

    @property
    def options(self) -> BatchOptions:
        """How the batch is processed; `options.state` is the state directory."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The counts of this execution so far."""
        ...

    @property
    def phase(self) -> Phase:
        """How far the session is."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit code; None before the end is known."""
        ...

    @property
    def has_stopped(self) -> bool:
        """Whether it ended early, and can be continued. The exit code may be another one (`budget_exit`)."""
        ...

    @property
    def journal(self) -> SqliteJournal | None:
        """The journal while it is open for a batch; else None."""
        ...

    @property
    def history(self) -> History:
        """How fast the batch was, earlier executions included; empty until the journal is open."""
        ...

    def activity(self) -> Activity | None:
        """Return what the work does at this moment; None before it begins and after it has ended."""
        ...

    def lag(self) -> InputLag | None:
        """Return how far the input is read; None where that is known from what was read alone."""
        ...

    def sentence(self) -> str:
        """Return what the batch does now, and why it is not faster, in one sentence of printable text."""
        ...

    def waits_for(self) -> list[str]:
        """Return what the work has been waiting for, for longer than a few seconds, in sentences; from any thread."""
        ...


Observer = Callable[[Watched], AbstractAsyncContextManager[object]]
"""Watches a session while its block runs. The block is left once the end is known: it must end soon then.

What it raises on entry (a port that is in use: UsageError) ends the session before anything is opened. Later it must
not raise: watching never changes what a batch does.
"""
