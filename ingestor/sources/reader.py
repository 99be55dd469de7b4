"""The port Input over files and standard input."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from ingestor.model.record import Job
from ingestor.model.sources import STDIN, Checkpoint, Chunk, Position, Source
from ingestor.policy.identity import Scope
from ingestor.sources.file_source import FileSource
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from ingestor.sources.text_size import TextSize
from ingestor.sources.thread_channel import ThreadChannel

STALL = 3.0
"""Seconds after which opening a source counts as waiting."""

_FROM_THE_START: Mapping[Source, Position] = MappingProxyType({})


class RecordSource(Protocol):
    """What a reader reads. To add a kind of source, write a class like this."""

    @property
    def source(self) -> Source:
        """Its identity in the journal."""
        ...

    @property
    def read_bytes(self) -> int:
        """How many of its stored bytes were read or skipped."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Its stored size, None if it has no known size."""
        ...

    def read(self, start: Position | None) -> Iterator[Chunk]:
        """Yield its records after `start` in order, each chunk as soon as it is available; the last one has `end`.

        It runs in the reader's thread. A position that does not hold means the beginning.
        """
        ...


@runtime_checkable
class WaitingSource(RecordSource, Protocol):
    """A source that waits for more, such as a pipe, until it ends or is asked to."""

    def finish(self) -> None:
        """Wait for nothing more: what exists now is read to its end. Called from any thread."""
        ...


class Reader:
    """Reads sources one after the other in a thread of its own, which also decompresses and validates.

    `starts` says where reading begins in a source, else at its start. `spool` gets the checkpoints of standard input.
    """

    def __init__(
        self,
        sources: Sequence[RecordSource],
        *,
        starts: Mapping[Source, Position] = _FROM_THE_START,
        spool: Spool | None = None,
    ) -> None:
        self._sources = sources
        self._starts = starts
        self._spool = spool
        self._channel: ThreadChannel[Chunk] | None = None
        self._stopped = False
        self._files = [it for it in sources if isinstance(it, FileSource)]
        self._size = TextSize([(it.source, it.total_bytes) for it in sources])

    def waits_for(self) -> list[str]:
        """Return what opening a source has been waiting for, for longer than STALL, in sentences; from any thread."""
        now = time.monotonic()
        return [
            f"waiting for a program that writes to {it.source.name}"
            for it in self._files
            if it.opening_since is not None and now - it.opening_since > STALL
        ]

    @property
    def read_bytes(self) -> int:
        """See the port `Input`."""
        return self._size.read

    @property
    def total_bytes(self) -> int | None:
        """See the port `Input`."""
        return self._size.total

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`."""
        if self._stopped:
            return
        self._channel = channel = ThreadChannel[Chunk]()
        channel.fill(self._read())
        try:
            while chunks := await channel.take():
                for chunk in chunks:
                    yield chunk
        finally:
            channel.stop()

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See the port `Input`."""
        for checkpoint in checkpoints:
            if self._spool is not None and checkpoint.source == STANDARD_INPUT:
                await asyncio.to_thread(self._spool.acknowledge, checkpoint)

    def finish(self) -> None:
        """See the port `Input`. Only a source that waits for more has to know."""
        for it in self._sources:
            if isinstance(it, WaitingSource):
                it.finish()

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        if self._channel is not None:
            self._channel.stop()

    def _read(self) -> Iterator[tuple[Chunk, int, int]]:
        for source in self._sources:
            self._size.begin()
            end: int | None = None
            for chunk in source.read(self._starts.get(source.source)):
                size = _size(chunk)
                text = size + len(chunk.records)  # a line end for each
                begin = source.read_bytes if end is None else end
                begin, end = chunk.extent or (begin, begin + text)
                extent = self._size.add((begin, end), text, source.total_bytes, is_end=chunk.end is not None)
                yield replace(chunk, extent=extent), len(chunk.records), size


def read_sources(
    sources: Sequence[Source],
    scope: Scope,
    spool: Spool | None = None,
    starts: Mapping[Source, Position] = _FROM_THE_START,
) -> Reader:
    """Return the input that reads `sources`, in order; the source `-` is the standard input of this process.

    With a spool, standard input is kept there, and what earlier executions kept there is read first.
    """
    parts: list[RecordSource] = []
    if spool is not None and not spool.is_empty:
        parts.append(spool.kept(is_end=STANDARD_INPUT not in sources))
    for source in sources:
        is_spooled = spool is not None and source.name == STDIN
        parts.append(spool.standard_input() if spool and is_spooled else FileSource(source, scope))
    return Reader(parts, starts=starts, spool=spool)


def _size(chunk: Chunk) -> int:
    return sum([len(it.raw if isinstance(it, Job) else it.text) for it in chunk.records])
