"""Ends of jobs: durable in groups, together with the checkpoints that they move, and only then logged."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ingestor.model.errors import IngestorError
from ingestor.model.events import RecordsAlreadyDone, RecordsDuplicate, RunsEnded
from ingestor.model.ports import Changes, EventLog
from ingestor.model.record import Outcome, Result
from ingestor.model.reply import Reply
from ingestor.model.sources import Checkpoint
from ingestor.pipeline.acknowledgements import Acknowledgements
from ingestor.pipeline.in_flight import Delivery, InFlight, end

LINGER = 0.02
"""Seconds that a group waits for more ends before it is committed, so that jobs share a commit."""
CHECKPOINT_INTERVAL = 1.0
"""Seconds after which checkpoints are committed that moved without the end of a job."""

Commit = Callable[[Changes], Awaitable[int]]
"""Writes changes in one transaction and returns as `Journal.commit` does."""
Acknowledge = Callable[[Sequence[Checkpoint]], Awaitable[None]]
"""Takes checkpoints that are durable (`Input.acknowledge`)."""


class Committer:
    """Receives ends of jobs without waiting; commits them in groups, logs them, and frees their places in flight."""

    def __init__(
        self,
        commit: Commit,
        acknowledge: Acknowledge,
        log: EventLog,
        in_flight: InFlight,
        acknowledgements: Acknowledgements,
    ) -> None:
        self._commit = commit
        self._acknowledge = acknowledge
        self._log = log
        self._in_flight = in_flight
        self._acknowledgements = acknowledgements
        self._ended: list[tuple[Delivery, Result]] = []
        self._begun: dict[Delivery, str] = {}
        self._error: IngestorError | None = None
        self._checkpoint_due: float | None = None
        self._wake = asyncio.Event()
        self._closing = False

    def end(self, delivery: Delivery, outcome: Outcome, reply: Reply) -> None:
        """End a job. Never waits, so no other task runs between a reply and its result."""
        self._begun.pop(delivery, None)
        self._ended.append((delivery, end(delivery, outcome, reply)))
        self._wake.set()

    def begin(self, delivery: Delivery, run_id: str) -> None:
        """Record that a job's run exists and that the rest of its plan follows."""
        self._begun[delivery] = run_id
        self._wake.set()

    def checkpoints_moved(self) -> None:
        """Commit the checkpoints that moved, soon: with the next jobs that end, or separately."""
        if self._checkpoint_due is None and self._acknowledgements.have_moved:
            self._checkpoint_due = asyncio.get_running_loop().time() + CHECKPOINT_INTERVAL
            self._wake.set()

    def close(self) -> None:
        """Let `run` return once everything is durable."""
        self._closing = True
        self._wake.set()

    async def run(self) -> IngestorError | None:
        """Commit until closed. Raises JournalError.

        Returns the error after which no more checkpoints were written: rejected records could not be written, or a
        source could not take its checkpoints.
        """
        while self._ended or self._begun or not self._closing:
            await self._gather()
            await self._commit_group()
        await self._commit_group()  # checkpoints that moved last
        return self._error

    async def _gather(self) -> None:
        """Wait until there is something to commit, then LINGER seconds for more."""
        while not (self._ended or self._begun or self._closing):
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._checkpoint_due):
                    await self._wake.wait()
            except TimeoutError:
                return
        if not self._closing:
            await asyncio.sleep(LINGER)

    async def _commit_group(self) -> None:
        ended, self._ended = self._ended, []
        begun, self._begun = self._begun, {}
        for delivery, _ in ended:
            self._acknowledgements.done(delivery.chunk)
        checkpoints = await self._checkpoints()
        if not (ended or begun or checkpoints):
            return
        results = [result for _, result in ended]
        changes = Changes(results, [(delivery.job, run_id) for delivery, run_id in begun.items()], checkpoints)
        sequence = await self._commit(changes)
        self._log_ends(ended, results, sequence)
        if checkpoints:
            await self._acknowledge_durable(checkpoints)

    async def _checkpoints(self) -> Sequence[Checkpoint]:
        """Return the checkpoints to commit; the rejected records before them are on disk then."""
        self._checkpoint_due = None
        moved = self._acknowledgements.take()
        if moved.passes_rejects and self._error is None:
            try:
                await self._log.sync_rejects()
            except IngestorError as error:
                self._error = error
        return moved.checkpoints if self._error is None else ()

    def _log_ends(self, ended: Sequence[tuple[Delivery, Result]], results: Sequence[Result], sequence: int) -> None:
        for delivery, _ in ended:
            self._in_flight.remove(delivery)
        if results:
            self._log.emit(RunsEnded(results, sequence))
        followers = [(job, result.run_id, chunk) for delivery, result in ended for job, chunk in delivery.followers]
        if not followers:
            return
        new = [(job, run_id) for job, run_id, chunk in followers if chunk is None or not chunk.is_again]
        if new:
            self._log.emit(RecordsDuplicate(new))
        if len(new) < len(followers):
            self._log.emit(RecordsAlreadyDone(len(followers) - len(new)))
        self._count_followers(ended)

    def _count_followers(self, ended: Sequence[tuple[Delivery, Result]]) -> None:
        """Count followers only now: a follower may have been added while the group was committed."""
        for delivery, _ in ended:
            for _, chunk in delivery.followers:
                self._acknowledgements.done(chunk)
        self.checkpoints_moved()

    async def _acknowledge_durable(self, checkpoints: Sequence[Checkpoint]) -> None:
        try:
            await self._acknowledge(checkpoints)
        except IngestorError as error:
            self._error = error
