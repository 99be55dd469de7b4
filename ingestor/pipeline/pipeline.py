"""The batch: records in, attempts out, results settled."""

from ingestor.model.ports import EventLog, Input, Journal, Timekeeper
from ingestor.pipeline.attempt import Attempts
from ingestor.pipeline.floor import Floor, PipelineOptions, PipelineResult
from ingestor.pipeline.intake import Intake
from ingestor.pipeline.service import Service

__all__ = ["Pipeline", "PipelineOptions", "PipelineResult"]


class Pipeline:
    """One batch, from its input to its end."""

    def __init__(
        self,
        options: PipelineOptions,
        source: Input,
        journal: Journal,
        service: Service,
        account: EventLog,
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
            floor.committer,
            stamped=options.stamped,
            service=service,
        )
        self._attempts = Attempts(service, floor.hearing, floor.backlog, floor.committer, clock)

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return len(self._floor.hand) + self._intake.unread

    def stop(self, reason: str = "asked to") -> None:
        """Read no more, let what is in flight end, settle, and return from `run`. Safe to call twice."""
        self._floor.stop(reason)

    async def run(self) -> PipelineResult:
        """Work the batch to its end. Raises the IngestorError that ended a part (a lost source, the journal)."""
        ending = await self._floor.work(self._intake, self._attempts.make)
        await self._withdraw()
        return ending

    async def _withdraw(self) -> None:
        """Take back the intents of what was never sent, so that they do not age."""
        unsent = [delivery.job for delivery in self._floor.hand if delivery.withdrawable]
        if unsent:
            await self._journal.release(unsent)
