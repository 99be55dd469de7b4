"""The port Input over kept records, over the objects of a program, and over several inputs, one after the other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence

from ingestor.model.ports import Input, Journal
from ingestor.model.record import Job, Line, Origin, Outcome, Reject
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.parse import parse_object, parse_record
from ingestor.sources.thread_channel import ThreadChannel

_PAGE = 500  # records of one query

_Record = Job | Reject
_Parsed = tuple[_Record, int, int]
"""A record, and what `ThreadChannel` counts: one record, and its bytes."""


class KeptRecords:
    """The records that the journal kept because their last outcome is FAILED or UNRESOLVED."""

    read_bytes = 0
    total_bytes: int | None = 0

    def __init__(self, journal: Journal, outcome: Outcome, scope: Scope) -> None:
        self._journal = journal
        self._outcome = outcome
        self._scope = scope
        self._stopped = False

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`. Raises JournalError. An empty chunk is first: what was read before is admitted then."""
        yield Chunk(None, ())
        after = -1
        while not self._stopped:
            page = await self._journal.kept_records(self._outcome, after=after, limit=_PAGE)
            if not page or self._stopped:
                return
            after = page[-1].number
            yield Chunk(None, [parse_record(Line(it.origin, it.text), self._scope) for it in page])

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Do nothing: the journal itself deletes a text once its run is created."""

    def finish(self) -> None:
        """Do nothing: the records that the journal keeps end by themselves."""

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True


class Several:
    """What an input over several inputs passes on to each of them. A subclass says how `chunks` reads them."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs

    @property
    def read_bytes(self) -> int:
        """See the port `Input`."""
        return sum(it.read_bytes for it in self._inputs)

    @property
    def total_bytes(self) -> int | None:
        """See the port `Input`."""
        sizes = [it.total_bytes for it in self._inputs]
        return None if None in sizes else sum(size or 0 for size in sizes)

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See the port `Input`."""
        for it in self._inputs:
            await it.acknowledge(checkpoints)

    def finish(self) -> None:
        """See the port `Input`."""
        for it in self._inputs:
            it.finish()

    def stop(self) -> None:
        """See the port `Input`."""
        for it in self._inputs:
            it.stop()


class Chained(Several):
    """Several inputs, one after the other."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        super().__init__(inputs)
        self._stopped = False

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`."""
        for it in self._inputs:
            if self._stopped:
                return
            chunks = it.chunks()
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        super().stop()


class IterableInput:
    """The records of an iterable: mappings, or their JSON text as str or bytes. It has no positions.

    The origin of a record is `name` and its number from 1. An async iterable is read on the event loop, any other in a
    thread of its own. `chunks` raises an error of the iterable, after the records before it.
    `read_bytes` counts the records' JSON text.
    """

    total_bytes: int | None = None

    def __init__(self, records: Iterable[object] | AsyncIterable[object], scope: Scope, name: str = "records") -> None:
        self._records = records
        self._scope = scope
        self._source = Source(name, None)
        self._channel: ThreadChannel[_Record] | None = None
        self._stopped = False
        self._count = 0
        self.read_bytes = 0

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`. Raises what the iterable raises."""
        if self._stopped:
            return
        self._channel = channel = ThreadChannel[_Record]()
        filling = self._start(channel, self._records)
        try:
            while records := await channel.take():
                yield Chunk(self._source, records)
            if not self._stopped:
                yield Chunk(self._source, [], end=SourceEnd.COMPLETE)
        finally:
            channel.stop()
            if filling is not None:
                filling.cancel()
                await asyncio.gather(filling, return_exceptions=True)

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Do nothing: a program keeps its objects itself."""

    def finish(self) -> None:
        """Do nothing: the iterable says when it ends."""

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        if self._channel is not None:
            self._channel.stop()

    def _start(
        self, channel: ThreadChannel[_Record], records: Iterable[object] | AsyncIterable[object]
    ) -> asyncio.Task[None] | None:
        """Start to fill the channel; return the task, where that is not a thread."""
        if isinstance(records, AsyncIterable):
            return asyncio.create_task(self._fill(channel, records))
        channel.fill(self._read(records))
        return None

    def _read(self, records: Iterable[object]) -> Iterator[_Parsed]:
        for record in records:
            yield self._parse(record)

    async def _fill(self, channel: ThreadChannel[_Record], records: AsyncIterable[object]) -> None:
        with channel.ending():
            async for record in records:
                made, count, size = self._parse(record)
                if not channel.has_room(count, size):
                    await asyncio.to_thread(channel.put, made, records=count, size=size)
                else:
                    channel.put(made, records=count, size=size)

    def _parse(self, record: object) -> _Parsed:
        self._count += 1
        made = parse_object(record, Origin(self._source.name, self._count), self._scope)
        size = len(made.raw if isinstance(made, Job) else made.text)
        self.read_bytes += size
        return made, 1, size
