"""One attempt for a delivery, and what its reply leads to."""

from ingestor.model.outcome import Outcome
from ingestor.model.ports import Timekeeper
from ingestor.model.reply import Reply
from ingestor.pipeline.backlog import Backlog
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.delivery import Delivery, end
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.lookup import Lookups
from ingestor.pipeline.service import Service
from ingestor.policy.expiry import protects
from ingestor.policy.lookup import look_up_after, settling_time
from ingestor.policy.retry import Classification, LookUp, Recovery, Retry, Settle, classify, decide, exhausted

NOT_CREATED = "NotCreated"
"""The error code of a job that surely has no run, though no attempt was answered so."""

_TOO_OLD = "may have been created, and its retry token no longer protects it: it is not sent again"
_NOT_STAMPED = "may have been created, and its run would carry no stamp to find it by: it is not sent again"
_GIVEN_UP = "no attempt was answered, and no run carries its token: it was not created"


class Attempts:
    """Makes attempts, and look-ups where they come first; each ends its delivery, or queues it again."""

    def __init__(
        self, service: Service, hearing: HealthMonitor, backlog: Backlog, committer: Committer, clock: Timekeeper
    ) -> None:
        self._service = service
        self._hearing = hearing
        self._backlog = backlog
        self._settlement = committer
        self._clock = clock
        self._lookups = Lookups(service, hearing, committer, self._send_after_all, only=False)

    async def make(self, delivery: Delivery) -> None:
        """Send one attempt, if another surely creates no second run; else look for the run, or leave the job."""
        if not delivery.history.may_exist:
            await self._send(delivery)
            return
        match self._service.recovery(stamped=delivery.admission.stamped):
            case Recovery.TOKEN if protects(delivery.admission.first_sent_at, self._clock.moment()):
                await self._send(delivery)
            case Recovery.TOKEN:
                self._settle(delivery, Outcome.UNRESOLVED, Reply(message=_TOO_OLD))
            case Recovery.LOOKUP:
                await self._lookups.make(delivery)
            case Recovery.NONE:
                self._settle(delivery, Outcome.UNRESOLVED, Reply(message=_NOT_STAMPED))

    async def _send(self, delivery: Delivery) -> None:
        sent_at, history = self._hearing.now(), delivery.history
        history.first_at = min(history.first_at, self._hearing.uptime)
        history.attempts += 1
        self._hearing.begin()
        with history.doubt_while_under_way():
            reply = await self._service.target.create(delivery.job, stamped=delivery.admission.stamped)
        classification = classify(reply)
        history.learn(classification, quiescent_at=self._hearing.now() + settling_time(reply))
        if await self._hearing.goes_on(delivery, classification, reply, sent_at):
            self._decide(delivery, classification, reply)

    def _decide(self, delivery: Delivery, classification: Classification, reply: Reply) -> None:
        budget, uniform = self._service.budget, self._service.uniform
        decision = decide(
            delivery.history,
            classification,
            reply,
            budget,
            now=self._hearing.uptime,
            recovery=self._service.recovery(stamped=delivery.admission.stamped),
            uniform=uniform,
        )
        match decision:
            case Settle(outcome):
                self._settle(delivery, outcome, reply)
            case Retry(delay):
                self._hearing.retry(delivery, reply, delay, classification.kind)
            case LookUp():
                delay = look_up_after(delivery.history, reply, budget, uniform)
                self._hearing.retry(delivery, reply, delay, classification.kind)

    def _send_after_all(self, delivery: Delivery) -> None:
        """Let a job that surely has no run be sent, if its budget allows another attempt."""
        if exhausted(delivery.history, self._service.budget, self._hearing.uptime):
            self._settle(delivery, Outcome.FAILED, Reply(code=NOT_CREATED, message=_GIVEN_UP))
        else:
            self._backlog.add_retry(delivery, 0.0)

    def _settle(self, delivery: Delivery, outcome: Outcome, reply: Reply) -> None:
        self._settlement.put(delivery, end(delivery, outcome, reply))
