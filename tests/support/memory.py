"""In-memory stand-ins for the ports. The contract suites hold them against the real parts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from ingestor.model.errors import JournalError
from ingestor.model.events import Event
from ingestor.model.finding import Finding, Presence
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission, AdmissionStatus, Pace, Timekeeper, Unsettled
from ingestor.model.record import Job, Origin, Reject
from ingestor.model.reply import Reply
from ingestor.policy.expiry import NEVER, forgotten, protects
from ingestor.policy.identity import STAMP, TOKEN_LIFE, retry_token, stamped_body
from ingestor.policy.retry import INVALIDATED_TOKEN
from tests.support.records import SCOPE

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
    token: str
    stamped: bool
    first_sent_at: float
    outcome: Outcome | None = None
    run_id: str | None = None
    attempts: int = 0
    generation: int = 0
    error_code: str | None = None


class Rows(dict[str, Row]):
    """What is on disk: a row for each key, and the last moment that was witnessed."""

    last: JournalTime | None = None


class MemoryJournal:
    """The ports Journal and UnsettledJobs over a dictionary. `fail` makes every later call raise.

    A journal over the `rows` of another is that of the next process.
    """

    def __init__(self, clock: Timekeeper, rows: Rows | None = None) -> None:
        self._clock = clock
        self.rows = Rows() if rows is None else rows
        if self.rows.last is not None:
            clock.resume(self.rows.last)
        self._found = frozenset(self.rows)
        self._turn = asyncio.Lock()
        self.settled: list[Result] = []
        self.fail = False

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        now = self._clock.moment()
        return await self._write(lambda: [self._admit(job, now, stamped=stamped) for job in jobs])

    def _admit(self, job: Job, now: JournalTime, *, stamped: bool) -> Admission:
        self.rows.last = now
        row = self.rows.get(job.key)
        if row is None:
            self.rows[job.key] = Row(job.digest, job.token, stamped, now.time)
            return Admission(job, AdmissionStatus.NEW, stamped, now.time)
        known = Admission(replace(job, token=row.token), AdmissionStatus.AGAIN, row.stamped, row.first_sent_at)
        if row.digest != job.digest:
            return replace(known, status=AdmissionStatus.CONFLICT)
        if row.outcome is Outcome.CREATED:
            return replace(known, status=AdmissionStatus.DONE, run_id=row.run_id)
        if row.outcome is Outcome.FAILED:
            row.outcome = None
            row.first_sent_at = now.time if forgotten(row.first_sent_at, now) else row.first_sent_at
            return replace(known, first_sent_at=row.first_sent_at)
        if not protects(row.first_sent_at, now):
            row.outcome = Outcome.UNRESOLVED
            return replace(known, status=AdmissionStatus.EXPIRED, may_exist=True)
        return replace(known, may_exist=True)

    async def settle(self, results: Sequence[Result]) -> None:
        await self._write(lambda: self._settle(results))

    def _settle(self, results: Sequence[Result]) -> None:
        if any(result.job.key not in self.rows for result in results):
            self.fail = True
            raise JournalError("The journal misses the intents of jobs that were sent.")
        for result in results:
            row = self.rows[result.job.key]
            row.outcome, row.run_id = result.outcome, result.run_id
            row.attempts += result.attempts
            row.error_code = result.error_code
            self.settled.append(result)

    async def count_unsettled(self) -> int:
        return sum(row.outcome in (None, Outcome.UNRESOLVED) for row in self.rows.values())

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> list[Unsettled]:
        wanted = None if pending else Outcome.UNRESOLVED
        rows = [(number, key, row) for number, (key, row) in enumerate(self.rows.items(), 1)]
        found = [it for it in rows if it[0] > after and it[2].outcome is wanted][:limit]
        return [Unsettled(number, _in_doubt(number, key, row)) for number, key, row in found]

    async def conclude(self, results: Sequence[Result]) -> None:
        now = self._clock.moment()
        await self._write(lambda: self._conclude(results, now))

    def _conclude(self, results: Sequence[Result], now: JournalTime) -> None:
        self.rows.last = now
        self._settle(results)
        for result in results:
            if result.outcome is Outcome.FAILED:
                row = self.rows[result.job.key]
                row.generation += 1
                row.token = retry_token(SCOPE, result.job.key, row.generation)
                row.first_sent_at = NEVER

    async def release(self, jobs: Sequence[Job]) -> None:
        await self._write(lambda: self._release(jobs))

    def _release(self, jobs: Sequence[Job]) -> None:
        for key in [job.key for job in jobs if job.key in self.rows]:
            row = self.rows[key]
            if row.outcome is None and row.attempts:
                row.outcome = Outcome.FAILED
            elif row.outcome is None and key not in self._found:
                del self.rows[key]

    async def _write(self, change: Callable[[], T]) -> T:
        """Make a change in its turn, whether or not its caller still waits."""
        return await asyncio.shield(asyncio.ensure_future(self._commit(change)))

    async def _commit(self, change: Callable[[], T]) -> T:
        async with self._turn:
            await asyncio.sleep(0.002)
            if self.fail:
                raise JournalError("The journal can't be written: no space left on device.")
            return change()


def _in_doubt(number: int, key: str, row: Row) -> Admission:
    job = Job(Origin("journal", number), key, b"", row.digest, row.token, None, b"")
    invalidated = row.error_code == INVALIDATED_TOKEN
    return Admission(
        job, AdmissionStatus.AGAIN, row.stamped, row.first_sent_at, may_exist=True, invalidated=invalidated
    )


class MemoryInput:
    """The port Input over a list, in batches of `size`; `open_end` keeps it open and silent after the last."""

    def __init__(self, records: Sequence[Job | Reject], *, size: int = 10, open_end: bool = False) -> None:
        self._records = records
        self._size = size
        self._open_end = open_end
        self._stop = asyncio.Event()
        self.read_bytes = 0
        self.total_bytes = None if open_end else sum(map(_stored, records))

    async def batches(self) -> AsyncIterator[Sequence[Job | Reject]]:
        for start in range(0, len(self._records), self._size):
            if self._stop.is_set():
                return
            batch = self._records[start : start + self._size]
            self.read_bytes += sum(map(_stored, batch))
            yield batch
        if self._open_end:
            await self._stop.wait()

    def stop(self) -> None:
        self._stop.set()


def _stored(record: Job | Reject) -> int:
    """Return the bytes of a record's line, with its end."""
    return len(record.raw if isinstance(record, Job) else record.text.encode()) + 1


@dataclass(frozen=True)
class Lost:
    """The request is carried out, and `reply` comes instead of its answer."""

    reply: Reply


@dataclass(frozen=True)
class Late:
    """`reply` comes at once, and the request is carried out `seconds` later all the same."""

    reply: Reply
    seconds: float


Script = Callable[[Job, int], Reply | Lost | Late | None]
Lookup = Callable[[str, int], Reply | None]


def well_behaved(job: Job, number: int) -> None:
    """Answer every attempt as it should be."""


def found_out(token: str, number: int) -> None:
    """Answer every look-up as it should be."""


def loop_time() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Run:
    """A run of the service, and the request that made it."""

    run_id: str
    key: str
    token: str
    body: bytes
    created_at: float


class MemoryService:
    """The port Target over a list of runs; `script` says which attempts go otherwise, `lookup` which look-ups.

    `script(job, number)` sees the number of the job's attempt from 1, `lookup(token, number)` that of the token's
    look-up; None is an ordinary answer. A request is carried out when it is sent, and answered `latency` seconds later.
    Retry tokens are honoured where `idempotent`, and age by `now`.
    """

    def __init__(
        self,
        script: Script = well_behaved,
        *,
        latency: float = 0.01,
        probe: Reply | None = None,
        now: Callable[[], float] = loop_time,
        lookup: Lookup = found_out,
        idempotent: bool = True,
    ) -> None:
        self._script = script
        self._lookup = lookup
        self._idempotent = idempotent
        self._latency = latency
        self._probe = probe or Reply(status=200)
        self._now = now
        self._by_token: dict[str, Run] = {}
        self._request_ids = count(1)
        self.made: list[Run] = []
        self.attempts: list[tuple[float, Job]] = []
        self.lookups: list[tuple[float, str]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.probes = 0
        self.renewals = 0
        self.renewable = False

    @property
    def runs(self) -> dict[str, str]:
        """The run id of each token."""
        return {run.token: run.run_id for run in self.made}

    @property
    def created(self) -> list[str]:
        """The key of each run's job."""
        return [run.key for run in self.made]

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        self.attempts.append((loop_time(), job))
        number = sum(1 for _, other in self.attempts if other.key == job.key)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self._answer(job, number, stamped=stamped)
            await asyncio.sleep(self._latency)
        finally:
            self.in_flight -= 1
        return self._told(reply)

    def _answer(self, job: Job, number: int, *, stamped: bool) -> Reply:
        answer = self._script(job, number)
        if isinstance(answer, Reply):
            return answer
        body = stamped_body(job.body, job.token) if stamped else job.body
        if isinstance(answer, Late):
            asyncio.get_running_loop().call_later(answer.seconds, self._carry_out, job, body)
            return answer.reply
        reply = self._carry_out(job, body)
        return answer.reply if isinstance(answer, Lost) else reply

    def _carry_out(self, job: Job, body: bytes) -> Reply:
        now = self._now()
        run = self._by_token.get(job.token)
        if run is None or not self._idempotent or now - run.created_at >= TOKEN_LIFE:
            run = Run(f"run-{len(self.made) + 1}", job.key, job.token, body, now)
            self.made.append(run)
            self._by_token[job.token] = run
        elif run.body != body:
            return Reply(status=409, code="InvalidatedRetryToken", message="another request had this token")
        return Reply(status=200, run_id=run.run_id, experiment_id=job.experiment_id)

    def _told(self, reply: Reply) -> Reply:
        request_id = f"{next(self._request_ids):032X}"
        return replace(reply, opc_client_request_id=request_id, latency_ms=self._latency * 1000)

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        self.lookups.append((loop_time(), token))
        told = self._lookup(token, sum(1 for _, other in self.lookups if other == token))
        stamp = {"key": STAMP, "value": token}
        ids = [run.run_id for run in self.made if stamp in json.loads(run.body)["tags"]]
        await asyncio.sleep(self._latency)
        if told is not None:
            return Finding(Presence.UNDECIDED, self._told(told))
        others = f"Other runs carry its token too: {', '.join(ids[1:])}" if ids[1:] else ""
        reply = Reply(status=200, run_id=ids[0] if ids else None, experiment_id=experiment_id, message=others)
        return Finding(Presence.FOUND if ids else Presence.ABSENT, self._told(reply))

    async def probe(self) -> Reply:
        self.probes += 1
        await asyncio.sleep(self._latency)
        return self._told(self._probe)

    async def renew_credentials(self) -> bool:
        self.renewals += 1
        return self.renewable
