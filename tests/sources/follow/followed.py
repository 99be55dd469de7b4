"""Real files that are followed in virtual time."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ingestor.model.record import Job, Reject
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.sources.follow.files import MOST_HANDLES, Handles
from ingestor.sources.follow.memory import Memory
from ingestor.sources.follow.patterns import Moment
from ingestor.sources.follow.recognition import Recognition
from ingestor.sources.follow.tailing import Tailing
from ingestor.sources.follow.turns import Turns
from ingestor.sources.follow.watch import Watch
from tests.support.records import SCOPE


def record(key: object, *, size: int = 0) -> bytes:
    """Make the line of a record, at least so many bytes long."""
    line = b'{"job_id":"%s","run_name":"%s"}\n'
    return line % (str(key).encode(), b"x" * max(1, size - len(line % (str(key).encode(), b""))))


def records(*keys: object, size: int = 0) -> bytes:
    return b"".join(record(key, size=size) for key in keys)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


class Followed:
    """An execution that follows sources. What it reads is durable at once, unless `acknowledges` is False.

    `known` are the checkpoints of the executions before it.
    """

    opened: ClassVar[list["Followed"]] = []

    def __init__(
        self,
        *sources: Path | str,
        known: Sequence[Checkpoint] = (),
        handles: int = MOST_HANDLES,
        own: Path | None = None,
    ) -> None:
        self.opened.append(self)
        self.now = 1000.0
        self.acknowledges = True
        self.said: list[str] = []
        self.chunks: list[Chunk] = []
        self.rows = {it.source: it for it in known}
        self._began = time.time() - self.now
        is_own = lambda path: own is not None and path == os.path.realpath(own)  # noqa: E731
        watch = Watch([str(it) for it in sources], is_own, self.said.append)
        memory = Memory(known)
        self.handles = Handles(handles)
        recognition = Recognition(SCOPE, memory, lambda: self.now)
        turns = Turns(recognition, self.handles)
        self.tailing = Tailing(watch, recognition, turns, memory, self.handles, say=self.said.append)

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self._began + self.now)

    def look(self, seconds: float = 1.0) -> None:
        """Let time pass, and look for what is new."""
        self.now += seconds
        self.tailing.poll(self.moment)

    def turn(self) -> Chunk | None:
        """Read for one turn."""
        chunk = self.tailing.turn(self.moment)
        if chunk is not None:
            self.chunks.append(chunk)
            if self.acknowledges and chunk.source is not None:
                self.acknowledge(Checkpoint(chunk.source, chunk.position, end=chunk.end))
        return chunk

    def acknowledge(self, *checkpoints: Checkpoint) -> None:
        for it in checkpoints:
            self.rows[it.source] = it
            if it.end is SourceEnd.COMPLETE:
                del self.rows[it.source]
        self.tailing.acknowledge(checkpoints)

    def read(self, seconds: float = 1.0) -> list[str]:
        """Look once and read all that is there; return the keys of the records, or what is wrong with them."""
        self.look(seconds)
        return self.drain()

    def read_for(self, seconds: float) -> list[str]:
        """Look every second for a while, and return what was read."""
        return [key for _ in range(round(seconds)) for key in self.read()]

    def finish(self) -> list[str]:
        """Read what exists now to its end, and close."""
        found = []
        for _ in range(2):
            self.tailing.finish(self.moment)
            found += self.drain()
        self.tailing.close()
        return found

    def close(self) -> list[Checkpoint]:
        """End at once, as a killed process; return what the journal has."""
        self.tailing.close()
        return list(self.rows.values())

    def drain(self) -> list[str]:
        before = len(self.chunks)
        for _ in range(1_000_000):
            if not self.tailing.has_work:
                break
            self.turn()
        assert not self.tailing.has_work
        return [name_of(it) for chunk in self.chunks[before:] for it in chunk.records]

    @property
    def again(self) -> list[bool]:
        """Of the chunks with records: whether they may have been read before."""
        return [it.is_again for it in self.chunks if it.records]

    @property
    def sources(self) -> list[Source]:
        """The sources of the journal's rows."""
        return list(self.rows)


def name_of(it: Job | Reject) -> str:
    return it.key if isinstance(it, Job) else f"{it.origin.line}: {it.reason}"
