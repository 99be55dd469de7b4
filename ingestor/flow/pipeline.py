"""The batch: records in, attempts out, results settled; with bounded memory and an orderly end."""

import asyncio
from dataclasses import dataclass

from ingestor.flow.attempt import Attempts, Service
from ingestor.flow.backlog import Backlog
from ingestor.flow.breaker import Breaker
from ingestor.flow.dispatch import Dispatch
from ingestor.flow.hand import Hand
from ingestor.flow.intake import Intake
from ingestor.flow.settlement import Settlement
from ingestor.model.errors import IngestorError
from ingestor.model.events import BatchHalted
from ingestor.model.ports import Account, Clock, Input, Journal
from ingestor.policy.halt import Halt

_LOOKAHEAD = 4  # jobs in hand for each slot: enough to keep slots busy while groups are committed


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """How a batch is worked.

    Attributes:
        concurrency: the most attempts in flight, at least 1.
        stamped: whether new runs carry the tag `ingestor.token`.
        drain_timeout: seconds that attempts in flight get to end after a stop.
        give_up_after: seconds that a service which is down is waited for.
    """

    concurrency: int
    stamped: bool
    drain_timeout: float
    give_up_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the work ended.

    Attributes:
        halt: what is wrong for every record, if anything is.
        stopped: whether it was asked to end early, and something was left.
        left: records that were read and have no outcome yet.
    """

    halt: Halt | None
    stopped: bool
    left: int


class Pipeline:
    """One batch, from its input to its end."""

    def __init__(
        self,
        options: PipelineOptions,
        source: Input,
        journal: Journal,
        service: Service,
        account: Account,
        clock: Clock,
    ) -> None:
        self._options = options
        self._journal = journal
        self._account = account
        self._halt: Halt | None = None
        self._stop = asyncio.Event()
        self._hand = Hand(_LOOKAHEAD * options.concurrency)
        backlog = Backlog()
        self._settlement = Settlement(journal, account, self._hand)
        self._intake = Intake(
            source,
            journal,
            account,
            self._hand,
            backlog,
            self._settlement,
            stamped=options.stamped,
            idempotent=service.idempotent,
        )
        self._breaker = Breaker(service.target, service.pacer, account, options.give_up_after, on_give_up=self.stop)
        attempts = Attempts(service, backlog, self._breaker, self._settlement, account, clock, self._on_halt)
        self._dispatch = Dispatch(backlog, self._breaker, service.pacer, attempts.make, attempts.patience)

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return len(self._hand) + self._intake.unread

    def stop(self) -> None:
        """Read no more, let what is in flight end, settle, and return from `run`. Safe to call twice."""
        self._intake.stop()
        self._stop.set()

    async def run(self) -> Ending:
        """Work the batch to its end. Raises the IngestorError that ended a part (a lost source, the journal)."""
        try:
            await self._work()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        await self._withdraw()
        cut_short = self._stop.is_set() and (self.left > 0 or not self._intake.exhausted)
        return Ending(halt=self._halt, stopped=cut_short, left=self.left)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            settling = group.create_task(self._settlement.run())
            self._dispatch.open(group, self._options.concurrency)
            watching = group.create_task(self._breaker.run())
            taking_in = group.create_task(self._take_in())
            stopping = group.create_task(self._stop.wait())
            await asyncio.wait({taking_in, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            watching.cancel()
            await taking_in
            await self._dispatch.close(self._options.drain_timeout)
            self._settlement.close()
            await settling

    async def _take_in(self) -> None:
        await self._intake.run()
        while len(self._hand) and not self._stop.is_set():
            await self._hand.change()

    async def _withdraw(self) -> None:
        """Take back the intents of what was never sent, so that they do not age."""
        unsent = [delivery.job for delivery in self._hand if delivery.withdrawable]
        if unsent:
            await self._journal.release(unsent)

    def _on_halt(self, halt: Halt) -> None:
        if self._halt is None:
            self._halt = halt
            self._account.emit(BatchHalted(halt.reason, halt.advice))
            self.stop()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    known, others = group.split(IngestorError)
    errors = (known or others or group).exceptions
    first = errors[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
