"""What every reply teaches beside its job's fate: pacer, circuit and halt policy hear of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ingestor.model.events import AttemptEnded, RunRetried
from ingestor.model.ports import EventSink
from ingestor.model.reply import Reply
from ingestor.pipeline.backlog import Backlog
from ingestor.pipeline.breaker import Breaker
from ingestor.pipeline.delivery import Delivery
from ingestor.pipeline.service import Service
from ingestor.policy.halt import FIRST_RESPONSE_TIMEOUT, PROBE_TIMEOUT, Halt, HaltPolicy, Hold, Proceed
from ingestor.policy.retry import Classification, ReplyKind

_HOLD_SECONDS = 0.5  # between attempts of a job that is held while the address is in doubt


class HealthMonitor:
    """Hears replies, and keeps jobs back whose replies may concern every record."""

    def __init__(
        self,
        service: Service,
        backlog: Backlog,
        breaker: Breaker,
        sink: EventSink,
        on_halt: Callable[[Halt], None],
        *,
        follow: bool,
    ) -> None:
        self._service = service
        self._backlog = backlog
        self._breaker = breaker
        self._sink = sink
        self._on_halt = on_halt
        self._halt_policy = HaltPolicy(follow=follow)
        self._begun = asyncio.Event()
        self.now = asyncio.get_running_loop().time

    @property
    def uptime(self) -> float:
        """The loop's time without the time that the service was down: what a job's budget is measured in."""
        return self._breaker.uptime

    @property
    def up_since(self) -> float:
        """When the service came back from being down, on the loop's clock; minus infinity where it never was."""
        return self._breaker.up_since

    def patience(self) -> int | None:
        """Return the most attempts that may be in flight; None for no limit."""
        limits = (self._halt_policy.patience, self._breaker.patience, self._service.pacer.window)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def has_answered(self) -> bool:
        """Whether the service ever spoke."""
        return self._halt_policy.answered

    def begin(self) -> None:
        """Hear that a request is about to leave."""
        self._begun.set()

    async def listen(self) -> None:
        """Halt where nothing is heard for long from the first request on, not even the answer to a question."""
        await self._begun.wait()
        await asyncio.sleep(FIRST_RESPONSE_TIMEOUT)
        if self._halt_policy.judge_silence() is None:
            return
        until = self.now() + PROBE_TIMEOUT
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                self._halt_policy.judge_probe(await self._service.target.probe())
        await asyncio.sleep(until - self.now())
        halt = self._halt_policy.judge_silence()
        if halt is not None:
            self._on_halt(halt)

    async def goes_on(self, delivery: Delivery, classification: Classification, reply: Reply, sent_at: float) -> bool:
        """Hear a reply; say whether it concerns its job alone. If not, the job is queued again."""
        self._tell_pacer(reply, sent_at, throttled=classification.kind is ReplyKind.THROTTLED)
        match self._halt_policy.judge(delivery.job, classification, reply, sent_at=sent_at, now=self.now()):
            case Proceed():
                if self._halt_policy.is_waited_for(reply):
                    self._breaker.observe(delivery.job, reply)
                return True
            case Hold(probe):
                self.retry(delivery, reply, _HOLD_SECONDS, classification.kind)
                await self._look_into(classification, probe=probe)
            case Halt() as halt:
                self.retry(delivery, reply, _HOLD_SECONDS, classification.kind)
                self._on_halt(halt)
        return False

    def answered(self, reply: Reply, sent_at: float) -> None:
        """Hear the answer to a question: address and credentials are right."""
        self._tell_pacer(reply, sent_at, throttled=False)
        self._halt_policy.judge_probe(reply)

    def succeeded(self, delivery: Delivery, reply: Reply) -> None:
        """Hear that the service does its work."""
        self._breaker.observe(delivery.job, reply)

    def retry(self, delivery: Delivery, reply: Reply, delay: float, reason: str) -> None:
        """Queue a job again, due in `delay` seconds, and tell of it."""
        self._backlog.add_retry(delivery, delay)
        attempts = delivery.history.attempts
        self._sink.emit(RunRetried(job=delivery.job, reply=reply, attempts=attempts, delay=delay, reason=reason))

    def _tell_pacer(self, reply: Reply, sent_at: float, *, throttled: bool) -> None:
        self._sink.emit(AttemptEnded(reply=reply, throttled=throttled))
        if reply.status is not None:
            wait = None
            if reply.retry_after is not None and reply.status in (429, 503):
                wait = min(reply.retry_after, self._service.budget.longest_wait)
            self._service.pacer.observe(throttled=throttled, sent_at=sent_at, retry_after=wait)

    async def _look_into(self, classification: Classification, *, probe: bool) -> None:
        if classification.kind is ReplyKind.UNAUTHENTICATED and await self._service.target.renew_credentials():
            self._halt_policy.renewed(self.now())
        if probe:
            await self._service.pacer.acquire()
            self._halt_policy.judge_probe(await self._service.target.probe())
