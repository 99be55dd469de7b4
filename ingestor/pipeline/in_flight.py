"""Jobs in flight: admitted, and not ended. Their number and size bound the memory; some wait for their next attempt."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.record import Job, Outcome, Result
from ingestor.model.reply import Reply
from ingestor.pipeline.acknowledgements import OpenChunk
from ingestor.policy.retry import INVALIDATED_TOKEN, AttemptHistory

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of records in flight. The record that exceeds this limit is the last one that is admitted."""

_PORTIONS = 4  # free places are filled in this many portions; each portion costs a commit of the journal


@dataclass(slots=True, eq=False)
class Delivery:
    """A job in flight.

    Attributes:
        admission: the journal's decision on the job.
        history: what its attempts have shown.
        chunk: where its record was read; None if that needs no checkpoint.
        run_id: the id of its run, once that is known.
        next_step: the index of its next step, if the run exists.
        experiment_id: the experiment of its run, if create's answer named it.
        has_unknown_steps: whether its plan has steps that are not known here: the journal does not store them.
        is_queued_again: whether its next request is one that was scheduled after another one.
        misses_experiment: whether its experiment does not exist, as the service says.
        waited: how long its last attempt lasted that was given up, seconds.
        followers: records with the same key and body that were read meanwhile, each with its chunk. They end as
            duplicates when this one ends.
    """

    admission: Admission
    history: AttemptHistory
    chunk: OpenChunk | None = None
    run_id: str | None = None
    next_step: int = 0
    experiment_id: str | None = None
    has_unknown_steps: bool = False
    is_queued_again: bool = False
    misses_experiment: bool = False
    waited: float = 0.0
    followers: list[tuple[Job, OpenChunk | None]] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.admission.job

    @property
    def failed_before(self) -> bool:
        """Whether an earlier execution has failed the job: an intent without a result may have a run."""
        return self.admission.status is AdmissionStatus.RESEND and not self.admission.may_exist

    @property
    def is_unsent(self) -> bool:
        """Whether it is certain that no attempt created its run; then its intent may be released."""
        return self.run_id is None and not self.admission.may_exist and not self.history.may_exist


def start(admission: Admission, chunk: OpenChunk | None = None) -> Delivery:
    """Begin to work on an admitted job."""
    may_exist = admission.may_exist and admission.run_id is None
    return Delivery(admission, AttemptHistory(may_exist=may_exist), chunk, admission.run_id)


def end(delivery: Delivery, outcome: Outcome, reply: Reply) -> Result:
    """Return the result of a delivery: its outcome, and the last reply."""
    created = outcome is Outcome.CREATED
    invalidated = outcome is Outcome.UNRESOLVED and delivery.admission.invalidated
    job, attempts = delivery.admission.job, delivery.history.attempts
    if not job.experiment_id:
        job = replace(job, experiment_id=reply.experiment_id or delivery.experiment_id)
    return Result(
        job=job,
        outcome=outcome,
        attempts=attempts,
        run_id=delivery.run_id,
        http_status=reply.status,
        error_code=INVALIDATED_TOKEN if invalidated else None if created else reply.code or reply.fault,
        error_message=reply.message or None if created else reply.message,
        opc_request_id=reply.opc_request_id,
        opc_client_request_id=reply.opc_client_request_id or None,
        latency_ms=reply.latency_ms if attempts else None,
        misses_experiment=delivery.misses_experiment,
    )


class InFlight:
    """Jobs by key: at most `look_ahead` that wait for their first attempt, `most` in all, and about MAX_BYTES.

    Jobs that wait for an answer or for another attempt thus leave room for new ones. `most` is `look_ahead` where it is
    not given. Followers count, too.
    """

    def __init__(self, look_ahead: int, most: int | None = None) -> None:
        self._look_ahead = look_ahead
        self._most = look_ahead if most is None else most
        self._portion = max(1, look_ahead // _PORTIONS)
        self._deliveries: dict[str, Delivery] = {}
        self._size = 0
        self._bytes = 0
        self._changed = asyncio.Event()
        self.is_closed = False
        """Whether no more jobs are admitted."""
        self.on_empty: Callable[[], None] = _do_nothing
        """Called when the last job is removed."""
        self.unsent: Callable[[], int] = self.__len__
        """Returns how many of them wait for their first attempt."""

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Delivery]:
        return iter(list(self._deliveries.values()))

    @property
    def oldest(self) -> Delivery | None:
        """The job that was admitted first; None without one."""
        return next(iter(self._deliveries.values()), None)

    @property
    def room(self) -> int:
        """How many more jobs fit by number; 0 if it is full."""
        if self._bytes >= MAX_BYTES:
            return 0
        return max(0, min(self._look_ahead - self.unsent(), self._most - self._size))

    @property
    def is_open(self) -> bool:
        """Whether a whole portion fits, so that many jobs are admitted together."""
        return self.room >= self._portion

    def fitting(self, jobs: Sequence[Job]) -> int:
        """Return how many of the first of `jobs` fit, by number and size; at least one if there is room."""
        fitting, size = 0, self._bytes
        for job in jobs[: self.room]:
            if size >= MAX_BYTES:
                break
            fitting += 1
            size += _size(job)
        return fitting

    def get(self, key: str) -> Delivery | None:
        """Return the delivery with this key."""
        return self._deliveries.get(key)

    def add(self, delivery: Delivery) -> None:
        """Add an admitted job."""
        job = delivery.admission.job
        self._deliveries[job.key] = delivery
        self._size += 1
        self._bytes += _size(job)

    def follow(self, delivery: Delivery, job: Job, chunk: OpenChunk | None) -> None:
        """Let a record wait for the end of the delivery with the same key and body."""
        delivery.followers.append((job, chunk))
        self._size += 1
        self._bytes += _size(job)

    def remove(self, delivery: Delivery) -> None:
        """Remove a delivery that ended, and its followers."""
        job = delivery.admission.job
        del self._deliveries[job.key]
        self._size -= 1
        self._bytes -= _size(job)
        for follower, _ in delivery.followers:
            self._size -= 1
            self._bytes -= _size(follower)
        if not self._size:
            self.on_empty()
        if not self._size or self.is_open:
            self._changed.set()

    async def change(self) -> None:
        """Wait until it is open or empty by a removal since the last call, or it was closed."""
        await self._changed.wait()
        self._changed.clear()

    async def has_room(self) -> bool:
        """Wait until it is open; False once it was closed."""
        while not (self.is_open or self.is_closed):
            await self.change()
        return not self.is_closed

    def close(self) -> None:
        """Admit no more jobs."""
        self.is_closed = True
        self._changed.set()


class Backlog:
    """Deliveries that wait for their next attempt: due retries first, then steps of begun runs, then new jobs.

    One task at a time may wait for it.
    """

    def __init__(self) -> None:
        self._new: deque[Delivery] = deque()
        self._begun: deque[Delivery] = deque()
        self._retries: list[tuple[float, int, Delivery]] = []
        self._order = count()
        self._changed = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    def unsent(self) -> int:
        """Return how many jobs wait for their first attempt."""
        return len(self._new)

    def add(self, delivery: Delivery) -> None:
        """Add a job whose first attempt is due; if its run exists, it goes before the jobs without one."""
        (self._new if delivery.run_id is None else self._begun).append(delivery)
        self._changed.set()

    def add_retry(self, delivery: Delivery, delay: float) -> None:
        """Add a delivery whose next attempt is due in `delay` seconds."""
        heapq.heappush(self._retries, (self._now() + delay, next(self._order), delivery))
        self._changed.set()

    async def ready(self) -> None:
        """Wait until an attempt is due."""
        while not (self._new or self._begun) and (wait := self._until_due()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def take(self) -> Delivery:
        """Remove and return what goes next. `ready` has returned, and nothing was taken since."""
        if self._retries and self._until_due() <= 0:
            return heapq.heappop(self._retries)[2]
        return self._begun.popleft() if self._begun else self._new.popleft()

    def _until_due(self) -> float:
        return self._retries[0][0] - self._now() if self._retries else inf


def _size(job: Job) -> int:
    return len(job.raw) + len(job.body)


def _do_nothing() -> None:
    """Be the `on_empty` of jobs in flight that nobody watches."""
