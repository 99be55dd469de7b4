"""One attempt for a delivery, and what its reply leads to."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from ingestor.flow.backlog import Backlog
from ingestor.flow.breaker import Breaker
from ingestor.flow.delivery import Delivery, end
from ingestor.flow.pacer import Pacer
from ingestor.flow.settlement import Settlement
from ingestor.model.events import AttemptEnded, RunRetried
from ingestor.model.outcome import Outcome
from ingestor.model.ports import Clock, EventSink, Target
from ingestor.model.reply import Reply
from ingestor.policy.expiry import protects
from ingestor.policy.halt import Halt, HaltPolicy, Hold, Proceed
from ingestor.policy.retry import RetryBudget, Ruling, Settle, Verdict, classify, decide

_HOLD_SECONDS = 0.25  # between attempts of a job that is held while the address is in doubt
_TOO_OLD = "may have been created, and its retry token no longer protects it: it is not sent again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service as the pipeline sees it: where attempts go, what paces them, and what they may cost."""

    target: Target
    pacer: Pacer
    budget: RetryBudget
    idempotent: bool


class Attempts:
    """Makes attempts; each ends its delivery, or queues it again."""

    def __init__(
        self,
        service: Service,
        backlog: Backlog,
        breaker: Breaker,
        settlement: Settlement,
        sink: EventSink,
        clock: Clock,
        on_halt: Callable[[Halt], None],
    ) -> None:
        self._service = service
        self._backlog = backlog
        self._breaker = breaker
        self._settlement = settlement
        self._sink = sink
        self._clock = clock
        self._on_halt = on_halt
        self._halt_policy = HaltPolicy()
        self._now = asyncio.get_running_loop().time
        self._uniform = random.SystemRandom().uniform

    def patience(self) -> int | None:
        """Return the most attempts that may be in flight; None for no limit."""
        return self._halt_policy.patience

    async def make(self, delivery: Delivery) -> None:
        """Send one attempt, unless the job's token no longer protects it."""
        history = delivery.history
        if history.in_doubt and not protects(delivery.admission.first_sent_at, self._clock.now()):
            self._settle(delivery, Outcome.UNRESOLVED, Reply(message=_TOO_OLD))
            return
        sent_at = self._now()
        if history.attempts == 0:
            history.first_at = self._breaker.uptime
        history.attempts += 1
        with history.doubt_while_under_way():
            reply = await self._service.target.create(delivery.job, stamped=delivery.admission.stamped)
        await self._follow_up(delivery, reply, sent_at)

    async def _follow_up(self, delivery: Delivery, reply: Reply, sent_at: float) -> None:
        ruling = classify(reply)
        self._tell_pacer(ruling, reply, sent_at)
        match self._halt_policy.judge(delivery.job, ruling, reply, sent_at=sent_at):
            case Proceed():
                self._breaker.observe(delivery.job, reply)
                self._decide(delivery, ruling, reply)
            case Hold(probe):
                self._retry(delivery, ruling, reply, _HOLD_SECONDS)
                await self._look_into(ruling, probe=probe)
            case Halt() as halt:
                self._retry(delivery, ruling, reply, _HOLD_SECONDS)
                self._on_halt(halt)

    def _tell_pacer(self, ruling: Ruling, reply: Reply, sent_at: float) -> None:
        throttled = ruling.verdict is Verdict.THROTTLED
        self._sink.emit(AttemptEnded(reply=reply, throttled=throttled))
        if reply.status is not None:
            wait = None
            if reply.retry_after is not None and reply.status in (429, 503):
                wait = min(reply.retry_after, self._service.budget.longest_wait)
            self._service.pacer.observe(throttled=throttled, sent_at=sent_at, retry_after=wait)

    def _decide(self, delivery: Delivery, ruling: Ruling, reply: Reply) -> None:
        decision = decide(
            delivery.history,
            ruling,
            reply,
            self._service.budget,
            now=self._breaker.uptime,
            idempotent=self._service.idempotent,
            uniform=self._uniform,
        )
        if isinstance(decision, Settle):
            self._settle(delivery, decision.outcome, reply)
        else:
            self._retry(delivery, ruling, reply, decision.delay)

    def _settle(self, delivery: Delivery, outcome: Outcome, reply: Reply) -> None:
        self._settlement.put(delivery, end(delivery, outcome, reply))

    def _retry(self, delivery: Delivery, ruling: Ruling, reply: Reply, delay: float) -> None:
        self._backlog.add_retry(delivery, delay)
        self._sink.emit(
            RunRetried(
                job=delivery.job,
                reply=reply,
                attempts=delivery.history.attempts,
                delay=delay,
                reason=ruling.verdict,
            )
        )

    async def _look_into(self, ruling: Ruling, *, probe: bool) -> None:
        if ruling.verdict is Verdict.UNAUTHENTICATED and await self._service.target.renew_credentials():
            self._halt_policy.renewed(self._now())
        if probe:
            await self._service.pacer.acquire()
            self._halt_policy.judge_probe(await self._service.target.probe())
