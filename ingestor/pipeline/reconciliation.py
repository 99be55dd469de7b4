"""Settling what is unresolved: every job of a batch whose end is not known is looked for by its stamp."""

import asyncio

from ingestor.model.events import InputRead
from ingestor.model.outcome import Outcome
from ingestor.model.ports import Admission, EventLog, Timekeeper, UnsettledJobs
from ingestor.model.reply import Reply
from ingestor.pipeline.attempt import NOT_CREATED
from ingestor.pipeline.delivery import Delivery, end, start
from ingestor.pipeline.floor import Floor, PipelineOptions, PipelineResult
from ingestor.pipeline.lookup import Lookups
from ingestor.pipeline.service import Service
from ingestor.policy.lookup import Resend, decide_resend

_PAGE = 500  # jobs in one read of the journal

_NOT_STAMPED = "its run would carry no stamp to find it by (--no-stamp)"
_SAYS = {
    Resend.FREE: "no run carries its token: it was not created, and the next run sends it again under a new token",
    Resend.PROTECTED: "no run carries its token so far: the next run sends it again under the same token",
    Resend.EXPIRING: "no run carries its token, which is about to expire: reconcile again in an hour",
}


class Reconciliation:
    """One batch, from its first unsettled job to its last."""

    def __init__(
        self, options: PipelineOptions, jobs: UnsettledJobs, service: Service, account: EventLog, clock: Timekeeper
    ) -> None:
        self._service = service
        self._clock = clock
        self._floor = floor = Floor(options, service, jobs.conclude, account)
        self._roll = Roll(jobs, floor, account, service)
        self._lookups = Lookups(service, floor.hearing, floor.committer, self._conclude, only=True)

    @property
    def left(self) -> int:
        """Jobs in hand that are as they were."""
        return len(self._floor.hand)

    def stop(self, reason: str = "asked to") -> None:
        """Look for no more, settle, and return from `run`. Safe to call twice."""
        self._floor.stop(reason)

    async def run(self) -> PipelineResult:
        """Look for all of them. Raises JournalError."""
        return await self._floor.work(self._roll, self._lookups.make)

    def _conclude(self, delivery: Delivery) -> None:
        """Say what becomes of a job that surely has no run."""
        admission = delivery.admission
        told = decide_resend(
            admission.first_sent_at,
            self._clock.moment(),
            idempotent=self._service.idempotent,
            invalidated=admission.invalidated,
        )
        if told is Resend.FREE and self._is_too_early(delivery):
            return
        reply = Reply(code=NOT_CREATED if told is Resend.FREE else None, message=_SAYS[told])
        outcome = Outcome.FAILED if told is Resend.FREE else Outcome.UNRESOLVED
        self._floor.committer.put(delivery, end(delivery, outcome, reply))

    def _is_too_early(self, delivery: Delivery) -> bool:
        """Look once more for a job that is about to be freed, where what a dead process sent may still be under way.

        The age of its token does not rule that out: a clock that is ahead makes it look old.
        """
        quiescent_at = self._roll.quiescent_at
        if delivery.history.quiescent_at >= quiescent_at:
            return False
        delivery.history.quiescent_at = quiescent_at
        self._floor.backlog.add_retry(delivery, max(0.0, quiescent_at - self._floor.hearing.now()))
        return True


class Roll:
    """Takes the unsettled jobs of a batch in, as fast as the hand has room: those that are pending last.

    In that order none comes twice: a job that was pending and is unresolved now is behind us.
    """

    def __init__(self, jobs: UnsettledJobs, floor: Floor, account: EventLog, service: Service) -> None:
        self._jobs = jobs
        self._floor = floor
        self._account = account
        self._service = service
        self.quiescent_at = asyncio.get_running_loop().time() + service.settling
        """From when on nothing is under way that a dead process sent, on the loop's clock."""
        self._stopping = False
        self._read = 0
        self.exhausted = False
        self.unread = 0

    def stop(self) -> None:
        """Take in no more."""
        self._stopping = True
        self._floor.hand.wake()

    async def run(self) -> None:
        """Take in all of them. Raises JournalError."""
        total = await self._jobs.count_unsettled()
        for pending in (False, True):
            after = 0
            while await self._room():
                limit = min(_PAGE, self._floor.hand.room)
                page = await self._jobs.unsettled(pending=pending, after=after, limit=limit)
                if not page:
                    break
                after = page[-1].number
                self._read += len(page)
                self._account.emit(InputRead(len(page), self._read, max(total, self._read)))
                await self._account.ready()
                for job in page:
                    self._place(job.admission)
        self.exhausted = not self._stopping

    async def _room(self) -> bool:
        while not (self._floor.hand.is_open or self._stopping):
            await self._floor.hand.change()
        return not self._stopping

    def _place(self, admission: Admission) -> None:
        delivery = start(admission)
        self._floor.hand.add(delivery)
        if not admission.stamped:
            self._floor.committer.put(delivery, end(delivery, Outcome.UNRESOLVED, Reply(message=_NOT_STAMPED)))
        else:
            is_settled = self._floor.hearing.now() >= self.quiescent_at
            if is_settled or not self._service.idempotent or admission.invalidated:  # or no token protects it
                delivery.history.quiescent_at = self.quiescent_at
            self._floor.backlog.add(delivery)
