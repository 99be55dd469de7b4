"""The port Input over several inputs that are read at the same time, each in its turn by bytes.

Any input may be one of them. One that waits for more (followed files, accepted records) yields chunks without an end,
until `finish` or `stop`; others end by themselves.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from ingestor.model.ports import Input
from ingestor.model.record import Job
from ingestor.model.sources import Chunk
from ingestor.sources.inputs import Several
from ingestor.system.tasks import in_background

_LEAST = 1024
"""Bytes that a chunk counts as at least: small ones cost something too."""


class Merged(Several):
    """Several inputs at the same time.

    The next chunk comes from the input that has had the fewest bytes so far, of those that have one. An input that was
    silent saves nothing up. One chunk of each input is read ahead.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        super().__init__(inputs)
        self._changed = asyncio.Event()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`. Raises what one of the inputs raises."""
        lanes = [_Lane(it, self._changed) for it in self._inputs]
        async with AsyncExitStack() as tasks:
            for lane in lanes:
                await tasks.enter_async_context(in_background(lane.run()))
            served = 0
            while ready := await self._ready(lanes):
                lane = min(ready, key=lambda it: max(it.served, served))
                served = max(lane.served, served)
                chunk = ready[lane]
                lane.take()
                lane.served = served + max(_LEAST, _size(chunk))
                yield replace(chunk, extent=None)  # which says where it is in its own input

    async def _ready(self, lanes: Sequence["_Lane"]) -> dict["_Lane", Chunk]:
        """Wait until an input has a chunk, and return all that have one, with it; none once all have ended."""
        while True:
            self._changed.clear()
            for lane in lanes:
                if lane.error is not None:
                    raise lane.error
            ready = {lane: lane.chunk for lane in lanes if lane.chunk is not None}
            if ready or all(lane.has_ended for lane in lanes):
                return ready
            await self._changed.wait()


class _Lane:
    """One of the inputs, its next chunk, and how many bytes of it were passed on."""

    def __init__(self, source: Input, changed: asyncio.Event) -> None:
        self._source = source
        self._changed = changed
        self._taken = asyncio.Event()
        self.chunk: Chunk | None = None
        self.served = 0
        self.has_ended = False
        self.error: Exception | None = None

    async def run(self) -> None:
        """Read the input."""
        chunks = self._source.chunks()
        try:
            async for chunk in chunks:
                self.chunk = chunk
                self._taken.clear()
                self._changed.set()
                await self._taken.wait()
        except Exception as error:  # noqa: BLE001 - the reader of all inputs gets it
            self.error = error
        finally:
            self.has_ended = True
            self._changed.set()
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    def take(self) -> None:
        """Let the next chunk be read."""
        self.chunk = None
        self._taken.set()


def _size(chunk: Chunk) -> int:
    return sum([len(it.raw if isinstance(it, Job) else it.text) for it in chunk.records])
