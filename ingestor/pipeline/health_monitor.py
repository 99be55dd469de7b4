"""The service's health in a batch: every reply feeds it, and one task sends the probes."""

import asyncio
from contextlib import suppress

from ingestor.model.activity import Health, Hold
from ingestor.model.events import BatchPaused, BatchResumed
from ingestor.model.ports import EventSink, Service
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.in_flight import Delivery
from ingestor.pipeline.options import Known, PipelineOptions
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.advice import Halt
from ingestor.policy.decisions import Continue, GiveUp, HealthDecision, Pause
from ingestor.policy.health import ServiceHealth
from ingestor.policy.retry import Classification, ReplyKind
from ingestor.policy.run_ids import RecentRunIds


class HealthMonitor:
    """Drives `health`, on the loop's clock, and holds attempts while the service is down.

    `on_change` is called when `health` may have changed, and with it `health.max_in_flight`.
    """

    def __init__(self, options: PipelineOptions, service: Service, pacer: Pacer, log: EventSink, known: Known) -> None:
        self._service = service
        self._pacer = pacer
        self._log = log
        self.health = ServiceHealth(
            wait_for_service=options.wait_for_service,
            give_up_after=options.give_up_after,
            has_created=known.has_runs,
            access=options.access,
            run_ids=RecentRunIds(known.recent_runs),
        )
        self._now = asyncio.get_running_loop().time
        self._state = Health.UNPROVEN
        self._has_sent = False
        self._changed = asyncio.Event()
        self._may_send = asyncio.Event()
        self._pause: Pause | None = None
        self._paused_at = 0.0
        self.on_change = _do_nothing

    @property
    def uptime(self) -> float:
        """The loop's time without the time that the service was down: what a job's budget is measured in."""
        return self.health.uptime(self._now())

    @property
    def halt(self) -> Halt | None:
        """What a reply has shown to be wrong for every record, if anything is."""
        decision = self.health.check(self._now()) if self.health.health is Health.HALTED else None
        return decision if isinstance(decision, Halt) else None

    @property
    def hold(self) -> Hold | None:
        """Why the batch does not advance; None if it does."""
        if self._pause is None:
            return None
        now = self._now()
        return Hold(
            reason=self._pause.reason,
            seconds=now - self._paused_at,
            left=max(0.0, self._pause.until - now),
            gives_up=self.health.probe_at is None,
        )

    async def may_send(self) -> None:
        """Wait while the service is down."""
        while not self.health.may_send:
            self._may_send.clear()
            await self._may_send.wait()

    def sending(self, now: float) -> None:
        """Record that an attempt or a look-up begins."""
        if not self._has_sent:
            self._has_sent = True
            self.health.sending(now)
            self._changed.set()

    def observe(
        self, delivery: Delivery, classification: Classification, reply: Reply, sent_at: float, *, is_look_up: bool
    ) -> HealthDecision:
        """Record the reply to an attempt or a look-up, and decide whether it concerns its job only."""
        decision = self.health.observe(
            delivery.job,
            classification,
            reply,
            sent_at=sent_at,
            now=self._now(),
            is_look_up=is_look_up,
            failed_before=delivery.failed_before,
        )
        if not isinstance(decision, Continue) or self.health.health is not self._state:
            self._follow()
        elif classification.kind is ReplyKind.THROTTLED:
            self._changed.set()  # the next check may be due earlier
        if self._pause is not None:
            self._report_pause()
        return decision

    def idle(self) -> None:
        """Record that no job is in flight."""
        self.health.idle()
        self._report_pause()

    def look_up_answered(self, sent_at: float, *, closes_breaker: bool) -> None:
        """Record the answer to a look-up that began at `sent_at`; `closes_breaker`: it shows that the service is up."""
        self.health.look_up_answered(sent_at)
        if closes_breaker:
            self.health.succeeded(self._now())
        self._report_pause()
        if self.health.health is not self._state:
            self._follow()

    async def renew_credentials(self) -> None:
        """Fetch fresh credentials after a 401."""
        try:
            await self._service.renew_credentials()
        finally:
            self.health.renewal_ended(self._now())

    async def run(self) -> Halt | GiveUp:
        """Send probes until a setting is wrong for every record, or there was no success for too long."""
        while True:
            match self.health.check(self._now()):
                case Halt() | GiveUp() as decision:
                    return decision
            if self.health.next_probe(self._now()) == 0.0:
                await self._probe()
            elif self.health.wants_list:
                await self._list_experiments()
            else:
                await self._wait()

    async def _probe(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.health.next_check(self._now())):
                reply = Reply(fault=Fault.HELD)
                while reply.fault is Fault.HELD:
                    await self._pacer.acquire()
                    reply = await self._service.probe()
                self.health.observe_probe(reply, self._now())
        self._follow()

    async def _list_experiments(self) -> None:
        """List the experiments: are those of the denied records missing, or the right to create runs?"""
        experiments = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self.health.next_check(self._now())):
                await self._pacer.acquire()
                experiments = await self._service.active_experiments(self._pacer.acquire)
        self.health.experiments_listed(experiments)
        self._follow()

    async def _wait(self) -> None:
        """Wait for the next probe, check or report, or for a change, whichever is first."""
        self._report_pause()
        now, health = self._now(), self.health
        waits = (health.next_probe(now), health.next_check(now), health.next_report(now))
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min((it for it in waits if it is not None), default=None)):
                await self._changed.wait()

    def _report_pause(self) -> None:
        """Report why the batch does not advance, each time that the next probe or the end is due at another time."""
        if self.health.has_ended:
            return
        pause, reported = self.health.pause(self._now()), self._pause
        if reported is not None and pause is not None and pause.until == reported.until:
            return
        if reported is not None and (pause is None or pause.reason != reported.reason):
            self._log.emit(BatchResumed(reported.reason))
        if reported is None:
            self._paused_at = self._now()
        self._pause = pause
        if pause is not None:
            self._log.emit(BatchPaused(pause.reason, round(max(0.0, pause.until - self._now()), 3)))

    def _follow(self) -> None:
        """Let the task and the attempts that wait see a change of state."""
        self._state = self.health.health
        self._changed.set()
        self.on_change()
        if self.health.may_send:
            self._may_send.set()
            self._report_pause()


def _do_nothing() -> None:
    """Be the `on_change` of a monitor that nobody watches."""
