"""The batch: records in, attempts out, results settled."""

from ingestor.flow.attempt import Attempts
from ingestor.flow.floor import Ending, Floor, PipelineOptions
from ingestor.flow.intake import Intake
from ingestor.flow.service import Service
from ingestor.model.ports import Account, Input, Journal, Timekeeper

__all__ = ["Ending", "Pipeline", "PipelineOptions"]


class Pipeline:
    """One batch, from its input to its end."""

    def __init__(
        self,
        options: PipelineOptions,
        source: Input,
        journal: Journal,
        service: Service,
        account: Account,
        clock: Timekeeper,
    ) -> None:
        self._journal = journal
        self._floor = floor = Floor(options, service, journal.settle, account)
        self._intake = Intake(
            source,
            journal,
            account,
            floor.hand,
            floor.backlog,
            floor.settlement,
            stamped=options.stamped,
            service=service,
        )
        self._attempts = Attempts(service, floor.hearing, floor.backlog, floor.settlement, clock)

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return len(self._floor.hand) + self._intake.unread

    def stop(self, reason: str = "asked to") -> None:
        """Read no more, let what is in flight end, settle, and return from `run`. Safe to call twice."""
        self._floor.stop(reason)

    async def run(self) -> Ending:
        """Work the batch to its end. Raises the IngestorError that ended a part (a lost source, the journal)."""
        ending = await self._floor.work(self._intake, self._attempts.make)
        await self._withdraw()
        return ending

    async def _withdraw(self) -> None:
        """Take back the intents of what was never sent, so that they do not age."""
        unsent = [delivery.job for delivery in self._floor.hand if delivery.withdrawable]
        if unsent:
            await self._journal.release(unsent)
