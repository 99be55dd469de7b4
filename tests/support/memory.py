"""In-memory stand-ins for the ports. The contract suites hold them against the real parts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ingestor.model.errors import JournalError
from ingestor.model.events import Event
from ingestor.model.job import Job, Reject
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, Clock, Standing
from ingestor.model.reply import Reply
from ingestor.policy.expiry import forgotten, protects

T = TypeVar("T")


@dataclass
class RecordingSink:
    """Keeps what happened, in order."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    async def ready(self) -> None:
        """Memory never falls behind."""

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class Row:
    """What the journal knows of a key; `outcome` is None while it is pending."""

    digest: bytes
    stamped: bool
    first_sent_at: float
    outcome: Outcome | None = None
    run_id: str | None = None


class MemoryJournal:
    """The port Journal over a dictionary. `fail` makes every later call raise."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows: dict[str, Row] = {}
        self.settled: list[Result] = []
        self.fail = False

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        await self._commit()
        return [self._admit(job, stamped=stamped) for job in jobs]

    def _admit(self, job: Job, *, stamped: bool) -> Admission:
        now = self._clock.now()
        row = self.rows.get(job.key)
        if row is None:
            self.rows[job.key] = Row(job.digest, stamped, now)
            return Admission(job, Standing.NEW, stamped, now)
        known = Admission(job, Standing.AGAIN, row.stamped, row.first_sent_at)
        if row.digest != job.digest:
            return replace(known, standing=Standing.CONFLICT)
        if row.outcome is Outcome.CREATED:
            return replace(known, standing=Standing.DONE, run_id=row.run_id)
        if row.outcome is Outcome.FAILED:
            row.outcome = None
            row.first_sent_at = now if forgotten(row.first_sent_at, now) else row.first_sent_at
            return replace(known, first_sent_at=row.first_sent_at)
        if not protects(row.first_sent_at, now):
            row.outcome = Outcome.UNRESOLVED
            return replace(known, standing=Standing.EXPIRED, in_doubt=True)
        return replace(known, in_doubt=True)

    async def settle(self, results: Sequence[Result]) -> None:
        await self._commit()
        for result in results:
            row = self.rows[result.job.key]
            row.outcome, row.run_id = result.outcome, result.run_id
            self.settled.append(result)

    async def release(self, jobs: Sequence[Job]) -> None:
        await self._commit()
        for job in jobs:
            if self.rows[job.key].outcome is None:
                del self.rows[job.key]

    async def _commit(self) -> None:
        await asyncio.sleep(0.002)
        if self.fail:
            raise JournalError("The journal can't be written: no space left on device.")


class MemoryInput:
    """The port Input over a list, in batches of `size`; `open_end` keeps it open and silent after the last."""

    total_bytes = None

    def __init__(self, records: Sequence[Job | Reject], *, size: int = 10, open_end: bool = False) -> None:
        self._records = records
        self._size = size
        self._open_end = open_end
        self._stop = asyncio.Event()
        self.read_bytes = 0

    async def batches(self) -> AsyncIterator[Sequence[Job | Reject]]:
        for start in range(0, len(self._records), self._size):
            if self._stop.is_set():
                return
            self.read_bytes += self._size
            yield self._records[start : start + self._size]
        if self._open_end:
            await self._stop.wait()

    def stop(self) -> None:
        self._stop.set()


@dataclass(frozen=True)
class Lost:
    """The request is carried out, and `reply` comes instead of its answer."""

    reply: Reply


Script = Callable[[Job, int], Reply | Lost | None]


def well_behaved(job: Job, number: int) -> None:
    """Answer every attempt as it should be."""


class MemoryTarget:
    """The port Target over a dictionary: honours retry tokens; `script` says which attempts go otherwise.

    `script(job, number)` sees the number of the job's attempt from 1; None is an ordinary answer.
    """

    def __init__(self, script: Script = well_behaved, *, latency: float = 0.01, probe: Reply | None = None) -> None:
        self._script = script
        self._latency = latency
        self._probe = probe or Reply(status=200)
        self.runs: dict[str, str] = {}
        self.created: list[str] = []
        self.attempts: list[tuple[float, Job]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.probes = 0
        self.renewals = 0
        self.renewable = False

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        self.attempts.append((asyncio.get_running_loop().time(), job))
        number = sum(1 for _, other in self.attempts if other.key == job.key)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency)
        finally:
            self.in_flight -= 1
        answer = self._script(job, number)
        if isinstance(answer, Reply):
            return answer
        run_id = self._create(job)
        if isinstance(answer, Lost):
            return answer.reply
        return Reply(status=200, run_id=run_id, experiment_id=job.experiment_id, latency_ms=10.0)

    def _create(self, job: Job) -> str:
        if job.token not in self.runs:
            self.runs[job.token] = f"run-{len(self.runs) + 1}"
            self.created.append(job.key)
        return self.runs[job.token]

    async def probe(self) -> Reply:
        self.probes += 1
        await asyncio.sleep(self._latency)
        return self._probe

    async def renew_credentials(self) -> bool:
        self.renewals += 1
        return self.renewable
