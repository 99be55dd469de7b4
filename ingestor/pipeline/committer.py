"""Ends of jobs: made durable in groups, and only then told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ingestor.model.events import RecordsDuplicate, RunsEnded
from ingestor.model.outcome import Result
from ingestor.model.ports import EventSink
from ingestor.model.value import value
from ingestor.pipeline.delivery import Delivery
from ingestor.pipeline.in_flight import InFlight

_LINGER = 0.02  # seconds; lets a group gather, so that a commit is shared


Commit = Callable[[Sequence[Result]], Awaitable[None]]


@value(frozen=True, slots=True)
class _Ended:
    delivery: Delivery
    result: Result


class Committer:
    """Takes results without waiting, commits them, tells of them, and lets their deliveries go.

    `commit` returns once results are on disk; it raises JournalError.
    """

    def __init__(self, commit: Commit, sink: EventSink, hand: InFlight) -> None:
        self._commit = commit
        self._sink = sink
        self._hand = hand
        self._ended: list[_Ended] = []
        self._wake = asyncio.Event()
        self._closing = False

    def put(self, delivery: Delivery, result: Result) -> None:
        """Take a result. Never waits, so that nothing can come between an answer and its record."""
        self._ended.append(_Ended(delivery, result))
        self._wake.set()

    def close(self) -> None:
        """Let `run` end once everything taken is durable."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Commit what comes until closed. Raises JournalError."""
        while self._ended or not self._closing:
            if not self._ended:
                self._wake.clear()
                await self._wake.wait()
            if not self._closing:
                await asyncio.sleep(_LINGER)
            group, self._ended = self._ended, []
            if group:
                await self._settle(group)

    async def _settle(self, group: Sequence[_Ended]) -> None:
        results = [ended.result for ended in group]
        await self._commit(results)
        for ended in group:
            self._hand.remove(ended.delivery)
        self._sink.emit(RunsEnded(results))
        followers = [(job, ended.result.run_id) for ended in group for job in ended.delivery.followers]
        if followers:
            self._sink.emit(RecordsDuplicate(followers))
