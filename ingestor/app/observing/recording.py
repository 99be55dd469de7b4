"""The recorder of a batch, while the batch runs: the journal remembers what a page shows after a restart."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf

from ingestor.journal.journal import SqliteJournal
from ingestor.model.activity import Activity
from ingestor.model.errors import JournalError
from ingestor.model.history import Description
from ingestor.report.recorder import Recorder
from ingestor.system.tasks import in_background

EVERY = 60.0
"""Seconds between two times that the journal is written, at most."""
_SOON = 5.0  # the same in the first EVERY seconds, and where a record was rejected, or a pause began or ended
_TICK = 1.0


def _nothing() -> None:
    """Be the sentence of a recording that has none."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Writes what a recorder collects into the journal of a batch.

    Nothing waits for it: it takes part in the journal's group commits. Without it the batch would be the same, so that
    an error of the journal, which every caller gets, is left to the others.

    Attributes:
        journal: the journal.
        recorder: what collects.
        activity: what the work does now.
        clock: monotonic, in seconds.
        sleep: waits for seconds.
        sentence: what the work does now, in one sentence.
    """

    journal: SqliteJournal
    recorder: Recorder
    activity: Callable[[], Activity | None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    sentence: Callable[[], str | None] = _nothing

    @asynccontextmanager
    async def of(self, description: Description, *, continues: bool) -> AsyncIterator[None]:
        """Record the execution that the block is. It `continues` what earlier ones rejected. Raises JournalError."""
        await self.journal.describe(description)
        self.recorder.resume(await self.journal.memory(), continues=continues)
        async with in_background(self._run()):
            yield
        self.recorder.tick(self.activity())
        with suppress(JournalError):
            await self.journal.remember(self.recorder.changes())

    async def _run(self) -> None:
        """Take samples also while the journal waits for its disk; end if it is broken."""
        began, written = self.clock(), -inf
        writing: asyncio.Task[None] | None = None
        while writing is None or not _has_failed(writing):
            await self.sleep(_TICK)
            self.recorder.tick(self.activity())
            now = self.clock()
            is_soon = self.recorder.is_urgent or now - began < EVERY
            is_free = writing is None or writing.done()
            if is_free and now - written >= (_SOON if is_soon else EVERY):
                written = now
                writing = asyncio.create_task(self.journal.remember(self.recorder.changes(self.sentence())))
                writing.add_done_callback(_has_failed)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
