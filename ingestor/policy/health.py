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

A *failure* is a reply that means: the service is down. It is no answer, or a 5xx other than 501. Every other reply is a
*success* here, except those that are evidence against a setting. A *probe* is a harmless request.
UNPROVEN, UP and HALTED follow that evidence (`policy.evidence`); SUSPECT, DOWN and HALF_OPEN are a circuit breaker.

A service that never answered cannot go down: its failures count as evidence that the address is wrong, unless
`wait_for_service` is set.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import Halt, unanswered_halt
from ingestor.policy.evidence import LONGEST_UNANSWERED, MAX_REFUSALS, Requeue, SettingEvidence
from ingestor.policy.retry import Classification

__all__ = ["Continue", "GiveUp", "Halt", "Health", "HealthDecision", "Requeue", "ServiceHealth"]

SUSPICION = 3
"""Failures in a row before a probe is sent."""

BREADTH = 10
"""Different jobs that fail in a row before the service counts as down, even if it answers probes."""

FIRST_INTERVAL = 1.0
"""Seconds from the beginning of an outage to the first probe. Each further interval is twice as long."""

LONGEST_INTERVAL = 60.0
"""The longest interval between probes that fail, seconds."""

LONGEST_ANSWERED_INTERVAL = 8.0
"""The longest interval if probes are answered and jobs fail, seconds: only a job can show that the service is up."""

FIRST_RESPONSE_TIMEOUT = 15.0
"""Seconds after the first request, without any answer, until a probe is sent.

The probe may last until `LONGEST_UNANSWERED`."""

PAUSE_REASON = "the service is down"
"""Why nothing is sent while the service is down."""

GIVE_UP_REASON = "the service was down for longer than --give-up-after"


class Health(StrEnum):
    """The states: see the table above."""

    UNPROVEN = "unproven"
    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"
    HALF_OPEN = "half-open"
    HALTED = "halted"


@dataclass(frozen=True, slots=True)
class Continue:
    """The reply concerns its job only."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The service was down for too long: stop the batch; it can be resumed."""

    reason: str


HealthDecision = Continue | Requeue | Halt | GiveUp

_CONTINUE = Continue()


class ServiceHealth:
    """The state of the service. Times are seconds on the caller's monotonic clock.

    Use it so: call `sending` before each attempt and `observe` after it. One task calls `check`, then waits until
    `next_probe`, `next_check` or a change of state, whichever is first, and reports the reply to each probe to
    `observe_probe`.

    Attributes:
        up_since: when the service was last found to be back after it was down; minus infinity where it never was down.
        probe_at: when the next probe of an outage is due; None if there is no outage, or it lasts too long.
    """

    def __init__(self, *, wait_for_service: bool, give_up_after: float) -> None:
        self.up_since = -inf
        self.probe_at: float | None = None
        self._evidence = SettingEvidence(wait_for_service=wait_for_service)
        self._wait_for_service = wait_for_service
        self._give_up_after = give_up_after
        self._halt: Halt | None = None
        self._outage: Health | None = None
        self._failures = 0
        self._failing: set[str] = set()
        self._down_since = inf
        self._past_downtime = 0.0
        self._interval = FIRST_INTERVAL
        self._first_sent_at = inf
        self._has_probed = False

    @property
    def health(self) -> Health:
        """The state."""
        if self._halt is not None:
            return Health.HALTED
        if self._outage is not None:
            return self._outage
        return Health.UP if self._evidence.proven else Health.UNPROVEN

    @property
    def has_answered(self) -> bool:
        """Whether the service ever answered."""
        return self._evidence.has_answered

    @property
    def max_in_flight(self) -> int | None:
        """The most attempts that may be in flight; None for no bound."""
        if self._outage is Health.HALF_OPEN:
            return 1
        return None if self._evidence.proven else MAX_REFUSALS - 1

    @property
    def may_send(self) -> bool:
        """Whether attempts may leave: False while the service is down, and after a halt."""
        return self._outage is not Health.DOWN and self._halt is None

    def uptime(self, now: float) -> float:
        """Return `now` minus all the time that the service was down: the clock for a job's budget."""
        return now - self._past_downtime - max(0.0, now - self._down_since)

    def sending(self, now: float) -> None:
        """Record that an attempt or a look-up begins."""
        self._first_sent_at = min(self._first_sent_at, now)

    def observe(
        self,
        job: Job,
        classification: Classification,
        reply: Reply,
        *,
        sent_at: float,
        now: float,
        is_look_up: bool = False,
    ) -> HealthDecision:
        """Record the reply to an attempt, or to a look-up that was not answered, and decide about its job.

        Returns Continue, Requeue or Halt.
        """
        self.sending(sent_at)
        seconds = now - self._first_sent_at
        weight = self._evidence.weigh(
            job, classification, reply, sent_at=sent_at, seconds=seconds, is_look_up=is_look_up
        )
        if weight is not None:
            return self._halted(weight) if isinstance(weight, Halt) else weight
        if self._evidence.is_outage(reply) and not _is_local(reply):
            if _is_failure(reply):
                self._failed(job.key, now)
            else:
                self.succeeded(now)
        return _CONTINUE

    def look_up_answered(self, reply: Reply, now: float) -> None:  # noqa: ARG002 - as every report has
        """Record the answer to a look-up: it is proof of address and credentials."""
        self._evidence.weigh_probe(reply)

    def succeeded(self, now: float) -> None:
        """Record a reply that shows that the service works: it is not down."""
        if self._outage is None and not self._failures and not self._failing:
            return
        self._leave_down(now)
        self._past_downtime += max(0.0, now - self._down_since)
        self._down_since = inf
        self._outage = None
        self._failures = 0
        self._failing.clear()
        self._interval = FIRST_INTERVAL

    def renewal_ended(self, now: float) -> None:
        """Record that the renewal which a Requeue requested has ended, with or without new credentials."""
        self._evidence.renewal_ended(now)

    def next_probe(self, now: float) -> float | None:
        """Return the seconds until a probe must be sent: 0 is now; None: no probe is needed now."""
        if self._halt is not None:
            return None
        if self._evidence.wants_probe or self._outage is Health.SUSPECT:
            return 0.0
        if self._outage is Health.DOWN:
            return None if self.probe_at is None else max(0.0, self.probe_at - now)
        if self._has_probed or not self._awaits_first_response:
            return None
        return max(0.0, self._first_sent_at + FIRST_RESPONSE_TIMEOUT - now)

    def next_check(self, now: float) -> float | None:
        """Return the seconds until `check` halts because no first answer came; None if it does not halt.

        A probe that runs at that time is cancelled.
        """
        if self._halt is not None or not self._awaits_first_response:
            return None
        return max(0.0, self._first_sent_at + LONGEST_UNANSWERED - now)

    def observe_probe(self, reply: Reply, now: float) -> HealthDecision:
        """Record the reply to a probe, and decide about the batch: Continue, Halt or GiveUp."""
        self._has_probed = True
        self._evidence.weigh_probe(reply)
        if self._outage in (Health.SUSPECT, Health.DOWN):
            if _is_failure(reply):
                self._probe_failed(now)
            else:
                self._probe_answered(now)
        return self.check(now)

    def check(self, now: float) -> HealthDecision:
        """Decide about the batch by what time has passed: Continue, Halt or GiveUp."""
        if self._halt is not None:
            return self._halt
        if self.next_check(now) == 0.0:
            return self._halted(unanswered_halt(LONGEST_UNANSWERED))
        if self._outage is Health.DOWN and self.probe_at is None:
            return GiveUp(GIVE_UP_REASON)
        return _CONTINUE

    @property
    def _awaits_first_response(self) -> bool:
        return self._first_sent_at < inf and not self.has_answered and not self._wait_for_service

    def _halted(self, halt: Halt) -> Halt:
        self._halt = self._halt or halt
        return self._halt

    def _failed(self, key: str, now: float) -> None:
        self._failures += 1
        if len(self._failing) < BREADTH:
            self._failing.add(key)
        if self._outage is Health.DOWN:
            return
        if len(self._failing) >= BREADTH or self._outage is Health.HALF_OPEN:
            self._go_down(now)
        elif self._failures >= SUSPICION:
            self._outage = Health.SUSPECT

    def _probe_failed(self, now: float) -> None:
        if self._outage is Health.DOWN:
            self._interval = min(LONGEST_INTERVAL, 2 * self._interval)
        self._go_down(now)

    def _probe_answered(self, now: float) -> None:
        """Let jobs be sent. Until one succeeds, every further interval is longer."""
        self._failures = 0
        if self._outage is Health.SUSPECT:
            self._outage = None
            return
        self._interval = min(LONGEST_ANSWERED_INTERVAL, 2 * self._interval)
        self._leave_down(now)
        self._outage = Health.HALF_OPEN

    def _go_down(self, now: float) -> None:
        self._outage = Health.DOWN
        self._down_since = min(self._down_since, now)
        left = self._give_up_after - (now - self._down_since)
        self.probe_at = now + min(self._interval, left) if left > 0 else None

    def _leave_down(self, now: float) -> None:
        if self._outage is Health.DOWN:
            self.up_since, self.probe_at = now, None


def _is_failure(reply: Reply) -> bool:
    """Whether this reply means that the service is down: no answer, or a 5xx other than 501."""
    if reply.status is None:
        return not _is_local(reply)
    return reply.status // 100 == 5 and reply.status != 501


def _is_local(reply: Reply) -> bool:
    """Whether the missing answer has a local cause, which says nothing about the service."""
    return reply.fault in {Fault.UNSIGNED, Fault.LOST}
