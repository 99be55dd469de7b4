"""Every outcome reaches the log at least once, whenever the process dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ingestor.journal.journal import SqliteJournal
from ingestor.model.events import Event, RunsEnded
from ingestor.report.appender import ReportError
from ingestor.report.log import StructuredLog

_INTERVAL = 1.0  # seconds; after a crash, what was settled in the last ones is told twice


class OutboxRelay:
    """An event sink that lets the journal know which outcomes are on disk in the log.

    Sees the events after the log has, and in the order in which their outcomes were settled.
    """

    def __init__(self, journal: SqliteJournal, log: StructuredLog) -> None:
        self._journal = journal
        self._log = log
        self._count = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RunsEnded):
            self._count += len(event.results)

    async def catch_up(self) -> None:
        """Tell the log what earlier processes settled and may not have told it. Raises JournalError, ReportError."""
        untold = await self._journal.untold()
        if untold:
            self._log.emit(RunsEnded(untold))
            await self.confirm()
            await self._journal.settle([])  # carries what was confirmed

    async def confirm(self) -> None:
        """Wait until all that was told is on disk, and let the journal know. Comes after `catch_up`.

        Raises ReportError.
        """
        count = self._count
        await self._log.sync()
        self._journal.told(count)

    @asynccontextmanager
    async def confirming(self) -> AsyncIterator[None]:
        """Confirm every now and then inside the block, without a word of a log that fails: its owner hears of it."""
        task = asyncio.create_task(self._confirm_regularly())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _confirm_regularly(self) -> None:
        with suppress(ReportError):
            while True:
                await asyncio.sleep(_INTERVAL)
                await self.confirm()
