"""The one thread that writes: takes what waits, commits it as one transaction, and only then answers."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from ingestor.journal.database import explain, open_owned
from ingestor.model.errors import JournalError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Work = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[Answer]]
"""Does what is asked inside a transaction: one answer to each item, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    work: Work[object, object]
    item: object
    answer: asyncio.Future[object]


class Writer:
    """Owns the journal's connection. Made and used on one event loop.

    Calls that wait while a transaction is committed share the next one: the busier, the larger the groups. Where one
    fails, every call of its group and every later one raises JournalError, since nobody can say what is on disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._dead: JournalError | None = None
        self._closing = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A daemon, so that a process that leaves at once is not held up: what is committed is on disk.
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    async def open(self) -> None:
        """Open the journal. Raises JournalError."""
        self._thread.start()
        await asyncio.shield(self._opened)

    async def do(self, work: Work[Item, Answer], item: Item) -> Answer:
        """Return the answer of `work` to `item` once its transaction is on disk. Raises JournalError.

        Calls of the same `work` that follow each other are handed to it together. Cancelling the caller does not
        undo its call.
        """
        if self._closing:
            raise JournalError(f"The journal {self._path} is closed.")
        call = _Call(cast("Work[object, object]", work), item, self._loop.create_future())
        self._calls.put(call)
        return cast("Answer", await call.answer)

    async def close(self) -> None:
        """Commit what waits and close the file. Safe to call twice."""
        self._closing = True
        self._calls.put(None)
        await asyncio.shield(self._ended)

    def _run(self) -> None:
        try:
            connection = open_owned(self._path)
        except JournalError as error:
            self._tell(_fail, [self._opened], error)
        else:
            self._tell(_resolve, [self._opened], [None])
            with closing(connection):
                self._serve(connection)
        finally:
            self._tell(_resolve, [self._ended], [None])

    def _serve(self, connection: sqlite3.Connection) -> None:
        files = _Files(self._path)
        for group in self._groups():
            try:
                if self._dead is None:
                    answers = _commit(connection, group)
                    files.check()
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
                self._dead = explain(error, self._path)
            futures = [call.answer for call in group]
            if self._dead is None:
                self._tell(_resolve, futures, answers)
            else:
                self._tell(_fail, futures, self._dead)

    def _groups(self) -> Iterator[list[_Call]]:
        """Yield all that waits, each time there is something; ends after the group that holds the closing None."""
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

    def _tell(self, tell: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(tell, *arguments)


class _Files:
    """The journal's files: one that is moved or deleted while it is open takes its writes to nowhere."""

    def __init__(self, path: Path) -> None:
        self._paths = (path, path.with_name(f"{path.name}-wal"))
        self._known: dict[Path, tuple[int, int]] = {}

    def check(self) -> None:
        """Raise JournalError where a file is not the one of the first check, OSError where it is gone."""
        for path in self._paths:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if self._known.setdefault(path, identity) != identity:
                raise JournalError(f"The journal's file {path} was replaced while it was open.")


def _commit(connection: sqlite3.Connection, group: Sequence[_Call]) -> list[object]:
    """Do all calls in one transaction; return their answers once it is on disk."""
    connection.execute("BEGIN IMMEDIATE")
    answers: list[object] = []
    for work, calls in groupby(group, key=lambda call: call.work):
        answers += work(connection, [call.item for call in calls])
    connection.execute("COMMIT")
    return answers


def _resolve(futures: Sequence[asyncio.Future[object]], answers: Sequence[object]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(futures: Sequence[asyncio.Future[object]], error: JournalError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(JournalError(str(error)))
