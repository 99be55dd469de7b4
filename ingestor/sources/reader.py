"""The port Input over files and standard input."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import MappingProxyType

from ingestor.model.record import Job, Line, Reject
from ingestor.model.source import Source
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.locate import STDIN, locate
from ingestor.sources.record import parse_line
from ingestor.sources.reserved_paths import ReservedPaths
from ingestor.sources.seams import whole_lines
from ingestor.sources.spool import Spool
from ingestor.sources.thread_channel import ThreadChannel

_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})


class Reader:
    """Reads inputs one after the other in a thread of its own, which also unpacks and validates.

    The thread is a daemon: nothing waits for one that is blocked in a silent standard input. With a `spool`, standard
    input is kept there while it is read, and what earlier processes left there comes first. `called` has the names of
    inputs that are called something else than their paths.
    """

    def __init__(
        self,
        names: Sequence[str],
        scope: Scope,
        spool: Spool | None = None,
        *,
        called: Mapping[str, str] = _AS_THEY_ARE,
    ) -> None:
        self._called = called
        self._inputs = [] if spool is None else spool.leftovers(self._count)
        self._inputs += [self._input(name, spool) for name in names]
        self._scope = scope
        self._handover: ThreadChannel | None = None
        self._stopped = False
        self.read_bytes = 0
        sizes = [stored.size for stored in self._inputs]
        self.total_bytes = None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def sources(self) -> list[Source]:
        """What it reads, in order; what was kept of standard input is standard input."""
        return [Source(stored.name, stored.lasting_path) for stored in self._inputs]

    async def batches(self) -> AsyncIterator[Sequence[Job | Reject]]:
        """See the port `Input`."""
        if self._stopped:
            return
        self._handover = channel = ThreadChannel()
        threading.Thread(target=self._read, args=(channel,), name="reader", daemon=True).start()
        try:
            while records := await channel.take():
                yield records
        finally:
            channel.stop()

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        if self._handover is not None:
            self._handover.stop()

    def _read(self, channel: ThreadChannel) -> None:
        try:
            for records, size in self._records():
                if not channel.put(records, size):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where it can be handled: on the loop
            channel.end(error)
        else:
            channel.end()

    def _records(self) -> Iterator[tuple[list[Job | Reject], int]]:
        """Yield records in portions, each with the size of its text."""
        scope = self._scope
        for portion in whole_lines(self._inputs, self._is_record):
            size = sum(len(line.raw if isinstance(line, Line) else line.text) for line in portion)
            yield [parse_line(line, scope) if isinstance(line, Line) else line for line in portion], size

    def _is_record(self, line: Line) -> bool:
        return isinstance(parse_line(line, self._scope), Job)

    def _input(self, name: str, spool: Spool | None) -> ByteSource:
        if spool is not None and name == STDIN:
            return spool.standard_input(self._count)
        return ByteSource(self._called.get(name, name), self._count, path=name)

    def _count(self, count: int) -> None:
        self.read_bytes += count


def open_sources(
    sources: Sequence[str], scope: Scope, spool: Spool | None = None, outputs: ReservedPaths | None = None
) -> Reader:
    """Make the input that SOURCE arguments mean, for the jobs of `scope`. Raises UsageError (see `locate`)."""
    return Reader(locate(sources, outputs or ReservedPaths()), scope, spool)
