"""A service behind a bad network: a request is carried out whether or not its sender still waits."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from ingestor.model.ports import Pace
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Finding, Presence, Reply
from ingestor.model.request import Operation, Request
from ingestor.policy.identity import TOKEN_LIFE, stamped_body
from tests.simulation.schedule import Mishap, Schedule

NEVER_ARRIVES = frozenset({Mishap.REFUSED, Mishap.RESET_BEFORE})
INSTEAD: Mapping[Mishap, Reply] = {
    Mishap.REFUSED: Reply(fault=Fault.REFUSED, message="connection refused"),
    Mishap.RESET_BEFORE: Reply(fault=Fault.RESET, message="connection reset"),
    Mishap.RESET_AFTER: Reply(fault=Fault.RESET, message="connection reset"),
    Mishap.STRAGGLES: Reply(fault=Fault.RESET, message="connection reset"),
    Mishap.GARBLED: Reply(fault=Fault.GARBLED, message="broke off"),
    Mishap.PROXY_PAGE: Reply(status=200, message="<html>"),
    Mishap.ERROR_BEFORE: Reply(status=500, code="InternalServerError"),
    Mishap.ERROR_AFTER: Reply(status=500, code="InternalServerError"),
    Mishap.UNAVAILABLE: Reply(status=503, code="ServiceUnavailable", retry_after=7.0),
    Mishap.LOCKED: Reply(status=409, code="IncorrectState"),
    Mishap.QUOTA: Reply(status=400, code="LimitExceeded"),
    Mishap.FORBIDDEN: Reply(status=403, code="NotAllowed"),
    Mishap.NO_SUCH_PATH: Reply(status=404, message="<html>"),
    Mishap.INVALIDATED: Reply(status=409, code="InvalidatedRetryToken"),
}
"""What arrives instead of the answer."""
CARRIED_OUT = frozenset(
    {Mishap.RESET_AFTER, Mishap.STRAGGLES, Mishap.GARBLED, Mishap.PROXY_PAGE, Mishap.ERROR_AFTER, Mishap.HANGS}
)
_ANSWERED = Reply(status=200)
LEAVES_DOUBT = CARRIED_OUT | {Mishap.RESET_BEFORE, Mishap.ERROR_BEFORE, Mishap.UNAVAILABLE, Mishap.INVALIDATED}


@dataclass(frozen=True)
class Run:
    """A run of the service; `created_at` is on its own clock, which nobody steps."""

    run_id: str
    key: str
    token: str
    stamped: bool
    created_at: float
    steps: list[Operation] = field(default_factory=list)


class Service:
    """What all processes send to. Attributes are what really happened there.

    Attributes:
        runs: all that were created.
        bodies: with which bodies each key was created or tried, without stamps.
        may_exist: keys of which some create may have been carried out, and its sender does not know.
        refused_steps: keys of which a step was refused.
        under_way: how many requests of each key and token have not arrived yet.
    """

    def __init__(self, schedule: Schedule, random: Random) -> None:
        self.runs: list[Run] = []
        self.bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        self.may_exist: set[str] = set()
        self.refused_steps: set[str] = set()
        self.under_way = Counter[tuple[str, str]]()
        self.outage: tuple[float, float, Mishap] | None = None
        self.valid_credentials = 0
        self.calm = False
        self._schedule = schedule
        self._random = random
        self._now = asyncio.get_running_loop().time
        self._by_token: dict[str, Run] = {}
        self._withdrawn: set[str] = set()
        self._job_of: dict[bytes, tuple[Job, bool]] = {}
        self._jobs = [record for record in schedule.records if isinstance(record, Job)]
        self._level, self._filled_at = 1.0, 0.0

    def mishap(self) -> Mishap | None:
        """Draw what goes wrong with a request that is about to leave."""
        if self.outage is not None and self.outage[0] <= self._now() < self.outage[1]:
            return self.outage[2]
        point = self._random.random()
        if not self.calm:
            for mishap, share in self._schedule.mishaps.items():
                if point < share:
                    return mishap
                point -= share
        return None

    def delay(self) -> float:
        """Draw how long a request or an answer is on its way."""
        return self._random.uniform(0.1, 1.0) * (0.05 if self.calm else self._schedule.latency)

    def refusal(self, credentials: int) -> Reply | None:
        """Return what every request is answered that is not accepted."""
        if credentials < self.valid_credentials:
            return Reply(status=401, code="NotAuthenticated")
        if self._schedule.limit is None or self._take_turn(self._schedule.limit):
            return None
        return Reply(status=429, code="TooManyRequests", retry_after=2.0 if self._schedule.retry_after else None)

    def job_of(self, request: Request) -> tuple[Job, bool]:
        """Return the job that a create is for, and whether it carries the stamp."""
        if request.body not in self._job_of:
            plain = [(job, False) for job in self._jobs if request.body == job.body]
            token = request.token or ""
            stamped = [(job, True) for job in self._jobs if request.body == stamped_body(job.body, token)]
            self._job_of[request.body] = (plain + stamped)[0]
        return self._job_of[request.body]

    def run_of(self, request: Request) -> Run:
        """Return the run that a step is for."""
        run_id = json.loads(request.body)["run_id"]
        return next(run for run in self.runs if run.run_id == run_id)

    def key_of(self, request: Request) -> str:
        """Return the key of the job that a request is for."""
        is_create = request.operation is Operation.CREATE_RUN
        return self.job_of(request)[0].key if is_create else self.run_of(request).key

    def carry_out(self, request: Request, mishap: Mishap | None) -> Reply:
        """Carry a request out, or do not."""
        if request.operation is Operation.CREATE_RUN:
            return self._create(request, mishap)
        run = self.run_of(request)
        if mishap is not None and mishap not in CARRIED_OUT:
            reply = INSTEAD[mishap]
            if reply.status is not None and reply.status // 100 == 4:
                self.refused_steps.add(run.key)
            return reply
        run.steps.append(request.operation)
        return Reply(status=200)

    def _create(self, request: Request, mishap: Mishap | None) -> Reply:
        (job, stamped), token = self.job_of(request), request.token or ""
        if job.key in self._schedule.refused:
            return Reply(status=400, code="InvalidParameter", message="this record is odd")
        if job.key in self._schedule.poison:
            self.may_exist.add(job.key)
            return Reply(status=500, code="InternalServerError")
        if mishap is Mishap.INVALIDATED:
            self._withdrawn.add(token)
        if self._has_withdrawn(token):
            return INSTEAD[Mishap.INVALIDATED]
        if mishap is not None and mishap not in CARRIED_OUT:
            return INSTEAD[mishap]
        run = self._by_token.get(token) if self._schedule.idempotent else None
        if run is None or self._now() - run.created_at >= TOKEN_LIFE:
            run = Run(f"run-{len(self.runs) + 1}", job.key, token, stamped, self._now())
            self.runs.append(run)
            self._by_token[token] = run
        return Reply(status=200, run_id=run.run_id)

    def may_have(self, key: str) -> bool:
        """Whether a key has a run, or may still get one from what was sent."""
        return any(run.key == key for run in self.runs) or any(
            count and sent == key and not self._has_withdrawn(token) for (sent, token), count in self.under_way.items()
        )

    def _has_withdrawn(self, token: str) -> bool:
        """Whether nothing is created under a token any more."""
        return self._schedule.idempotent and token in self._withdrawn

    def find(self, token: str) -> Finding:
        """Return which run carries a token."""
        found = next((run for run in self.runs if run.token == token and run.stamped), None)
        if found is None:
            return Finding(Presence.ABSENT, Reply(status=200))
        return Finding(Presence.FOUND, Reply(status=200, run_id=found.run_id))

    def _take_turn(self, limit: float) -> bool:
        now = self._now()
        self._level = min(max(1.0, limit / 2), self._level + (now - self._filled_at) * limit)
        self._filled_at = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Connection:
    """The port Service of one process."""

    def __init__(self, service: Service, schedule: Schedule) -> None:
        self._service = service
        self._schedule = schedule
        self._credentials = service.valid_credentials
        self.in_flight = 0
        self.most_in_flight = 0
        self.sent = 0

    async def send(self, request: Request) -> Reply:
        if request.operation is Operation.CREATE_RUN:
            job, _ = self._service.job_of(request)
            self._service.bodies[job.key].add(job.body)
        self.sent += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        began = asyncio.get_running_loop().time()
        try:
            reply = await self._attempt(request)
        except asyncio.CancelledError:
            self._leave_doubt(request)
            raise
        finally:
            self.in_flight -= 1
        return replace(reply, latency_ms=1000 * (asyncio.get_running_loop().time() - began))

    def _leave_doubt(self, request: Request) -> None:
        if request.operation is Operation.CREATE_RUN:
            self._service.may_exist.add(self._service.key_of(request))

    async def _attempt(self, request: Request) -> Reply:
        service, mishap = self._service, self._service.mishap()
        if mishap in LEAVES_DOUBT:
            self._leave_doubt(request)
        if mishap is not None and mishap in NEVER_ARRIVES:
            await asyncio.sleep(service.delay())
            return INSTEAD[mishap]
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        late = self._schedule.straggle if mishap is Mishap.STRAGGLES else 0.0
        if request.operation is Operation.CREATE_RUN:
            service.under_way[service.key_of(request), request.token or ""] += 1
        loop.call_later(service.delay() + late, self._arrive, request, mishap, answer)
        if mishap is Mishap.STRAGGLES:
            await asyncio.sleep(service.delay())
            return INSTEAD[mishap]
        try:
            async with asyncio.timeout(self._schedule.timeout):
                return await answer
        except TimeoutError:
            self._leave_doubt(request)
            return Reply(fault=Fault.TIMEOUT, message="no answer")

    def _arrive(self, request: Request, mishap: Mishap | None, answer: "asyncio.Future[Reply]") -> None:
        """Carry the request out, whether or not the sender still waits, and let the answer travel back."""
        if request.operation is Operation.CREATE_RUN:
            self._service.under_way[self._service.key_of(request), request.token or ""] -= 1
        reply = self._service.refusal(self._credentials)
        if reply is None:
            done = self._service.carry_out(request, mishap)
            if mishap is Mishap.HANGS:
                return
            reply = INSTEAD.get(mishap, done) if mishap is not None and done.status == 200 else done
        asyncio.get_running_loop().call_later(self._service.delay(), _deliver, answer, reply)

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        reply = await self._search()
        return Finding(Presence.UNDECIDED, reply) if reply != _ANSWERED else self._service.find(token)

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:
        reply = await self._search()
        return ("1",) if reply == _ANSWERED else None

    async def probe(self) -> Reply:
        return await self._search()

    async def _search(self) -> Reply:
        await asyncio.sleep(self._service.delay())
        mishap = self._service.mishap()
        if mishap is Mishap.HANGS:
            await asyncio.sleep(self._schedule.timeout)
            return Reply(fault=Fault.TIMEOUT, message="no answer")
        if mishap is not None:
            return INSTEAD[mishap]
        return self._service.refusal(self._credentials) or _ANSWERED

    async def renew_credentials(self) -> bool:
        await asyncio.sleep(0.1)
        if self._schedule.renewable:
            self._credentials = self._service.valid_credentials
        return self._schedule.renewable


def _deliver(answer: "asyncio.Future[Reply]", reply: Reply) -> None:
    if not answer.done():
        answer.set_result(reply)
