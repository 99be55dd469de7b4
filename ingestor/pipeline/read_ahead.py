"""Reading ahead: while the journal writes, the next chunks are collected, so that they share a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingestor.model.ports import Input
from ingestor.model.record import Job
from ingestor.model.sources import Chunk
from ingestor.system.tasks import in_background

MOST_RECORDS = 1000
MOST_BYTES = 8 * 1024 * 1024
"""The most that is collected, unless a single chunk is larger. An empty chunk counts as a record."""


class ReadAhead:
    """Chunks that were read and not taken. One task calls `fill`, another one `take`."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._records = 0
        self._bytes = 0
        self._error: BaseException | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self._wanted = asyncio.Event()

    async def fill(self, source: Input) -> None:
        """Read all chunks. After kept records, nothing is read before they are admitted (see `Chunk.source`)."""
        try:
            async for chunk in source.chunks():
                self._add(chunk)
                if chunk.source is None or self._records >= MOST_RECORDS or self._bytes >= MOST_BYTES:
                    self._wanted.clear()
                    await self._wanted.wait()
        except BaseException as error:  # noqa: BLE001 - `take` raises it, where it can be handled
            self._error = error
        finally:
            self._ended = True
            self._filled.set()

    async def take(self) -> list[Chunk]:
        """Return all available chunks, at least one; none at the end. Raises what ended the source.

        Call it only when everything before is admitted.
        """
        if not self._chunks:
            self._wanted.set()
        while not (self._chunks or self._ended):
            self._filled.clear()
            await self._filled.wait()
        if not self._chunks and self._error is not None:
            raise self._error
        chunks, self._chunks, self._records, self._bytes = self._chunks, [], 0, 0
        if chunks and chunks[-1].source is not None:
            self._wanted.set()
        return chunks

    def _add(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self._records += max(1, len(chunk.records))
        self._bytes += sum([len(it.raw if isinstance(it, Job) else it.text) for it in chunk.records])
        self._filled.set()


@asynccontextmanager
async def reading_ahead(source: Input) -> AsyncIterator[ReadAhead]:
    """Read a source while the block runs."""
    ahead = ReadAhead()
    async with in_background(ahead.fill(source)):
        yield ahead
