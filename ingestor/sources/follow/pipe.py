"""A named pipe that is followed: it is read across its writers, and does not end with one of them."""

import os
import select
from collections.abc import Iterator

from ingestor.model.record import Job, Line, Reject
from ingestor.model.sources import Chunk, Position, Source, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.lines import LineSplitter, to_lines
from ingestor.sources.parse import parse_record
from ingestor.system.wake import Wake

_READ = 64 * 1024
_LOOK = 1000  # milliseconds until it is seen that the path leads to another pipe


class FollowedPipe:
    """A named pipe. What was read of it and has no outcome is lost in a crash: only the writers could send it again.

    The bytes after the last line end that the last of several writers leaves are a record, or are rejected: the next
    writer begins with a new line.
    """

    total_bytes: int | None = None

    def __init__(self, path: str, scope: Scope) -> None:
        self.source = Source(path, None)
        self.read_bytes = 0
        self._path = path
        self._scope = scope
        self._wake = Wake()
        self._splitter = LineSplitter()

    def finish(self) -> None:
        """Read what is in the pipe, and end."""
        self._wake.set()

    def read(self, start: Position | None = None) -> Iterator[Chunk]:  # noqa: ARG002 - a pipe has no positions
        """Yield records as they come, until `finish`."""
        descriptor = self._open()
        try:
            while not self._wake.is_set:
                event = self._wait(descriptor)
                if event & select.POLLIN:
                    yield from self._chunks(descriptor)
                elif event or self._is_replaced(descriptor):
                    yield from self._last_line()
                    descriptor = self._reopened(descriptor)
            yield from self._chunks(descriptor, is_last=True)
            yield Chunk(self.source, self._rest(), end=SourceEnd.COMPLETE)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _reopened(self, descriptor: int) -> int:
        """Open the pipe again, so that it waits for a writer. The first descriptor keeps what is in it meanwhile."""
        try:
            new = self._open()
        except OSError:  # it was deleted; it may be created again
            self._poll(_LOOK)
            return descriptor
        os.close(descriptor)
        return new

    def _wait(self, descriptor: int) -> int:
        """Wait for data, for the end of the last writer, or for a while; return the events of the pipe."""
        return dict(self._poll(_LOOK, descriptor)).get(descriptor, 0)

    def _poll(self, milliseconds: int, *descriptors: int) -> list[tuple[int, int]]:
        poll = select.poll()
        for descriptor in (self._wake.fileno(), *descriptors):
            poll.register(descriptor, select.POLLIN)
        return poll.poll(milliseconds)

    def _is_replaced(self, descriptor: int) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except OSError:
            return False

    def _chunks(self, descriptor: int, *, is_last: bool = False) -> Iterator[Chunk]:
        """Read what is there: once, or all that `is_last`."""
        while block := self._available(descriptor):
            self.read_bytes += len(block)
            for first, texts, _ in self._splitter.split(block):
                if records := self._parse(to_lines(self.source.name, first, texts)):
                    yield Chunk(self.source, records)
            if not is_last:
                return

    def _available(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _READ)
        except BlockingIOError:
            return b""

    def _last_line(self) -> Iterator[Chunk]:
        if records := self._rest():
            yield Chunk(self.source, records)

    def _rest(self) -> list[Job | Reject]:
        """Return what is left of the last line."""
        number, rest = self._splitter.line, self._splitter.rest()
        self._splitter = LineSplitter(number + bool(rest))
        return self._parse(to_lines(self.source.name, number, [rest]))

    def _parse(self, lines: list[Line]) -> list[Job | Reject]:
        return [parse_record(line, self._scope) for line in lines]
