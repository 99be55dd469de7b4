"""Reconcile: every job of a batch whose outcome is not known is looked up by its stamp. Nothing is created."""

import asyncio
from collections.abc import Sequence

from ingestor.model.admission import UnsettledJob
from ingestor.model.events import InputRead
from ingestor.model.ports import Changes, EventLog, Service, Timekeeper, UnsettledJobs
from ingestor.model.record import Outcome
from ingestor.model.reply import Reply
from ingestor.model.sources import Checkpoint
from ingestor.pipeline.in_flight import Delivery, start
from ingestor.pipeline.options import NOTHING_KNOWN, Known, PipelineOptions
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import Supervisor
from ingestor.pipeline.waits import Wait
from ingestor.pipeline.worker import NOT_CREATED
from ingestor.policy.lookup import Absent, Resend, decide_resend

_PAGE = 500  # jobs in one read of the journal

_NOT_STAMPED = "its run would carry no stamp to find it by (--no-stamp)"
_STEPS_MISSING = "its run exists, but later requests may be missing: the next run sends them"
_MESSAGES = {
    Resend.NEW_TOKEN: "no run carries its token: it was not created, and the next run sends it again under a new token",
    Resend.SAME_TOKEN: "no run carries its token so far: the next run sends it again under the same token",
    Resend.NOT_YET: "no run carries its token, which is about to expire: reconcile again in an hour",
}


class Reconciliation(Supervisor):
    """One batch, from its first unsettled job to its last. Its arguments are those of `Pipeline`.

    `run` raises JournalError.
    """

    def __init__(
        self,
        options: PipelineOptions,
        jobs: UnsettledJobs,
        service: Service,
        pacer: Pacer,
        log: EventLog,
        clock: Timekeeper,
        *,
        known: Known = NOTHING_KNOWN,
    ) -> None:
        super().__init__(
            options, service, pacer, log, clock, commit=self._commit, acknowledge=_acknowledge_nothing, known=known
        )
        self._jobs = jobs
        self._clock = clock
        self._now = asyncio.get_running_loop().time
        # from then on, the requests of a killed execution have ended
        self._quiescent_at = self._now() + options.crash_quiescence
        self._count = 0

    def finish(self) -> None:
        """Do nothing: the jobs whose outcome is not known end by themselves."""

    async def _admit_all(self) -> None:
        """Read all unsettled jobs as fast as there is room in flight: unresolved ones first, then pending ones.

        In this order no job is read twice: a job that was pending and is unresolved now is not read again.
        """
        total = await self._jobs.count_unsettled()
        for pending in (False, True):
            after = 0
            while await self._in_flight.has_room():
                limit = min(_PAGE, self._in_flight.room)
                self._reading.next = Wait.JOURNAL
                page = await self._jobs.unsettled(pending=pending, after=after, limit=limit)
                self._reading.next = Wait.ROOM
                if not page:
                    break
                after = page[-1].number
                await self._take(page, total)

    async def _take(self, page: Sequence[UnsettledJob], total: int) -> None:
        self._count += len(page)
        self._log.emit(InputRead(len(page), self._count, max(total, self._count)))
        await self._log.ready()
        for job in page:
            self._place(job)

    def _place(self, job: UnsettledJob) -> None:
        admission = job.admission
        delivery = start(admission)
        delivery.has_unknown_steps = job.has_steps
        self._in_flight.add(delivery)
        if not admission.stamped:
            self._committer.end(delivery, Outcome.UNRESOLVED, Reply(message=_NOT_STAMPED))
            return
        is_quiescent = self._now() >= self._quiescent_at
        if is_quiescent or not self._options.idempotent or admission.invalidated:  # or no token protects it
            delivery.history.quiescent_at = self._quiescent_at
        self._backlog.add(delivery)

    async def _commit(self, changes: Changes) -> int:
        return await self._jobs.conclude(changes.results)

    async def _attempt(self, delivery: Delivery) -> None:
        match await self._worker.look_up(delivery, closes_breaker=True):
            case Reply() as found:
                self._conclude_found(delivery, found)
            case Absent():
                self._conclude_absent(delivery)

    def _conclude_found(self, delivery: Delivery, found: Reply) -> None:
        delivery.run_id = found.run_id
        if delivery.has_unknown_steps:
            self._committer.end(delivery, Outcome.UNRESOLVED, Reply(message=_STEPS_MISSING))
        else:
            self._committer.end(delivery, Outcome.CREATED, found)

    def _conclude_absent(self, delivery: Delivery) -> None:
        """Decide what follows for a job that certainly has no run."""
        admission = delivery.admission
        resend = decide_resend(
            admission.first_sent_at,
            self._clock.now(),
            idempotent=self._options.idempotent,
            invalidated=admission.invalidated,
        )
        if resend is Resend.NEW_TOKEN and self._is_too_early(delivery):
            return
        gets_new_token = resend is Resend.NEW_TOKEN
        reply = Reply(code=NOT_CREATED if gets_new_token else None, message=_MESSAGES[resend])
        self._committer.end(delivery, Outcome.FAILED if gets_new_token else Outcome.UNRESOLVED, reply)

    def _is_too_early(self, delivery: Delivery) -> bool:
        """Queue a job for another look-up, if the service may still process a request of a killed execution.

        The age of its token does not exclude that: if the clock is ahead, the token looks old.
        """
        if delivery.history.quiescent_at >= self._quiescent_at:
            return False
        delivery.history.quiescent_at = self._quiescent_at
        self._backlog.add_retry(delivery, max(0.0, self._quiescent_at - self._now()))
        return True


async def _acknowledge_nothing(checkpoints: Sequence[Checkpoint]) -> None:
    """Reconcile reads no source, and so moves no checkpoint."""
