"""Followed files of which every record has a durable outcome are deleted or moved (`--on-done`)."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from ingestor.app.messages import complain
from ingestor.app.on_done import Action, OnDone
from ingestor.journal.journal import SqliteJournal
from ingestor.model.record import Job, State
from ingestor.model.sources import Chunk, Source, SourceEnd
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.sources.file_source import FileSource
from ingestor.sources.follow.done import DoneFile, Entry
from ingestor.sources.follow.followed_files import FollowedFiles
from ingestor.system.tasks import in_background

_COMPLETE = frozenset({State.CREATED, State.FORGOTTEN})
_ENDED = _COMPLETE | {State.PARTIAL, State.FAILED, State.UNRESOLVED}


class FinishedFiles:
    """The port Input over followed files, of which the finished ones are deleted or moved.

    Every record of a finished file is read again, and the journal is asked for its outcome: only exactly the bytes that
    are done are removed. `roots` are the directories outside which nothing is changed.
    """

    def __init__(
        self, files: FollowedFiles, on_done: OnDone, roots: Sequence[str], journal: SqliteJournal, scope: Scope
    ) -> None:
        self._files = files
        self._on_done = on_done
        self._roots = roots
        self._journal = journal
        self._scope = scope
        self.total_bytes = files.total_bytes
        self.acknowledge = files.acknowledge
        self.finish = files.finish
        self.stop = files.stop
        self.lag = files.lag

    @property
    def read_bytes(self) -> int:
        """See the port `Input`."""
        return self._files.read_bytes

    async def chunks(self) -> AsyncIterator[Chunk]:
        """See the port `Input`."""
        async with in_background(self._remove_finished()):
            async for chunk in self._files.chunks():
                yield chunk

    async def _remove_finished(self) -> None:
        while True:
            file = await self._files.done.get()
            try:
                await self._remove(file)
            except OSError as error:
                _say(file.path, f"stays: {error.strerror or error}")

    async def _remove(self, file: DoneFile) -> None:
        """Delete or move a file, if it is still the same and nothing of it is left. Raises OSError."""
        entry = await asyncio.to_thread(Entry.open, file, self._roots)
        if entry is None:
            return
        try:
            states = await self._states(entry)
            if not states <= _ENDED:
                return
            if self._on_done.action is Action.DELETE and not states <= _COMPLETE:
                _say(file.path, "stays: records of it were rejected, failed, or are unresolved or partial")
            elif self._on_done.folder is not None:
                moved = await asyncio.to_thread(entry.move, self._on_done.folder)
                _say(file.path, f"is done, and moved to {printable(str(moved), WHOLE)}")
            elif await asyncio.to_thread(entry.delete):
                _say(file.path, "is done, and deleted")
        finally:
            entry.close()

    async def _states(self, entry: Entry) -> set[State]:
        """Return the outcomes of all records of a file; PENDING stands for one that has none."""
        source = FileSource(Source(entry.file.path, entry.content), self._scope)
        chunks, states, end = source.read(), set[State](), None
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            jobs = [it for it in chunk.records if isinstance(it, Job)]
            states |= {State.PENDING if it is None else it for it in await self._journal.states(jobs)}
            states |= {State.FAILED} if len(jobs) < len(chunk.records) else set()
            end = chunk.end
        return states if end is SourceEnd.COMPLETE else {*states, State.FAILED}


def _say(path: str, what: str) -> None:
    complain(f"{printable(path, WHOLE)}: {what}")
