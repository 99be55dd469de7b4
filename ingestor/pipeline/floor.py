"""Where deliveries are worked off: attempts out, results settled; with bounded memory and an orderly end."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ingestor.model.errors import IngestorError, JournalError
from ingestor.model.events import BatchHalted
from ingestor.model.ports import EventSink
from ingestor.pipeline.backlog import Backlog
from ingestor.pipeline.breaker import Breaker
from ingestor.pipeline.committer import Commit, Committer
from ingestor.pipeline.dispatch import Attempt, Dispatch
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.in_flight import InFlight
from ingestor.pipeline.service import Service
from ingestor.policy.halt import Halt

AFTER_AN_ERROR = "Mend that, then run the same command again: what is done stays done."
"""What to do after an error that ended the work."""

_LOOKAHEAD = 16  # jobs in hand for each slot: enough to keep slots busy while a large group is committed


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """How a batch is worked.

    Attributes:
        concurrency: the most attempts in flight, at least 1.
        stamped: whether new runs carry the tag `ingestor.token`.
        drain_timeout: seconds that attempts in flight get to end after a stop.
        give_up_after: seconds that a service which is down is waited for.
        follow: whether one that was never reached is waited for as well.
    """

    concurrency: int
    stamped: bool
    drain_timeout: float
    give_up_after: float
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """How the work ended.

    Attributes:
        halt: what is wrong for every record, if anything is.
        stopped: whether it was asked to end early, and something was left.
        left: records that were read and have no outcome yet.
        reason: why it was asked to end early, if it was.
        exhausted: whether everything was taken in.
    """

    halt: Halt | None
    stopped: bool
    left: int
    reason: str | None = None
    exhausted: bool = False


class TakesIn(Protocol):
    """What fills the hand.

    `exhausted` is whether everything was taken in, `unread` how many records were read and left untouched by a stop.
    """

    exhausted: bool
    unread: int

    async def run(self) -> None:
        """Take in everything. Raises IngestorError."""
        ...

    def stop(self) -> None:
        """Take in no more; `run` ends soon."""
        ...


class Floor:
    """What all parts that work on deliveries share, and their order of beginning and ending."""

    def __init__(self, options: PipelineOptions, service: Service, commit: Commit, sink: EventSink) -> None:
        self._options = options
        self._service = service
        self._sink = sink
        self._halt: Halt | None = None
        self._stop = asyncio.Event()
        self._reason: str | None = None
        self._intake: TakesIn | None = None
        self.hand = InFlight(_LOOKAHEAD * options.concurrency)
        self.backlog = Backlog()
        self.committer = Committer(commit, sink, self.hand)
        self.breaker = Breaker(service.target, service.pacer, sink, options.give_up_after, self._give_up)
        self.hearing = HealthMonitor(service, self.backlog, self.breaker, sink, self._on_halt, follow=options.follow)

    def stop(self, reason: str) -> None:
        """Take in no more, let what is in flight end, settle, and return from `work`. The first reason counts."""
        self._reason = self._reason or reason
        self._stop.set()
        if self._intake is not None:
            self._intake.stop()

    async def work(self, intake: TakesIn, attempt: Attempt) -> PipelineResult:
        """Work off all that `intake` takes in. Raises the IngestorError that ended a part."""
        self._intake = intake
        if self._stop.is_set():
            intake.stop()
        try:
            await self._work(intake, attempt)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        left = len(self.hand) + intake.unread
        cut_short = self._stop.is_set() and (left > 0 or not intake.exhausted)
        return PipelineResult(
            halt=self._halt, stopped=cut_short, left=left, reason=self._reason, exhausted=intake.exhausted
        )

    async def _work(self, intake: TakesIn, attempt: Attempt) -> None:
        dispatch = Dispatch(self.backlog, self.breaker, self._service.pacer, attempt, self.hearing.patience)
        async with asyncio.TaskGroup() as group:
            settling = group.create_task(self.committer.run())
            dispatch.open(group, self._options.concurrency)
            watching = [group.create_task(self.breaker.run()), group.create_task(self.hearing.listen())]
            taking_in = group.create_task(self._take_in(intake))
            stopping = group.create_task(self._stop.wait())
            await asyncio.wait({taking_in, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for watch in watching:
                watch.cancel()
            await taking_in
            await dispatch.close(self._patience())
            self.committer.close()
            await settling

    def _patience(self) -> float:
        """Return how long attempts in flight may take to end: not at all where nothing has ever been answered."""
        is_hopeless = self._halt is not None and not self.hearing.has_answered
        return 0.0 if is_hopeless else self._options.drain_timeout

    async def _take_in(self, intake: TakesIn) -> None:
        try:
            await intake.run()
        except JournalError:
            raise
        except IngestorError as error:  # what is in flight is still settled: only the journal's loss forbids that
            self._on_halt(Halt(str(error), AFTER_AN_ERROR))
        while len(self.hand) and not self._stop.is_set():
            await self.hand.change()

    def _on_halt(self, halt: Halt) -> None:
        if self._halt is None:
            self._halt = halt
            self._sink.emit(BatchHalted(halt.reason, halt.advice))
            self.stop(halt.reason)

    def _give_up(self) -> None:
        self.stop("the service was down for longer than --give-up-after")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    known, others = group.split(IngestorError)
    errors = (known or others or group).exceptions
    first = errors[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
