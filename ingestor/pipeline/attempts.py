"""Sends requests, and abandons those that take far longer than their operation usually does.

An abandoned request is *given up* where another attempt can do no harm: it is cancelled, and its job is sent again.
Elsewhere it continues, *outside the slots*, and its answer counts whenever it comes. How long is too long, and how many
may be abandoned: `policy.attempt_timeout`.
"""

import asyncio
from dataclasses import dataclass
from math import inf

from ingestor.model.activity import Health
from ingestor.model.ports import Service, Timekeeper
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from ingestor.pipeline.dispatch import Dispatch
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.in_flight import Delivery
from ingestor.pipeline.options import PipelineOptions
from ingestor.policy.attempt_timeout import LEAST, AttemptTimeout
from ingestor.policy.expiry import protects
from ingestor.policy.retry import Recovery

_INTERVAL = 0.1  # seconds between two looks at the attempts that are older than the shortest timeout
_LATE = 0.5  # seconds that a look may be late


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An attempt was cancelled after so many seconds. The service may carry it out."""

    seconds: float


@dataclass(slots=True, eq=False)
class _Sent:
    """An attempt that waits for its answer. `given_up_after`: seconds, where it was given up."""

    request: Request
    delivery: Delivery
    at: float
    task: asyncio.Task[None]
    given_up_after: float | None = None


class Attempts:
    """Sends requests for deliveries, each in the task that `dispatch` started for it.

    Attempts are abandoned only while the service is up: while it is down or in doubt, the health monitor decides.
    """

    def __init__(
        self, options: PipelineOptions, service: Service, dispatch: Dispatch, monitor: HealthMonitor, clock: Timekeeper
    ) -> None:
        self._options = options
        self._longest = options.timeout
        self._service = service
        self._dispatch = dispatch
        self._monitor = monitor
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timeouts: dict[Operation, AttemptTimeout] = {}
        self._sent: dict[_Sent, bool] = {}  # True for each that is not abandoned, in the order of their beginning
        self._look: asyncio.TimerHandle | None = None

    async def send(self, request: Request, delivery: Delivery) -> Reply | GivenUp:
        """Send one request and return its reply (see `Service.send`), or that it was given up."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        sent = _Sent(request, delivery, self._loop.time(), task)
        self._sent[sent] = True
        if self._look is None:
            self._look = self._loop.call_later(LEAST, self._abandon_overdue)
        try:
            reply = await self._service.send(request)
        except asyncio.CancelledError:
            if sent.given_up_after is None or task.uncancel():
                raise
            return GivenUp(sent.given_up_after)
        finally:
            is_abandoned = not self._sent.pop(sent, False)
        if not is_abandoned and (reply.is_success or reply.fault is Fault.TIMEOUT):
            self._timeout(request.operation).answered(self._loop.time(), sent.at)
        return reply

    def _timeout(self, operation: Operation) -> AttemptTimeout:
        timeout = self._timeouts.get(operation)
        if timeout is None:
            timeout = self._timeouts[operation] = AttemptTimeout(self._longest)
        return timeout

    def _abandon_overdue(self) -> None:
        """Abandon what is overdue, and look again as long as there are attempts.

        A look that is late shows that this process was stopped or busy: answers may have arrived that are not read yet.
        """
        now, due = self._loop.time(), self._look.when() if self._look else inf
        is_up = self._monitor.health.health is Health.UP
        if is_up and self._dispatch.is_sending and now - due < _LATE:
            for sent in list(self._sent):
                if now - sent.at < LEAST:
                    break
                if self._abandon(sent, now):
                    del self._sent[sent]
        self._look = self._loop.call_later(_INTERVAL, self._abandon_overdue) if self._sent else None

    def _abandon(self, sent: _Sent, now: float) -> bool:
        """Abandon an attempt if it is overdue. After one that was given up, the next of its job gets twice the time."""
        timeout, delivery = self._timeout(sent.request.operation), sent.delivery
        elapsed, allowed = now - sent.at, max(timeout.seconds, 2 * delivery.waited)
        if elapsed < allowed or allowed >= self._longest:
            return False
        if sent.request.is_repeatable or self._is_protected(delivery):
            if not timeout.abandon(now, sent.at):
                return False
            sent.given_up_after = delivery.waited = elapsed
            sent.task.cancel()
            return True
        if not (self._dispatch.has_room_outside and timeout.abandon(now, sent.at)):
            return False
        self._dispatch.leave_slot(sent.task)
        return True

    def _is_protected(self, delivery: Delivery) -> bool:
        """Whether another attempt under the token of a job creates no second run."""
        admission = delivery.admission
        recovery = self._options.recovery(stamped=admission.stamped)
        return recovery is Recovery.TOKEN and protects(admission.first_sent_at, self._clock.now())
