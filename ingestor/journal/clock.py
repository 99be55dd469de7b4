"""A step of the wall clock is remembered though nothing else happens: whoever is killed later writes nothing more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ingestor.journal.batch import Batch
from ingestor.journal.writer import Writer
from ingestor.model.errors import JournalError
from ingestor.model.journal_time import JournalTime
from ingestor.model.ports import Timekeeper

_STEP = 1.0  # seconds by which the wall clock may leave the journal's time unremembered
_LONGEST = 60.0  # seconds that go unremembered at most


class ClockCheckpoint:
    """Writes how far time has come: at the beginning and the end, when the clock was stepped, and each minute."""

    def __init__(self, writer: Writer, batch: Batch, clock: Timekeeper) -> None:
        self._writer = writer
        self._batch = batch
        self._clock = clock
        self._written: JournalTime | None = None

    @asynccontextmanager
    async def watching(self, interval: float) -> AsyncIterator[None]:
        """Look at the clock every `interval` seconds inside the block. Raises JournalError at its beginning only."""
        await self._write(self._clock.moment())
        task = asyncio.create_task(self._watch(interval))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        with suppress(JournalError):  # it has been told already
            await self._write(self._clock.moment())

    async def _watch(self, interval: float) -> None:
        with suppress(JournalError):  # whoever works hears of it
            while True:
                await asyncio.sleep(interval)
                now = self._clock.moment()
                if self._written is None or is_worth_writing(self._written, now):
                    await self._write(now)

    async def _write(self, now: JournalTime) -> None:
        await self._writer.do(self._batch.witness, now)
        self._written = now


def is_worth_writing(written: JournalTime, now: JournalTime) -> bool:
    """Say whether a process that begins later has to know of `now`, when it would know of `written`."""
    passed = now.time - written.time
    return passed >= _LONGEST or abs(now.wall - written.wall - passed) > _STEP
