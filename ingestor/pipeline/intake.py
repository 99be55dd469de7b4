"""Intake: each record is rejected, already done, or admitted with a durable intent and added to the backlog."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.events import InputRead, RecordRejected, RecordsAlreadyDone, RecordsDuplicate, RecordsForgotten
from ingestor.model.ports import EventLog, Input, Journal
from ingestor.model.record import Job, Outcome, Reject
from ingestor.model.reply import Reply
from ingestor.model.sources import Chunk, SourceEnd
from ingestor.pipeline.acknowledgements import Acknowledgements, OpenChunk
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.in_flight import Backlog, Delivery, InFlight, start
from ingestor.pipeline.options import Known, PipelineOptions
from ingestor.pipeline.read_ahead import reading_ahead
from ingestor.pipeline.waits import Wait, Waits
from ingestor.policy.expiry import EXPIRED
from ingestor.policy.identity import reject_digest
from ingestor.policy.reported import Reported

_CONFLICT = "job_id: was already used in this batch with other content; give the changed record a new job_id"
_NOT_STAMPED = (
    "the run may exist, this service honours no retry tokens, and the run would carry no stamp to find it by: the "
    "record is not sent again"
)

_ENDED = frozenset({AdmissionStatus.DONE, AdmissionStatus.FORGOTTEN})

Arrival = tuple[Job, OpenChunk | None]
"""A job that was read, and the chunk that it counts in."""


@dataclass(slots=True, eq=False)
class Intake:
    """Reads the input only as fast as there is room in flight.

    An unresolved record that is sent again from its kept text may come again, from the source that has it. It counts
    once: the second one is left out.

    Attributes:
        waiting: jobs that were read, and wait for room in flight, or for their intents. After a stop, these are not
            sent.
        admitting: jobs whose intents are being written.
        waits: what reading waits for.
    """

    options: PipelineOptions
    known: Known
    source: Input
    journal: Journal
    log: EventLog
    in_flight: InFlight
    backlog: Backlog
    committer: Committer
    acknowledgements: Acknowledgements
    waits: Waits
    waiting: list[Arrival] = field(default_factory=list, init=False)
    admitting: list[Job] = field(default_factory=list, init=False)
    _resent: dict[str, bytes] = field(default_factory=dict, init=False)
    _read_again: int = field(default=0, init=False)
    _quiescent_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._quiescent_at = asyncio.get_running_loop().time() + self.options.crash_quiescence

    async def run(self) -> None:
        """Read the whole input, or as much as is read before `in_flight` is closed. Raises what ends the input."""
        async with reading_ahead(self.source) as ahead:
            self.waits.next = Wait.INPUT
            while chunks := await ahead.take():
                self._open(chunks)
                await self._admit_all()
                self.committer.checkpoints_moved()
                self.waits.next = Wait.INPUT

    def _open(self, chunks: Sequence[Chunk]) -> None:
        """Register chunks; let their jobs wait, without what is rejected or in flight from its kept text."""
        for chunk in map(self._without_gap, chunks):
            opened = self.acknowledgements.open(chunk)
            jobs = [it for it in chunk.records if isinstance(it, Job)]
            self.waiting += [(job, opened) for job in jobs if not (self._resent and self._is_resent(job, opened))]
            self._report(chunk)
            if len(jobs) < len(chunk.records):
                for reject in [it for it in chunk.records if isinstance(it, Reject)]:
                    self._set_aside(reject, opened)

    def _without_gap(self, chunk: Chunk) -> Chunk:
        """Let a source of another format that the user gave up count as read to its end."""
        last = chunk.records[-1] if chunk.end is SourceEnd.DAMAGED and chunk.records else None
        is_done = isinstance(last, Reject) and last.is_other_format and self._is_given_up(last)
        return replace(chunk, end=SourceEnd.COMPLETE) if is_done else chunk

    def _report(self, chunk: Chunk) -> None:
        """Report that a chunk was read. A record that was read before, as its kept text, counts once."""
        again, self._read_again = self._read_again, 0
        self.log.emit(InputRead.of(chunk, self.source.read_bytes, self.source.total_bytes, again=again))

    def _is_resent(self, job: Job, chunk: OpenChunk | None) -> bool:
        """Whether a record was sent again from its kept text: then it was read already, and the journal keeps it."""
        if chunk is None or self._resent.get(job.key) != job.digest:
            return False
        del self._resent[job.key]
        self._read_again += 1
        self.acknowledgements.done(chunk)
        return True

    def _set_aside(self, reject: Reject, chunk: OpenChunk | None, *, is_conflict: bool = False) -> None:
        """Report a rejected record, unless the user gave it up. Another one with its `job_id` may be a run since."""
        if not self._is_given_up(reject):
            self._reject_once(reject, chunk)
            return
        is_repaired = not is_conflict and _digest_of(reject) in self.known.repaired_rejects
        self.log.emit(RecordsAlreadyDone(1) if is_repaired else RecordsForgotten(1))
        self.acknowledgements.done(chunk)

    def _reject_once(self, reject: Reject, chunk: OpenChunk | None) -> None:
        """Report a rejected record, unless the same one was reported from the same place."""
        reported = Reported.NO if self.known.reported_rejects is None else self.known.reported_rejects.add(reject)
        if reported is Reported.IN_THIS_EXECUTION:
            self.log.emit(RecordsAlreadyDone(1))
            self.acknowledgements.done(chunk)
            return
        self.log.emit(RecordRejected(reject, is_known=reported is Reported.EARLIER))
        self.acknowledgements.rejected(chunk)

    def _is_given_up(self, reject: Reject) -> bool:
        """Whether the user gave a rejected record up. Damage can't be given up: what is missing is not known."""
        forgotten = self.known.forgotten_rejects
        return bool(forgotten) and not reject.is_damage and _digest_of(reject) in forgotten

    async def _admit_all(self) -> None:
        """Admit what waits as there is room. A repeated key waits for its first job, or for the next round."""
        await self.log.ready()
        self.waits.next = Wait.ROOM
        while self.waiting and await self.in_flight.has_room():
            fitting = self.in_flight.fitting([job for job, _ in self.waiting])
            first, repeated = self._split(self.waiting[:fitting])
            self.waiting = [*first, *repeated, *self.waiting[fitting:]]
            if first:
                await self._admit(first)

    def _split(self, arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
        """Return the first job of each key, and the others. A job whose key is in flight is neither."""
        first: dict[str, Arrival] = {}
        repeated = []
        for arrival in arrivals:
            job = arrival[0]
            if (known := self.in_flight.get(job.key)) is not None:
                self._meet_again(known, *arrival)
            elif job.key in first:
                repeated.append(arrival)
            else:
                first[job.key] = arrival
        return list(first.values()), repeated

    async def _admit(self, arrivals: Sequence[Arrival]) -> None:
        self.admitting = [job for job, _ in arrivals]
        self.waits.next = Wait.JOURNAL
        admissions = await self.journal.admit(self.admitting, stamped=self.options.stamped)
        self.waits.next = Wait.ROOM
        self.admitting = []
        self.waiting = self.waiting[len(arrivals) :]
        self._place_all(admissions, [chunk for _, chunk in arrivals])

    def _meet_again(self, first: Delivery, job: Job, chunk: OpenChunk | None) -> None:
        if job.digest == first.job.digest:
            self.in_flight.follow(first, job, chunk)
        else:
            self._reject(job, chunk)

    def _place_all(self, admissions: Sequence[Admission], chunks: Sequence[OpenChunk | None]) -> None:
        already_done, given_up, duplicates = 0, 0, []
        for admission, chunk in zip(admissions, chunks, strict=True):
            if admission.status not in _ENDED:
                self._place(admission, chunk)
                continue
            self.acknowledgements.done(chunk)
            if admission.status is AdmissionStatus.FORGOTTEN:
                given_up += 1
            elif admission.done_in_this_execution and not (chunk is not None and chunk.is_again):
                duplicates.append((admission.job, admission.run_id))
            else:
                already_done += 1
        if already_done:
            self.log.emit(RecordsAlreadyDone(already_done))
        if given_up:
            self.log.emit(RecordsForgotten(given_up))
        if duplicates:
            self.log.emit(RecordsDuplicate(duplicates))

    def _place(self, admission: Admission, chunk: OpenChunk | None) -> None:
        if admission.status is AdmissionStatus.CONFLICT:
            self._reject(admission.job, chunk)
            return
        delivery = start(admission, chunk)
        self.in_flight.add(delivery)
        if chunk is None and not delivery.is_unsent:
            self._resent[admission.job.key] = admission.job.digest
        if admission.run_id is not None and not admission.job.steps:  # nothing of its plan is left
            self.committer.end(delivery, Outcome.CREATED, Reply())
        elif admission.run_id is None and admission.may_exist and not self.options.idempotent:
            self._look_up_first(delivery)
        elif admission.status is AdmissionStatus.EXPIRED:
            self._leave_unresolved(delivery, EXPIRED)
        else:
            self.backlog.add(delivery)

    def _look_up_first(self, delivery: Delivery) -> None:
        """Queue a job for its look-up. An absence counts only after the requests of a killed execution have ended."""
        if delivery.admission.stamped:
            delivery.history.quiescent_at = self._quiescent_at
            self.backlog.add_retry(delivery, 0.0)
        else:
            self._leave_unresolved(delivery, _NOT_STAMPED)

    def _leave_unresolved(self, delivery: Delivery, reason: str) -> None:
        self.committer.end(delivery, Outcome.UNRESOLVED, Reply(message=reason))

    def _reject(self, job: Job, chunk: OpenChunk | None) -> None:
        self._set_aside(Reject(job.origin, _CONFLICT, job.raw.decode(), job.key), chunk, is_conflict=True)


def _digest_of(reject: Reject) -> bytes:
    return reject_digest(reject.text, reject.origin.source if reject.is_other_format else None)
