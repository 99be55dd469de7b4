"""Records in: each is rejected, already done, or admitted with a durable intent and added to the backlog."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.events import InputRead, RecordRejected, RecordsAlreadyDone, RecordsDuplicate
from ingestor.model.ports import EventLog, Input, Journal
from ingestor.model.record import Job, Outcome, Reject
from ingestor.model.reply import Reply
from ingestor.model.sources import Chunk
from ingestor.pipeline.acknowledgements import Acknowledgements, OpenChunk
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.in_flight import Backlog, Delivery, InFlight, start
from ingestor.pipeline.options import PipelineOptions

_CONFLICT = "job_id: was already used in this batch with another body; give a changed record a job_id of its own"
_EXPIRED = "may have been created earlier, and its retry token no longer protects it: it is not sent again"
_NOT_STAMPED = (
    "may have been created earlier, and this service honours no retry tokens; "
    "its run would carry no stamp to find it by: it is not sent again"
)


@dataclass(slots=True, eq=False)
class Intake:
    """Reads the input as fast as there is room in flight, and no faster."""

    options: PipelineOptions
    source: Input
    journal: Journal
    log: EventLog
    in_flight: InFlight
    backlog: Backlog
    committer: Committer
    acknowledgements: Acknowledgements
    _quiescent_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._quiescent_at = asyncio.get_running_loop().time() + self.options.crash_quiescence

    async def run(self) -> None:
        """Read the whole input, or as much as comes before `in_flight` is closed. Raises IngestorError."""
        async for chunk in self.source.chunks():
            self.log.emit(InputRead(len(chunk.records), self.source.read_bytes, self.source.total_bytes))
            opened = self.acknowledgements.open(chunk)
            jobs = self._set_rejects_aside(chunk, opened)
            await self.log.ready()
            while jobs and await self.in_flight.has_room():
                fitting = self.in_flight.fitting(jobs)
                admitted, jobs = jobs[:fitting], jobs[fitting:]
                await self._admit(admitted, opened)
            self.in_flight.left_out += len(jobs)
            self.committer.checkpoints_moved()

    def _set_rejects_aside(self, chunk: Chunk, opened: OpenChunk | None) -> list[Job]:
        jobs = []
        for record in chunk.records:
            if isinstance(record, Reject):
                self.log.emit(RecordRejected(record))
            else:
                jobs.append(record)
        self.acknowledgements.rejected(opened, len(chunk.records) - len(jobs))
        return jobs

    async def _admit(self, jobs: Sequence[Job], chunk: OpenChunk | None) -> None:
        """Admit jobs of distinct keys. A repeated key waits for its first job: in flight, or in the next round."""
        rest = jobs
        while rest:
            distinct: dict[str, Job] = {}
            repeated = []
            for job in rest:
                if (first := self.in_flight.get(job.key)) is not None:
                    self._meet_again(first, job, chunk)
                elif job.key in distinct:
                    repeated.append(job)
                else:
                    distinct[job.key] = job
            if distinct:
                admissions = await self.journal.admit(list(distinct.values()), stamped=self.options.stamped)
                self._place_all(admissions, chunk)
            rest = repeated

    def _meet_again(self, first: Delivery, job: Job, chunk: OpenChunk | None) -> None:
        if job.digest == first.job.digest:
            self.in_flight.follow(first, job, chunk)
        else:
            self._reject(job, chunk)

    def _place_all(self, admissions: Sequence[Admission], chunk: OpenChunk | None) -> None:
        already_done, duplicates = 0, []
        for admission in admissions:
            if admission.status is not AdmissionStatus.DONE:
                self._place(admission, chunk)
            elif admission.is_recent:
                duplicates.append((admission.job, admission.run_id))
            else:
                already_done += 1
        if already_done:
            self.log.emit(RecordsAlreadyDone(already_done))
        if duplicates:
            self.log.emit(RecordsDuplicate(duplicates))
        if done := already_done + len(duplicates):
            self.acknowledgements.done(chunk, done)

    def _place(self, admission: Admission, chunk: OpenChunk | None) -> None:
        if admission.status is AdmissionStatus.CONFLICT:
            self._reject(admission.job, chunk)
            return
        delivery = start(admission, chunk)
        self.in_flight.add(delivery)
        if admission.run_id is not None and not admission.job.steps:  # nothing of its plan is left
            self.committer.end(delivery, Outcome.CREATED, Reply())
        elif admission.run_id is None and admission.may_exist and not self.options.idempotent:
            self._look_up_first(delivery)
        elif admission.status is AdmissionStatus.EXPIRED:
            self._leave_unresolved(delivery, _EXPIRED)
        else:
            self.backlog.add(delivery)

    def _look_up_first(self, delivery: Delivery) -> None:
        """Queue a job for its look-up. An absence counts only once the service has ended what a dead process sent."""
        if delivery.admission.stamped:
            delivery.history.quiescent_at = self._quiescent_at
            self.backlog.add_retry(delivery, 0.0)
        else:
            self._leave_unresolved(delivery, _NOT_STAMPED)

    def _leave_unresolved(self, delivery: Delivery, reason: str) -> None:
        self.committer.end(delivery, Outcome.UNRESOLVED, Reply(message=reason))

    def _reject(self, job: Job, chunk: OpenChunk | None) -> None:
        self.log.emit(RecordRejected(Reject(job.origin, _CONFLICT, job.raw.decode(), job.key)))
        self.acknowledgements.rejected(chunk)
