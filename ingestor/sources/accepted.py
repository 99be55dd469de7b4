"""The port Input over records that other programs send to this one, in requests."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ingestor.model.acceptance import NotAcceptedError, Posted, Refusal
from ingestor.model.lag import FileLag, FileState, InputLag
from ingestor.model.sources import Checkpoint, Chunk, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS, AcceptedSpool
from ingestor.sources.posted import ACCEPTED, parse_posted
from ingestor.sources.segment_folder import SILENCE

MOST_UNFINISHED = 256 * 1024 * 1024
"""Bytes of records that are accepted and not done. Above that, nothing is accepted for a while."""

LAST_UPLOADS = 5.0
"""Seconds that requests may still take which began before `finish`."""

_SMALL, _FEW = 32 * 1024, 100  # bytes and lines of a body that is parsed at once: a thread would cost more


class AcceptedRecords:
    """Accepts records durably, and reads them, until `finish` or `stop`. Belongs to one event loop.

    What earlier executions kept is read first. `last_uploads`: seconds that requests may still take after `finish`.
    """

    total_bytes: int | None = None

    def __init__(
        self,
        spool: AcceptedSpool,
        scope: Scope,
        *,
        most_unfinished: int = MOST_UNFINISHED,
        silence: float = SILENCE,
        last_uploads: float = LAST_UPLOADS,
    ) -> None:
        self._spool = spool
        self._scope = scope
        self._most_unfinished = most_unfinished
        self._silence = silence
        self._last_uploads = last_uploads
        self._waiting: list[tuple[bytes, asyncio.Future[OSError | None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._parsing = asyncio.Lock()
        self._uploads: set[asyncio.Timeout] = set()
        self._changed = asyncio.Event()
        self._finishing = False
        self._stopped = False
        self._failure: str | None = None
        self._unread_since = time.time()

    @property
    def read_bytes(self) -> int:
        """See the port `Input`."""
        return self._spool.read_bytes

    def waits_for(self) -> list[str]:
        """Return why nothing is accepted at present, in sentences; from any thread."""
        return [] if self._failure is None else [self._failure]

    def lag(self) -> InputLag:
        """Return how much is accepted and not read yet."""
        unread = self._spool.unread
        since = self._unread_since if unread else None
        state = FileState.READING if unread else FileState.WAITING
        lag = FileLag(
            name=ACCEPTED,
            state=state,
            read_bytes=self.read_bytes,
            size=self.read_bytes + unread,
            waiting_since=since,
        )
        return InputLag(unread_bytes=unread, waiting_since=since, files=[lag])

    @asynccontextmanager
    async def receiving(self, seconds: float) -> AsyncIterator[None]:
        """Receive the body of a request inside the block, and accept it; the input does not end before that.

        Raises NotAcceptedError if there is no room, and TimeoutError after so many seconds.
        """
        if self._finishing or self._stopped:
            raise _closed()
        if self._spool.unfinished >= self._most_unfinished:
            raise NotAcceptedError(
                Refusal.BUSY, f"{self._most_unfinished:,} bytes of records wait to be sent: send these later"
            )
        async with asyncio.timeout(seconds) as upload:
            self._uploads.add(upload)
            try:
                yield
            finally:
                self._uploads.discard(upload)
                self._changed.set()

    async def accept(self, body: bytes, *, is_gzip: bool = False) -> Posted:
        """Return what a body holds, once its good records are on disk. Raises NotAcceptedError."""
        if is_gzip or len(body) > _SMALL or body.count(b"\n") > _FEW:
            async with self._parsing:
                posted = await asyncio.to_thread(parse_posted, body, self._scope, is_gzip=is_gzip)
        else:
            posted = parse_posted(body, self._scope)
        if posted.lines:
            await self._keep(b"".join([line + b"\n" for line in posted.lines]))
        return posted

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`. Raises SpoolError."""
        position = None
        try:
            while not self._stopped:
                self._changed.clear()
                is_last = self._finishing and not self._uploads and not self._is_writing
                found = await asyncio.to_thread(self._spool.read)
                for chunk in found:
                    position = chunk.position
                    yield chunk
                if not found and is_last:
                    yield Chunk(ACCEPTED_RECORDS, (), position, SourceEnd.COMPLETE)
                    return
                if not found:
                    await self._wait()
        finally:
            self.stop()
            if self._writing is not None:
                await asyncio.wait({self._writing})
            await asyncio.to_thread(self._spool.close)

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See the port `Input`."""
        for checkpoint in checkpoints:
            if checkpoint.source == ACCEPTED_RECORDS:
                await asyncio.to_thread(self._spool.acknowledge, checkpoint)

    def finish(self) -> None:
        """See the port `Input`. Requests that began before have a little time to end."""
        self._finishing = True
        for upload in [it for it in self._uploads if not it.expired()]:
            end = asyncio.get_running_loop().time() + self._last_uploads
            upload.reschedule(min(end, upload.when() or end))
        self._changed.set()

    def stop(self) -> None:
        """See the port `Input`."""
        self._stopped = True
        self._changed.set()

    @property
    def _is_writing(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def _wait(self) -> None:
        """Wait for a change. In a silence, all that was read may be deleted once it is done."""
        try:
            async with asyncio.timeout(self._silence):
                await self._changed.wait()
        except TimeoutError:
            if not self._is_writing:
                self._writing = asyncio.create_task(self._write())
            await self._changed.wait()

    async def _keep(self, block: bytes) -> None:
        """Return once a block is on disk: together with all that wait at the same time.

        If it is too late for that, nothing of the block is kept. What is being written is waited for in any case.
        """
        if self._stopped:
            raise _closed()
        waiting = block, asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if not self._is_writing:
            self._writing = asyncio.create_task(self._write())
        try:
            error = await asyncio.shield(waiting[1])
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                raise
            error = await asyncio.shield(waiting[1])
        if error is not None:
            raise _not_kept(error)

    async def _write(self) -> None:
        """Write all that waits, in as few groups as possible; if nothing does, seal what was written."""
        if not self._waiting:
            await asyncio.to_thread(self._spool.seal_all)
        while self._waiting:
            taken, self._waiting = self._waiting, []
            self._unread_since = self._unread_since if self._spool.unread else time.time()
            error = await asyncio.to_thread(self._try_to_write, [block for block, _ in taken])
            self._failure = None if error is None else f"{_NOT_KEPT} {self._spool.folder}: {error.strerror}"
            for _, kept in taken:
                kept.set_result(error)
            self._changed.set()

    def _try_to_write(self, blocks: Sequence[bytes]) -> OSError | None:
        try:
            self._spool.write(blocks)
        except OSError as error:
            return error
        return None


_NOT_KEPT = "no records are accepted, because they can't be kept in"


def _not_kept(error: OSError) -> NotAcceptedError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the disk of the state directory is full"
        return NotAcceptedError(Refusal.NO_SPACE, f"{full}: send the records later", cause=full)
    why = f"the records can't be kept: {error.strerror}"
    return NotAcceptedError(Refusal.NOT_KEPT, f"{why}; send them later", cause=why)


def _closed() -> NotAcceptedError:
    return NotAcceptedError(Refusal.CLOSED, "no more records are accepted: the batch ends")
