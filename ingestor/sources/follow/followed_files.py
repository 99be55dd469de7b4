"""The port Input over files that are followed. A thread reads them, and looks for changes while it waits for room."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ingestor.model.lag import InputLag
from ingestor.model.record import Job
from ingestor.model.sources import Checkpoint, Chunk, Source
from ingestor.policy.identity import Scope
from ingestor.sources.follow.consumed import FollowPosition, beginning
from ingestor.sources.follow.files import Handles
from ingestor.sources.follow.memory import Memory
from ingestor.sources.follow.patterns import Moment
from ingestor.sources.follow.recognition import Recognition
from ingestor.sources.follow.tailing import Tailing
from ingestor.sources.follow.turns import Turns
from ingestor.sources.follow.watch import Watch
from ingestor.sources.thread_channel import ThreadChannel
from ingestor.system.limits import start_thread

if TYPE_CHECKING:
    from ingestor.sources.follow.done import DoneFile

POLL = 1.0
"""Seconds between two looks at what is new."""

QUICK_POLL = 0.25
"""The same while something is written: short bursts are sent sooner than long ones."""

WRITTEN = 10.0
"""Seconds after a look that found something in which the looks are quick."""

LONGEST_POLL = 5.0
"""The same at most, when a look takes much processor time."""

_SHARE = 4.0  # how many times longer than a look takes processor time no other one begins
_LAST_WORDS = 0.5  # seconds that the thread has at the end to say which files are gone with unread bytes
_QUICK_SHARE = 25.0  # the same for quick looks


Register = Callable[[Sequence[Checkpoint]], Awaitable[object]]
"""Writes the beginnings of new files into the journal, so that `resume` finds these files."""


async def _register_nothing(_new: Sequence[Checkpoint]) -> None:
    """Be the journal of files that nobody resumes."""


def _is_nobodys(_path: str) -> bool:
    return False


def _say_nothing(_sentence: str) -> None:
    """Be the messages of files that nobody watches."""


class FollowedFiles:
    """Files, directories and globs that are followed until `finish` or `stop`.

    `sources` are SOURCE arguments; what they mean may appear later. `is_own` says whether this program writes a file,
    by its real path. `known` are the checkpoints that the journal has. `say` takes sentences for the user, in a thread.
    `done_after`: see `done`.
    """

    total_bytes: int | None = None

    def __init__(  # noqa: PLR0913 - what is different for `run`, `resume` and tests
        self,
        sources: Sequence[str],
        scope: Scope,
        known: Sequence[Checkpoint],
        *,
        is_own: Callable[[str], bool] = _is_nobodys,
        say: Callable[[str], None] = _say_nothing,
        poll: float = POLL,
        done_after: float | None = None,
        register: Register = _register_nothing,
    ) -> None:
        watch, memory, handles = Watch(sources, is_own, say), Memory(known), Handles()
        self._recognition = Recognition(scope, memory, time.monotonic)
        turns = Turns(self._recognition, handles)
        self._tailing = Tailing(
            watch, self._recognition, turns, memory, handles, say=say, collects_done=done_after is not None
        )
        self._poll = poll
        self._register = register
        self._registered: set[Source | None] = {it.source for it in known}
        self._done_after = done_after
        self.done: asyncio.Queue[DoneFile] = asyncio.Queue()
        """The files that did not change for `done_after` seconds after every record of them had a durable outcome."""
        self._durable: SimpleQueue[Sequence[Checkpoint]] = SimpleQueue()
        self._wake = threading.Event()
        self._is_finishing = False
        self._stopped = False
        self._channel: ThreadChannel[Chunk] | None = None
        self._lag = InputLag()
        self._loop: asyncio.AbstractEventLoop | None = None

    def lag(self) -> InputLag:
        """Return how far the files were read at the last look; from any thread.

        After `stop`, what was read and not passed on is not read.
        """
        dropped = 0 if self._channel is None else self._channel.dropped_bytes
        lag = self._lag
        return replace(lag, unread_bytes=(lag.unread_bytes or 0) + dropped) if dropped else lag

    @property
    def read_bytes(self) -> int:
        """See the port `Input`."""
        return self._recognition.read_bytes

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`. Raises LimitError."""
        if self._stopped:
            return
        self._channel = channel = ThreadChannel[Chunk]()
        self._loop = asyncio.get_running_loop()
        thread = start_thread(lambda: self._run(channel), "tail")
        try:
            while chunks := await channel.take():
                await self._register_new(chunks)
                for chunk in chunks:
                    yield chunk
        finally:
            self.stop()
            thread.join(_LAST_WORDS)

    async def _register_new(self, chunks: Sequence[Chunk]) -> None:
        """Make files durable of which something is read for the first time, before anything of them is sent."""
        new = {}
        for chunk in chunks:
            if chunk.source is None or chunk.end is not None:
                self._registered.discard(chunk.source)
            elif chunk.source not in self._registered and (at := FollowPosition.parse(chunk.position)) is not None:
                self._registered.add(chunk.source)
                new[chunk.source] = Checkpoint(chunk.source, str(beginning(at)))
        if new:
            await self._register(list(new.values()))

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See the port `Input`."""
        self._durable.put(checkpoints)

    def finish(self) -> None:
        """See the port `Input`."""
        self._is_finishing = True
        self._wake.set()

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        if self._channel is not None:
            self._channel.stop()
        self._wake.set()

    def _run(self, channel: ThreadChannel[Chunk]) -> None:
        with channel.ending():
            try:
                for chunk in self._read(channel):
                    if not channel.put(chunk, records=len(chunk.records), size=_size(chunk)):
                        return
            finally:
                self._lag = self._tailing.lag()
                self._tailing.close()

    def _read(self, channel: ThreadChannel[Chunk]) -> Iterator[Chunk]:
        """Yield chunks as soon as there is room for each; look for what is new meanwhile."""
        tailing, next_look, quick_until = self._tailing, 0.0, 0.0
        while not self._stopped:
            now = time.monotonic()
            if now >= next_look:
                began = time.thread_time()
                self._look()
                quick_until = now + WRITTEN if tailing.has_work else quick_until
                next_look = now + self._pause(time.thread_time() - began, is_quick=now < quick_until)
            if self._is_finishing:
                yield from self._read_rest()
                return
            if not tailing.has_work:
                self._wake.wait(max(0.0, next_look - time.monotonic()))
            elif channel.wait_for_room(next_look - time.monotonic()) and (chunk := tailing.turn(_moment())) is not None:
                yield chunk

    def _pause(self, took: float, *, is_quick: bool) -> float:
        """Return the seconds until the next look, after one that took so much processor time."""
        poll = min(self._poll, max(QUICK_POLL, _QUICK_SHARE * took)) if is_quick else self._poll
        return max(poll, min(LONGEST_POLL, _SHARE * took))

    def _read_rest(self) -> Iterator[Chunk]:
        """Yield what exists now."""
        next_look = 0.0
        for _ in ("complete lines", "last lines"):
            self._tailing.finish(_moment())
            while self._tailing.has_work and not self._stopped:
                if time.monotonic() >= next_look:
                    self._lag, next_look = self._tailing.lag(), time.monotonic() + self._poll
                if (chunk := self._tailing.turn(_moment())) is not None:
                    yield chunk

    def _look(self) -> None:
        try:
            while True:
                self._tailing.acknowledge(self._durable.get_nowait())
        except Empty:
            self._tailing.poll(_moment())
        self._lag = self._tailing.lag()
        if self._done_after is not None and self._loop is not None:
            for file in self._tailing.done.take(time.monotonic(), self._done_after):
                with suppress(RuntimeError):  # the event loop is closed: the process ends
                    self._loop.call_soon_threadsafe(self.done.put_nowait, file)


def _moment() -> Moment:
    return Moment(time.monotonic(), time.time())


def _size(chunk: Chunk) -> int:
    return sum([len(it.raw if isinstance(it, Job) else it.text) for it in chunk.records])
