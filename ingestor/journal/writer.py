"""The one thread that writes: it takes all waiting calls, commits them together, and then returns the answers."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from ingestor.journal.database import explain, open_owned
from ingestor.journal.owned_files import OwnedFiles
from ingestor.model.durations import COMMIT_BOUNDS, Durations
from ingestor.model.errors import JournalError
from ingestor.system.limits import LimitError, start_thread

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    work: Callable[[sqlite3.Connection], object]
    answer: asyncio.Future[object]


class Writer:
    """Owns the journal's connection. Made and used on one event loop.

    Calls that wait while a transaction is committed share the next one: with more calls the groups get larger. If one
    fails, every call of its group and every later one raises JournalError, because it is not known what is on disk.

    Attributes:
        durations: how long each transaction took.
    """

    def __init__(self, path: Path) -> None:
        self.durations = Durations(COMMIT_BOUNDS)
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._closing = False
        self._busy_since: float | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        """Open the journal. Raises JournalError, LimitError."""
        try:
            start_thread(self._run, "journal")
        except LimitError:
            self._ended.set_result(None)
            raise
        await asyncio.shield(self._opened)

    async def do(
        self,
        work: Callable[Concatenate[sqlite3.Connection, Arguments], Answer],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Answer:
        """Return what `work` returns once its transaction is on disk. Raises JournalError.

        Cancelling the caller does not undo its call.
        """
        if self._closing:
            raise JournalError(f"The journal {self._path} is closed.")
        call = _Call(lambda connection: work(connection, *arguments, **options), self._loop.create_future())
        self._calls.put(call)
        return cast("Answer", await call.answer)

    async def close(self) -> None:
        """Commit what waits and close the file. Safe to call twice."""
        self._closing = True
        self._calls.put(None)
        await asyncio.shield(self._ended)

    def busy_for(self) -> float:
        """Return for how many seconds the present transaction takes already, 0 if there is none; from any thread."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        try:
            connection = open_owned(self._path)
            files = OwnedFiles(self._path)
        except Exception as error:  # noqa: BLE001 - the caller waits for an answer, also for an error
            self._answer([self._opened], explain(error, self._path))
        else:
            self._answer([self._opened], [None])
            with closing(files), closing(connection):
                self._serve(connection, files)
        finally:
            self._answer([self._ended], [None])

    def _serve(self, connection: sqlite3.Connection, files: OwnedFiles) -> None:
        dead: JournalError | None = None
        for group in self._groups():
            answers: list[object] = []
            began_at = self._busy_since = time.monotonic()
            try:
                if dead is None:
                    files.check()
                    answers = _commit(connection, group)
                    files.check()
            except Exception as error:  # noqa: BLE001 - the callers wait for an answer, also for an error
                dead = self._explain(error, files)
            self._busy_since = None
            self.durations.add(time.monotonic() - began_at)
            self._answer([call.answer for call in group], answers if dead is None else dead)

    def _explain(self, error: Exception, files: OwnedFiles) -> JournalError:
        """Return the message of an error: that the files are lost, if that is why."""
        try:
            files.check()
        except (JournalError, OSError) as loss:
            return explain(loss, self._path)
        return explain(error, self._path)

    def _groups(self) -> Iterator[list[_Call]]:
        """Yield all waiting calls as a group, when there are some; end after the group with the closing None."""
        closing = False
        while not closing:
            waiting = [self._calls.get()]
            with suppress(Empty):
                while True:
                    waiting.append(self._calls.get_nowait())
            group = [call for call in waiting if call is not None]
            closing = len(group) < len(waiting)
            if group:
                yield group

    def _answer(self, futures: Sequence[asyncio.Future[Any]], answers: Sequence[object] | JournalError) -> None:
        with suppress(RuntimeError):  # the loop is closed: no caller is left
            self._loop.call_soon_threadsafe(_resolve, futures, answers)


def _commit(connection: sqlite3.Connection, group: Sequence[_Call]) -> list[object]:
    """Make all calls in one transaction; return their answers once it is on disk."""
    connection.execute("BEGIN IMMEDIATE")
    answers = [call.work(connection) for call in group]
    connection.execute("COMMIT")
    return answers


def _resolve(futures: Sequence[asyncio.Future[Any]], answers: Sequence[object] | JournalError) -> None:
    """Return to each caller that still waits its answer, or its own copy of the error."""
    for place, future in enumerate(futures):
        if future.done():
            continue
        if isinstance(answers, JournalError):
            future.set_exception(type(answers)(str(answers)))
        else:
            future.set_result(answers[place])
