"""Whether the service works: one state machine over the replies of a batch, without I/O or clock.

| state     | entered when                              | what may be sent        | left when                          |
|-----------|-------------------------------------------|-------------------------|------------------------------------|
| UNPROVEN  | the batch begins; the proof is cancelled  | few at once             | proof: UP                          |
| UP        | a request or a probe succeeds: the proof  | everything              | many denials in a row: UNPROVEN    |
| SUSPECT   | SUSPICION failures in a row               | as before, and a probe  | a probe is answered, or a success: |
|           |                                           |                         | as before; a probe fails: DOWN     |
| DOWN      | a probe fails in SUSPECT; a job fails in  | probes, at growing      | a probe is answered: HALF_OPEN;    |
|           | HALF_OPEN; BREADTH jobs fail in a row     | intervals               | a success: UP or UNPROVEN          |
| HALF_OPEN | a probe is answered in DOWN               | one at once             | a success: UP or UNPROVEN;         |
|           |                                           |                         | a failure: DOWN                    |
| HALTED    | it is clear that a setting is wrong       | nothing                 | never                              |

A *failure* is a reply that means: the service is down. It is no answer, a 5xx other than 501, a 4xx that may succeed
later (409 IncorrectState), or one of many refusals in a row because a quota is used up. Every other reply is a
*success* here, except those that are evidence against a setting. A *probe* is a harmless request. UNPROVEN, UP and
HALTED follow that evidence (`policy.evidence`); SUSPECT, DOWN and HALF_OPEN are a circuit breaker (`policy.breaker`).

A service that never answered cannot go down: its failures count as evidence that the address is wrong, unless
`wait_for_service` is set. A service that refuses every request (429) is not down: the pacer slows down. In both cases
the batch is given up after the time to give up without a success (`policy.watchdog`).
"""

from collections.abc import Collection
from math import inf

from ingestor.model.activity import Health
from ingestor.model.record import Job
from ingestor.model.reply import Reply
from ingestor.policy import advice
from ingestor.policy.advice import Access, Halt
from ingestor.policy.breaker import CircuitBreaker, Outage
from ingestor.policy.decisions import CONTINUE, REQUEUE, Continue, Distrust, GiveUp, HealthDecision, Pause, Requeue
from ingestor.policy.evidence import LONGEST_UNANSWERED, SettingEvidence, is_failure, is_local
from ingestor.policy.retry import Classification, ReplyKind
from ingestor.policy.run_ids import RecentRunIds
from ingestor.policy.tallies import MAX_REFUSALS
from ingestor.policy.watchdog import Watchdog

FIRST_RESPONSE_TIMEOUT = 15.0
"""Seconds after the first request, without any answer, until a probe is sent.

The probe may last until `LONGEST_UNANSWERED`."""

_NO_FAULT_OF_THE_RECORD = (ReplyKind.THROTTLED, ReplyKind.UNAUTHENTICATED)
_ABOUT_THE_JOB = frozenset({ReplyKind.SUCCEEDED, ReplyKind.REFUSED, ReplyKind.DENIED, ReplyKind.INVALIDATED})

_OVERLOAD = frozenset({502, 503, 504})  # while others get a 429, no fault of their jobs
_PROCESSED = 500  # the service has tried to carry the request out


class ServiceHealth:
    """The state of the service. Times are seconds on the caller's monotonic clock.

    Use it so: call `sending` before each attempt and `observe` after it. One task calls `check`, then waits until
    `next_probe`, `next_check` or a change of state, whichever is first, and reports the reply to each probe to
    `observe_probe`.

    Args:
        wait_for_service: a service that never answered is waited for.
        give_up_after: the longest time without a success while the service is down or refuses every request, seconds.
        has_created: an earlier execution has created runs on this very target.
        access: what advice is about.
        run_ids: the runs of earlier executions, which an answer is compared with.
    """

    def __init__(
        self,
        *,
        wait_for_service: bool,
        give_up_after: float,
        has_created: bool = False,
        access: Access | None = None,
        run_ids: RecentRunIds | None = None,
    ) -> None:
        self._access = access or Access()
        self._watchdog = Watchdog(give_up_after)
        self._breaker = CircuitBreaker(self._watchdog)
        self._evidence = SettingEvidence(
            wait_for_service=wait_for_service,
            has_created=has_created,
            access=self._access,
            run_ids=run_ids or RecentRunIds(),
        )
        self._wait_for_service = wait_for_service
        self._halt: Halt | None = None
        self._first_sent_at = inf
        self._has_probed = False

    @property
    def health(self) -> Health:
        """The state."""
        if self._halt is not None:
            return Health.HALTED
        if self._breaker.state is not None:
            return Health(self._breaker.state.value)
        return Health.UP if self._evidence.proven else Health.UNPROVEN

    @property
    def has_answered(self) -> bool:
        """Whether the service ever answered."""
        return self._evidence.has_answered

    @property
    def up_since(self) -> float:
        """When the service was last found to be back after it was down; minus infinity where it never was down."""
        return self._breaker.up_since

    @property
    def has_ended(self) -> bool:
        """Whether the batch is halted, or the service was down for too long."""
        return self._halt is not None or self._breaker.is_exhausted

    @property
    def probe_at(self) -> float | None:
        """When the next probe of an outage is due; None if there is no outage, or it lasts too long."""
        return self._breaker.probe_at

    @property
    def wants_list(self) -> bool:
        """Whether the list of the service's experiments is needed (`experiments_listed`)."""
        return self._evidence.wants_list and self._halt is None

    @property
    def max_in_flight(self) -> int | None:
        """The most attempts that may be in flight; None for no bound."""
        if self._breaker.state is Outage.HALF_OPEN:
            return 1
        return None if self._evidence.proven else MAX_REFUSALS - 1

    @property
    def may_send(self) -> bool:
        """Whether attempts may leave: False while the service is down, and after a halt."""
        return self._breaker.state is not Outage.DOWN and self._halt is None

    def uptime(self, now: float) -> float:
        """Return `now` minus all the time that the service was down: the clock for a job's budget."""
        return self._breaker.uptime(now)

    def pause(self, now: float) -> Pause | None:
        """Return why the batch does not advance: the service is down, or refuses every request; None if it advances."""
        if self.probe_at is not None:
            return Pause(advice.pause_reason(self._watchdog.last), self.probe_at)
        if now >= self._watchdog.announced_at:
            return Pause(advice.pause_reason(self._watchdog.last), self._watchdog.ends_at)
        return None

    def sending(self, now: float) -> None:
        """Record that an attempt or a look-up begins."""
        self._first_sent_at = min(self._first_sent_at, now)

    def idle(self) -> None:
        """Record that no job is in flight: nothing waits for the service."""
        self._watchdog.stop()

    def observe(
        self,
        job: Job,
        classification: Classification,
        reply: Reply,
        *,
        sent_at: float,
        now: float,
        is_look_up: bool = False,
        failed_before: bool = False,
    ) -> HealthDecision:
        """Record the reply to an attempt, or to a look-up that was not answered, and decide about its job.

        `failed_before`: an earlier execution has failed it. Returns Continue, Requeue, Distrust or Halt.
        """
        self.sending(sent_at)
        weight = self._evidence.weigh(
            job,
            classification,
            reply,
            sent_at=sent_at,
            seconds=now - self._first_sent_at,
            is_look_up=is_look_up,
            failed_before=failed_before,
        )
        self._watch(classification.kind, weight, reply, sent_at, now)
        if not isinstance(weight, Continue):
            return self._outweighed(job, weight, reply, now)
        if self._evidence.is_outage(reply) and not is_local(reply):
            is_busy = classification.kind is ReplyKind.TRANSIENT and (reply.status or 0) // 100 == 4
            if is_failure(reply) or is_busy:
                self._breaker.failed(job.key, reply, now, sent_at, is_look_up=is_look_up)
                is_overload = reply.status in _OVERLOAD and now >= self._watchdog.announced_at
                return REQUEUE if is_overload else CONTINUE
            self._breaker.answered(now, sent_at, throttled=classification.kind is ReplyKind.THROTTLED)
        return weight

    def _watch(self, kind: ReplyKind, weight: HealthDecision, reply: Reply, sent_at: float, now: float) -> None:
        if isinstance(weight, Continue) and (kind in _ABOUT_THE_JOB or reply.status == _PROCESSED):
            self._watchdog.stop()
        elif isinstance(weight, Requeue) and weight.is_outage:
            self._watchdog.failed(reply, now)
        elif kind in _NO_FAULT_OF_THE_RECORD or (isinstance(weight, Requeue) and kind in _ABOUT_THE_JOB):
            self._watchdog.refused(reply, sent_at, now)

    def _outweighed(self, job: Job, weight: HealthDecision, reply: Reply, now: float) -> HealthDecision:
        match weight:
            case Halt():
                return self._halted(weight)
            case Distrust(run_id, halts=True):
                self._halted(advice.repeated_run_halt(run_id))
            case Requeue(is_outage=True):
                self._breaker.failed(job.key, reply, now)
        return weight

    def look_up_answered(self, sent_at: float) -> None:
        """Record the answer to a look-up: it is a success, and proof of address and credentials."""
        self._breaker.looked_up(sent_at)
        self._watchdog.stop()
        self._evidence.weigh_look_up()

    def experiments_listed(self, experiments: Collection[str] | None) -> None:
        """Record the list of the service's experiments; None: it can't be read."""
        self._evidence.weigh_list(experiments)

    def succeeded(self, now: float) -> None:
        """Record a reply that shows that the service works, where nothing else can show it."""
        self._breaker.succeeded(now)

    def renewal_ended(self, now: float) -> None:
        """Record that the renewal which a Requeue requested has ended, with or without new credentials."""
        self._evidence.renewal_ended(now)

    def next_probe(self, now: float) -> float | None:
        """Return the seconds until a probe must be sent: 0 is now; None: no probe is needed now."""
        if self._halt is not None:
            return None
        if self._breaker.state is Outage.SUSPECT:
            return 0.0
        at = self._evidence.probe_at
        if self._breaker.state is Outage.DOWN:
            at = at if self.probe_at is None else min(at, self.probe_at)
        elif self._awaits_first_response and not self._has_probed:
            at = min(at, self._first_sent_at + FIRST_RESPONSE_TIMEOUT)
        return None if at == inf else max(0.0, at - now)

    def next_check(self, now: float) -> float | None:
        """Return the seconds until `check` ends the batch because no first answer, or no success, came; None: never.

        A probe that runs at that time is cancelled.
        """
        if self._halt is not None:
            return None
        if self._awaits_first_response:
            return max(0.0, self._first_sent_at + LONGEST_UNANSWERED - now)
        if self._breaker.state is Outage.DOWN or self._watchdog.ends_at == inf:
            return None
        return max(0.0, self._watchdog.ends_at - now)

    def next_report(self, now: float) -> float | None:
        """Return the seconds until refusals are a `pause`; None if they are, or if nothing shows that they will be."""
        wait = self._watchdog.announced_at - now
        return wait if 0.0 < wait < inf else None

    def observe_probe(self, reply: Reply, now: float) -> HealthDecision:
        """Record the reply to a probe, and decide about the batch: Continue, Halt or GiveUp."""
        self._has_probed = True
        self._evidence.weigh_probe(reply, now)
        if is_failure(reply):
            self._breaker.probe_failed(reply, now)
        else:
            self._breaker.probe_answered(now)
        return self.check(now)

    def check(self, now: float) -> HealthDecision:
        """Decide about the batch by what time has passed: Continue, Halt or GiveUp."""
        if self._halt is not None:
            return self._halt
        if self._breaker.is_exhausted:
            return GiveUp(advice.give_up_reason(self._watchdog.last))
        if self.next_check(now) == 0.0:
            if self._awaits_first_response:
                return self._halted(advice.unanswered_halt(LONGEST_UNANSWERED, self._access))
            return GiveUp(advice.give_up_reason(self._watchdog.last))
        return CONTINUE

    @property
    def _awaits_first_response(self) -> bool:
        return self._first_sent_at < inf and not self.has_answered and not self._wait_for_service

    def _halted(self, halt: Halt) -> Halt:
        self._halt = self._halt or halt
        return self._halt
