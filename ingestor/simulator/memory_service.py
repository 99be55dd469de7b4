"""A service in memory: it implements the port `Service` without a network, for tests of code that sends requests."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

from ingestor.model.ports import Pace
from ingestor.model.reply import Finding, Presence, Reply
from ingestor.model.request import Operation, Request
from ingestor.policy.identity import STAMP, TOKEN_LIFE

_STEPS = frozenset({Operation.LOG_BATCH, Operation.LOG_INPUTS, Operation.UPDATE_RUN, Operation.DELETE_RUN})


@dataclass(frozen=True, slots=True)
class Lost:
    """The request is carried out, and `reply` is returned instead of its answer."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Late:
    """`reply` is returned at once, and the request is carried out `seconds` later."""

    reply: Reply
    seconds: float


Script = Callable[[Request, int], Reply | Lost | Late | None]
"""`script(request, number)` decides what an attempt gets: a reply in place of the service's (nothing is carried out),
`Lost`, `Late`, or None for an ordinary answer. `number` counts the attempts of this operation and token, from 1."""

SearchScript = Callable[[str, int], Reply | None]
"""`search(token, number)` decides what a look-up gets: a reply that leaves it undecided, or None for an ordinary
answer. `number` counts the look-ups of this token, from 1."""


def always_answer(request: Request, number: int) -> None:
    """Give every attempt its ordinary answer."""


def always_find(token: str, number: int) -> None:
    """Give every look-up its ordinary answer."""


def loop_time() -> float:
    """Return the time of the running event loop, in seconds."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the service.

    Attributes:
        run_id: its id.
        token: the retry token of the request that created it; None if it had none.
        body: the body of that request.
        created_at: when, on the service's clock.
        steps: the requests that were carried out on it later, in order, each once.
    """

    run_id: str
    token: str | None
    body: bytes
    created_at: float
    steps: list[Request] = field(default_factory=list)

    @property
    def is_deleted(self) -> bool:
        """Whether one of the steps deleted it."""
        return any(step.operation is Operation.DELETE_RUN for step in self.steps)


class MemoryService:
    """A service over a list of runs. Use it where a `Service` is expected; it needs no context.

    A request is carried out when it is sent, and answered `latency` seconds later.

    Args:
        script: which attempts go wrong, and how.
        search: which look-ups go wrong, and how.
        latency: seconds.
        probe: the reply to every probe.
        now: the clock for the age of retry tokens, in seconds.
        idempotent: whether retry tokens are honoured.
        experiments: the list of experiments; None: it can't be read.

    Attributes:
        runs: all runs, in the order of their creation.
        attempts: all attempts: when each arrived, on the event loop's clock, and its request.
        lookups: all look-ups: when each arrived, and its token.
        lists: how often the experiments were listed.
        in_flight: attempts that have no reply yet.
        most_in_flight: the highest value of `in_flight`.
        probes: how many arrived.
        renewals: how often credentials were renewed.
        renewable: what a renewal returns.
    """

    def __init__(
        self,
        script: Script = always_answer,
        *,
        search: SearchScript = always_find,
        latency: float = 0.01,
        probe: Reply | None = None,
        now: Callable[[], float] = loop_time,
        idempotent: bool = True,
        experiments: Collection[str] | None = None,
    ) -> None:
        self._script = script
        self._experiments = experiments
        self._search = search
        self._latency = latency
        self._probe = probe or Reply(status=200)
        self._now = now
        self._idempotent = idempotent
        self._by_id: dict[str, Run] = {}
        self._answered: dict[str, tuple[float, Request, Reply]] = {}
        self._numbers = Counter[tuple[Operation, str | None]]()
        self._lookup_numbers = Counter[str]()
        self._request_ids = count(1)
        self.runs: list[Run] = []
        self.attempts: list[tuple[float, Request]] = []
        self.lookups: list[tuple[float, str]] = []
        self.lists = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.probes = 0
        self.renewals = 0
        self.renewable = False

    @property
    def run_ids(self) -> dict[str | None, str]:
        """The id of the last run of each retry token."""
        return {run.token: run.run_id for run in self.runs}

    async def send(self, request: Request) -> Reply:
        """Send one attempt (see `Service.send`)."""
        self.attempts.append((loop_time(), request))
        self._numbers[request.operation, request.token] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self._answer(request)
            await asyncio.sleep(self._latency)
        finally:
            self.in_flight -= 1
        return self._sent(reply)

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:  # noqa: ARG002 - one request only
        """Search for the run that carries a token (see `Service.find`)."""
        self.lookups.append((loop_time(), token))
        self._lookup_numbers[token] += 1
        scripted = self._search(token, self._lookup_numbers[token])
        stamp = {"key": STAMP, "value": token}
        found = [run.run_id for run in self.runs if stamp in json.loads(run.body).get("tags", ())]
        await asyncio.sleep(self._latency)
        if scripted is not None:
            return Finding(Presence.UNDECIDED, self._sent(scripted))
        if not found:
            return Finding(Presence.ABSENT, self._sent(Reply(status=200)))
        others = f"Other runs carry its token too: {', '.join(found[1:])}" if found[1:] else ""
        reply = Reply(status=200, run_id=found[0], experiment_id=experiment_id, message=others)
        return Finding(Presence.FOUND, self._sent(reply))

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:  # noqa: ARG002 - one request only
        """List the experiments (see `Service.active_experiments`). It fails where a probe does."""
        self.lists += 1
        await asyncio.sleep(self._latency)
        return self._experiments if self._probe.status == 200 else None

    async def probe(self) -> Reply:
        """Send a harmless request (see `Service.probe`)."""
        self.probes += 1
        await asyncio.sleep(self._latency)
        return self._sent(self._probe)

    async def renew_credentials(self) -> bool:
        """Fetch fresh credentials (see `Service.renew_credentials`)."""
        self.renewals += 1
        return self.renewable

    def _answer(self, request: Request) -> Reply:
        scripted = self._script(request, self._numbers[request.operation, request.token])
        if isinstance(scripted, Reply):
            return scripted
        if isinstance(scripted, Late):
            asyncio.get_running_loop().call_later(scripted.seconds, self._carry_out, request)
            return scripted.reply
        reply = self._carry_out(request)
        return scripted.reply if isinstance(scripted, Lost) else reply

    def _carry_out(self, request: Request) -> Reply:
        """Carry out a request, or return the answer that the first request with its token got."""
        now = self._now()
        if request.token is None or not self._idempotent:
            return self._do(request, now)
        since, first, reply = self._answered.get(request.token, (-inf, request, Reply()))
        if now - since >= TOKEN_LIFE:
            reply = self._do(request, now)
            if reply.status == 200:
                self._answered[request.token] = now, request, reply
        elif (first.operation, first.body) != (request.operation, request.body):
            return Reply(status=409, code="InvalidatedRetryToken", message="The token was used with another request.")
        return reply

    def _do(self, request: Request, now: float) -> Reply:
        document = json.loads(request.body)
        if request.operation is Operation.CREATE_RUN:
            run = Run(f"run-{len(self.runs) + 1}", request.token, request.body, now)
            self.runs.append(run)
            self._by_id[run.run_id] = run
            return Reply(status=200, run_id=run.run_id, experiment_id=document.get("experiment_id"))
        known = self._by_id.get(document.get("run_id"))
        if request.operation not in _STEPS or known is None:
            return Reply(status=404, code="NotAuthorizedOrNotFound", message="There is no such run or operation.")
        if known.is_deleted and request.operation is not Operation.DELETE_RUN:
            return Reply(status=400, code="InvalidParameter", message="The run is deleted.")
        known.steps.append(request)
        return Reply(status=200)

    def _sent(self, reply: Reply) -> Reply:
        request_id = f"{next(self._request_ids):032X}"
        return replace(reply, opc_client_request_id=request_id, latency_ms=self._latency * 1000)
