"""One attempt for a job: what is sent, what its reply means, and what follows. Begin with `make`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ingestor.model.events import AttemptEnded, RunRetried
from ingestor.model.ports import EventSink, Service, Timekeeper
from ingestor.model.record import Outcome
from ingestor.model.reply import Fault, Finding, Presence, Reply
from ingestor.model.request import Request
from ingestor.pipeline.attempts import Attempts, GivenUp
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.in_flight import Backlog, Delivery
from ingestor.pipeline.options import PipelineOptions
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.advice import Halt
from ingestor.policy.decisions import REQUEUE_DELAY, Continue, Distrust, GiveUp, Requeue
from ingestor.policy.expiry import EXPIRED, protects
from ingestor.policy.lookup import LOOKUP_DELAY, Absent, decide_lookup, lookup_delay, quiescence_time
from ingestor.policy.plan import create_request, step_request
from ingestor.policy.retry import (
    Classification,
    End,
    LookUp,
    Recovery,
    ReplyKind,
    Retry,
    RetryDecision,
    classify,
    decide,
    decide_step,
    delay_or_longer,
    is_exhausted,
)
from ingestor.policy.run_ids import REPEATED_RUN, repeated_run_message

NOT_CREATED = "NotCreated"
"""The error code of a job that certainly has no run, although no attempt was answered with a refusal."""

_NOT_STAMPED = "the run may exist, and would carry no stamp to find it by: the record is not sent again"
_MAY_EXIST = "an earlier attempt was not answered, so the run may exist: `ingestor reconcile` looks for it"
_REFUSALS = (ReplyKind.DENIED, ReplyKind.REFUSED)
_NOT_FOUND_YET = "no run was found yet: requests in flight may still create it"
_NOT_ANSWERED = "no attempt was answered, and no run carries its token: no run was created"
_TOO_SLOW = "most requests are answered much sooner"


@dataclass(slots=True, eq=False)
class Worker:
    """Makes attempts and look-ups. Each ends its delivery, or puts it into the backlog again."""

    options: PipelineOptions
    service: Service
    attempts: Attempts
    pacer: Pacer
    log: EventSink
    clock: Timekeeper
    monitor: HealthMonitor
    backlog: Backlog
    committer: Committer
    _now: Callable[[], float] = field(init=False)

    def __post_init__(self) -> None:
        self._now = asyncio.get_running_loop().time

    async def make(self, delivery: Delivery) -> None:
        """Make the next attempt if it can't create a second run; else look for the run, or end the job."""
        history = delivery.history
        if history.may_exist and not await self._is_safe_to_repeat(delivery):
            return
        request, sent_at = self._next_request(delivery), self._now()
        history.sending(request, self.monitor.uptime)
        self.monitor.sending(sent_at)
        reply = await self.attempts.send(request, delivery)
        if isinstance(reply, GivenUp):
            self._repeat(delivery, request, reply.seconds)
            return
        if reply.fault is Fault.HELD:
            history.held()
            self.backlog.add_retry(delivery, 0.0)
            return
        classification = classify(reply, request)
        history.learn(classification, quiescent_at=self._now() + quiescence_time(reply))
        if not await self._concerns_its_job_alone(delivery, classification, reply, sent_at):
            return
        if classification.kind is ReplyKind.SUCCEEDED:
            self._succeeded(delivery, reply)
        else:
            self._decide(delivery, classification, reply)

    def _repeat(self, delivery: Delivery, request: Request, seconds: float) -> None:
        """Queue a job again whose attempt was given up. That says nothing about the service, and costs no budget."""
        reply = Reply(fault=Fault.TIMEOUT, message=_TOO_SLOW, latency_ms=1000 * seconds)
        delivery.history.learn(classify(reply, request), quiescent_at=self._now() + quiescence_time(reply))
        self._report(delivery, reply, self._now() - seconds, throttled=False)
        self._retry(delivery, reply, 0.0, f"given up after {seconds:.1f} s")

    async def _is_safe_to_repeat(self, delivery: Delivery) -> bool:
        """Return whether a create that may have been carried out may be sent now; if not, look up the run or end."""
        match self.options.recovery(stamped=delivery.admission.stamped):
            case Recovery.TOKEN if protects(delivery.admission.first_sent_at, self.clock.now()):
                return True
            case Recovery.TOKEN:
                self.committer.end(delivery, Outcome.UNRESOLVED, Reply(message=EXPIRED))
            case Recovery.LOOKUP:
                await self._look_up_first(delivery)
            case Recovery.NONE:
                self.committer.end(delivery, Outcome.UNRESOLVED, Reply(message=_NOT_STAMPED))
        return False

    def _next_request(self, delivery: Delivery) -> Request:
        admission = delivery.admission
        if delivery.run_id is None:
            return create_request(admission.job, stamped=admission.stamped)
        return step_request(admission.job, delivery.next_step, delivery.run_id)

    async def _concerns_its_job_alone(
        self,
        delivery: Delivery,
        classification: Classification,
        reply: Reply,
        sent_at: float,
        *,
        is_look_up: bool = False,
    ) -> bool:
        """Report a reply to pacer and health monitor. Queue the job again if the reply may concern every record."""
        self._report(delivery, reply, sent_at, throttled=classification.kind is ReplyKind.THROTTLED)
        match self.monitor.observe(delivery, classification, reply, sent_at, is_look_up=is_look_up):
            case Continue(misses_experiment):
                delivery.misses_experiment = misses_experiment
                return True
            case Requeue(delay, renew_credentials):
                delay = delay_or_longer(reply, self.options.budget, delay)
                self._retry(delivery, reply, delay, classification.kind)
                if renew_credentials:
                    await self.monitor.renew_credentials()
            case Distrust(run_id):
                message = repeated_run_message(run_id)
                distrusted = replace(reply, run_id=None, code=REPEATED_RUN, message=message)
                self.committer.end(delivery, Outcome.UNRESOLVED, distrusted)
            case Halt() | GiveUp():  # the job stays in flight: the reply is not about its record
                self._retry(delivery, reply, REQUEUE_DELAY, classification.kind)
        return False

    def _report(self, delivery: Delivery, reply: Reply, sent_at: float, *, throttled: bool) -> None:
        self.log.emit(AttemptEnded(reply=reply, throttled=throttled, repeated=delivery.is_queued_again))
        delivery.is_queued_again = False
        if reply.status is not None:
            self.pacer.observe(throttled=throttled, sent_at=sent_at, retry_after=reply.retry_after)

    def _succeeded(self, delivery: Delivery, reply: Reply) -> None:
        """Queue the next request of the job's plan, or end the job if there is none."""
        steps = delivery.admission.job.steps
        if delivery.run_id is not None:
            delivery.next_step += 1
        elif reply.run_id is not None:
            delivery.run_id, delivery.experiment_id = reply.run_id, reply.experiment_id
            if steps:
                self.committer.begin(delivery, reply.run_id)
        if delivery.next_step < len(steps):
            delivery.history.next_request()
            self.backlog.add(delivery)
        else:
            self.committer.end(delivery, Outcome.CREATED, reply)

    def _decide(self, delivery: Delivery, classification: Classification, reply: Reply) -> None:
        options, history, now = self.options, delivery.history, self.monitor.uptime
        budget, uniform = options.budget, options.uniform
        if delivery.run_id is not None:
            decision: RetryDecision = decide_step(history, classification, reply, budget, now=now, uniform=uniform)
        else:
            recovery = options.recovery(stamped=delivery.admission.stamped)
            decision = decide(history, classification, reply, budget, now=now, recovery=recovery, uniform=uniform)
        match decision:
            case End(Outcome.UNRESOLVED) if history.may_exist and classification.kind in _REFUSALS:
                message = f"{reply.message.rstrip('. ')}; {_MAY_EXIST}"
                self.committer.end(delivery, Outcome.UNRESOLVED, replace(reply, message=message))
            case End(outcome):
                self.committer.end(delivery, outcome, reply)
            case Retry(delay):
                self._retry(delivery, reply, delay, classification.kind)
            case LookUp():
                self._retry(delivery, reply, lookup_delay(history, reply, budget, uniform), classification.kind)

    def _retry(self, delivery: Delivery, reply: Reply, delay: float, reason: str) -> None:
        self.backlog.add_retry(delivery, delay)
        delivery.is_queued_again = True
        attempts = delivery.history.attempts
        self.log.emit(RunRetried(job=delivery.job, reply=reply, attempts=attempts, delay=delay, reason=reason))

    async def _look_up_first(self, delivery: Delivery) -> None:
        """Continue with the run of a job, if it has one; else send the job, if its budget allows another attempt."""
        match await self.look_up(delivery):
            case Reply() as found:
                self._succeeded(delivery, found)
            case Absent() if is_exhausted(delivery.history, self.options.budget, self.monitor.uptime):
                self.committer.end(delivery, Outcome.FAILED, Reply(code=NOT_CREATED, message=_NOT_ANSWERED))
            case Absent():
                self.backlog.add_retry(delivery, 0.0)

    async def look_up(self, delivery: Delivery, *, closes_breaker: bool = False) -> Reply | Absent | None:
        """Look for the run of a stamped job.

        Args:
            delivery: the job.
            closes_breaker: whether an answer shows that the service is up again. For `reconcile`, which sends no
                create requests.

        Returns:
            The reply that names the run; Absent if there is certainly none; None if the look-up decided
            nothing, and the job has ended or is in the backlog again.
        """
        started, job, history = self._now(), delivery.job, delivery.history
        history.looking_up(self.monitor.uptime)
        self.monitor.sending(started)
        finding = await self.service.find(job.token, job.experiment_id, self.pacer.acquire)
        if finding.presence is Presence.UNDECIDED:
            reply = finding.reply
            if not await self._concerns_its_job_alone(delivery, classify(reply), reply, started, is_look_up=True):
                return None
        else:
            self._report(delivery, finding.reply, started, throttled=False)
            self.monitor.look_up_answered(started, closes_breaker=closes_breaker)
        return self._follow_up(delivery, finding, started)

    def _follow_up(self, delivery: Delivery, finding: Finding, started: float) -> Reply | Absent | None:
        history = delivery.history
        history.quiescent_at = max(history.quiescent_at, self.monitor.health.up_since + LOOKUP_DELAY)
        decision = decide_lookup(
            history,
            finding,
            self.options.budget,
            asked_at=started,
            now=self._now(),
            uptime=self.monitor.uptime,
            uniform=self.options.uniform,
        )
        match decision:
            case Absent():
                return decision
            case Retry(delay):
                reply = finding.reply
                if finding.presence is Presence.ABSENT:
                    reply = replace(reply, message=_NOT_FOUND_YET)
                self._retry(delivery, reply, delay, f"look-up {finding.presence}")
            case End(Outcome.CREATED):
                return finding.reply
            case End(outcome):
                self.committer.end(delivery, outcome, finding.reply)
        return None
