"""Every outcome reaches the log at least once, even if the process dies at any point."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress

from ingestor.journal.journal import SqliteJournal
from ingestor.model.events import Event, RunsEnded
from ingestor.model.ports import Changes
from ingestor.report.appender import ReportError
from ingestor.report.log import StructuredLog
from ingestor.system.tasks import in_background

_INTERVAL = 1.0  # seconds; after a crash, outcomes of this time may be logged twice


class OutboxRelay:
    """An event sink that acknowledges, in the journal's outbox, the outcomes that the log has on disk.

    It receives every event after the log, and outcomes in the order of their outbox numbers.
    """

    def __init__(self, journal: SqliteJournal, log: StructuredLog) -> None:
        self._journal = journal
        self._log = log
        self._sequence = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RunsEnded):
            self._sequence = event.sequence

    async def catch_up(self) -> None:
        """Log the outcomes of earlier executions that the log may lack. Raises JournalError, ReportError."""
        missing = await self._journal.unacknowledged()
        if missing:
            event = RunsEnded([result for _, result in missing], missing[-1][0])
            self._log.emit(event)
            self.emit(event)
            await self.confirm()
            await self._journal.commit(Changes())  # which writes the acknowledgement

    async def confirm(self) -> None:
        """Wait until all that was logged is on disk, and acknowledge it. Raises ReportError."""
        sequence = self._sequence
        await self._log.sync()
        self._journal.acknowledge(sequence)

    def confirming(self) -> AbstractAsyncContextManager[None]:
        """Confirm regularly inside a block. A log that fails raises where it is awaited (`EventLog.ready`)."""
        return in_background(self._confirm_regularly())

    async def _confirm_regularly(self) -> None:
        with suppress(ReportError):
            while True:
                await asyncio.sleep(_INTERVAL)
                await self.confirm()
