"""Records in: each is rejected, known already, or admitted with a durable intent and queued."""

import asyncio
from collections.abc import Iterable, Sequence

from ingestor.model.events import InputRead, RecordRejected, RecordsDuplicate
from ingestor.model.outcome import Outcome
from ingestor.model.ports import Admission, AdmissionStatus, EventLog, Input, Journal
from ingestor.model.record import Job, Reject
from ingestor.model.reply import Reply
from ingestor.pipeline.backlog import Backlog
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.delivery import Delivery, end, start
from ingestor.pipeline.in_flight import InFlight
from ingestor.pipeline.service import Service

_CONFLICT = "job_id: was already used in this batch with another body; give a changed record a job_id of its own"
_EXPIRED = "may have been created earlier, and its retry token no longer protects it: it is not sent again"
_NOT_STAMPED = (
    "may have been created earlier, and this service honours no retry tokens; "
    "its run would carry no stamp to find it by: it is not sent again"
)


class Intake:
    """Reads the input as fast as the hand has room, and no faster."""

    def __init__(  # noqa: PLR0913 - the ports and neighbours it joins
        self,
        source: Input,
        journal: Journal,
        account: EventLog,
        hand: InFlight,
        backlog: Backlog,
        committer: Committer,
        *,
        stamped: bool,
        service: Service,
    ) -> None:
        self._source = source
        self._journal = journal
        self._account = account
        self._hand = hand
        self._backlog = backlog
        self._settlement = committer
        self._stamped = stamped
        self._service = service
        self._settled_at = asyncio.get_running_loop().time() + service.settling
        self._stopping = False
        self.exhausted = False
        """Whether the whole input was taken in."""
        self.unread = 0
        """Records that were read and left untouched by a stop."""

    def stop(self) -> None:
        """Read no more. What was not admitted yet is left as if it had not been read."""
        self._stopping = True
        self._source.stop()
        self._hand.wake()

    async def run(self) -> None:
        """Take in the whole input. Raises IngestorError."""
        async for batch in self._source.batches():
            self._account.emit(InputRead(len(batch), self._source.read_bytes, self._source.total_bytes))
            jobs = self._set_rejects_aside(batch)
            await self._account.ready()
            while jobs and await self._room():
                fitting = self._hand.fitting(jobs)
                taken, jobs = jobs[:fitting], jobs[fitting:]
                await self._admit(taken)
            self.unread += len(jobs)
        self.exhausted = not self._stopping

    async def _room(self) -> bool:
        while not (self._hand.is_open or self._stopping):
            await self._hand.change()
        return not self._stopping

    def _set_rejects_aside(self, batch: Iterable[Job | Reject]) -> list[Job]:
        jobs = []
        for record in batch:
            if isinstance(record, Reject):
                self._account.emit(RecordRejected(record))
            else:
                jobs.append(record)
        return jobs

    async def _admit(self, jobs: Sequence[Job]) -> None:
        """Admit jobs of distinct keys; a double waits for its first, in hand or in the next round."""
        rest = jobs
        while rest:
            fresh: dict[str, Job] = {}
            doubles = []
            for job in rest:
                if (first := self._hand.get(job.key)) is not None:
                    self._meet_again(first, job)
                elif job.key in fresh:
                    doubles.append(job)
                else:
                    fresh[job.key] = job
            self._place_all(await self._journal.admit(list(fresh.values()), stamped=self._stamped))
            rest = doubles

    def _meet_again(self, first: Delivery, job: Job) -> None:
        if job.digest == first.job.digest:
            self._hand.follow(first, job)
        else:
            self._reject(job)

    def _place_all(self, admissions: Sequence[Admission]) -> None:
        done = [(it.job, it.run_id) for it in admissions if it.status is AdmissionStatus.DONE]
        if done:
            self._account.emit(RecordsDuplicate(done))
        if len(done) < len(admissions):
            for admission in admissions:
                self._place(admission)

    def _place(self, admission: Admission) -> None:
        match admission.status:
            case AdmissionStatus.CONFLICT:
                self._reject(admission.job)
            case AdmissionStatus.AGAIN | AdmissionStatus.EXPIRED if (
                admission.may_exist and not self._service.idempotent
            ):
                self._look_first(admission)
            case AdmissionStatus.EXPIRED:
                self._leave_unresolved(admission, _EXPIRED)
            case AdmissionStatus.NEW | AdmissionStatus.AGAIN:
                delivery = start(admission)
                self._hand.add(delivery)
                self._backlog.add(delivery)
            case AdmissionStatus.DONE:
                pass  # told together with the others

    def _look_first(self, admission: Admission) -> None:
        """Queue a job for its look-up, which shows that there is no run only when all that was sent has settled."""
        if not admission.stamped:
            self._leave_unresolved(admission, _NOT_STAMPED)
            return
        delivery = start(admission)
        delivery.history.quiescent_at = self._settled_at
        self._hand.add(delivery)
        self._backlog.add_retry(delivery, 0.0)

    def _leave_unresolved(self, admission: Admission, reason: str) -> None:
        delivery = start(admission)
        self._hand.add(delivery)
        self._settlement.put(delivery, end(delivery, Outcome.UNRESOLVED, Reply(message=reason)))

    def _reject(self, job: Job) -> None:
        text = job.raw.decode()
        self._account.emit(RecordRejected(Reject(job.origin, _CONFLICT, text, job.key)))
