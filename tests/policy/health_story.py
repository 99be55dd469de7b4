"""A story for tests of the health of the service: replies and probes on a clock, and its usual states."""

from dataclasses import dataclass, field, replace
from math import inf

from ingestor.model.activity import Health
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import UNKNOWN, Access, Halt
from ingestor.policy.breaker import SUSPICION
from ingestor.policy.decisions import REQUEUE_DELAY, Continue, GiveUp, HealthDecision, Requeue
from ingestor.policy.health import ServiceHealth
from ingestor.policy.plan import create_request
from ingestor.policy.retry import classify
from ingestor.policy.tallies import MAX_REFUSALS
from tests.support.records import job

CREATED = Reply(status=200, run_id="run-1")
GRANTED = Reply(status=200)
PAGE = Reply(status=200, message="<html> Sign in")
BAD_RECORD = Reply(status=400, code="InvalidParameter", message="tags are odd")
BAD_KEY = Reply(status=401, code="NotAuthenticated", message="no")
NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound", message="not authorized or not found")
FORBIDDEN = Reply(status=403, code="NotAuthorized", message="not allowed")
NO_SUCH_ROUTE = Reply(status=404, message="<html>")
NO_SUCH_EXPERIMENT = Reply(status=404, code="NotAuthorizedOrNotFound", message="Experiment not found")
THROTTLED = Reply(status=429)
BUSY = Reply(status=503)
MALFORMED = Reply(fault=Fault.MALFORMED, message="Content-Length twice")
NOT_IMPLEMENTED = Reply(status=501, code="NotImplemented")
CLOSED = Reply(fault=Fault.REFUSED, message="connection refused")
RESET = Reply(fault=Fault.RESET, message="connection reset")
TLS = Reply(fault=Fault.TLS, message="certificate verify failed")
LOST = Reply(fault=Fault.LOST)

CREATE = create_request(job(1), stamped=True)
GOES_ON = Continue()
GAVE_UP_REASON = "the service was down for longer than --give-up-after"
GAVE_UP = GiveUp(f"{GAVE_UP_REASON}: connection refused")
QUEUED_AGAIN = Requeue(REQUEUE_DELAY)
QUEUED_AND_RENEWED = Requeue(REQUEUE_DELAY, renew_credentials=True)


@dataclass
class Story:
    """A service's health, and a clock. Each reply takes no time."""

    wait_for_service: bool = False
    give_up_after: float = inf
    has_created: bool = False
    access: Access = UNKNOWN
    now: float = 100.0
    health: ServiceHealth = field(init=False)

    def __post_init__(self) -> None:
        self.health = ServiceHealth(
            wait_for_service=self.wait_for_service,
            give_up_after=self.give_up_after,
            has_created=self.has_created,
            access=self.access,
        )

    def reply(
        self,
        reply: Reply,
        number: int = 1,
        *,
        experiment: str = "1",
        sent_at: float | None = None,
        failed_before: bool = False,
    ) -> HealthDecision:
        """Give the reply to an attempt of job `number`."""
        sent_at = self.now if sent_at is None else sent_at
        subject = replace(job(number), experiment_id=experiment)
        reply = replace(reply, run_id=f"run-{number}") if reply is CREATED else reply
        what = classify(reply, CREATE)
        return self.health.observe(subject, what, reply, sent_at=sent_at, now=self.now, failed_before=failed_before)

    def refuse_credentials(self, reply: Reply = BAD_KEY) -> HealthDecision:
        """Give a 401, and let the renewal that it begins end at once."""
        decision = self.reply(reply)
        self.health.renewal_ended(self.now)
        return decision

    def probe(self, reply: Reply) -> HealthDecision:
        """Give the reply to a probe, which is due."""
        assert self.health.next_probe(self.now) == 0
        return self.health.observe_probe(reply, self.now)

    def probe_late(self, reply: Reply) -> None:
        """Give the reply to the next probe, as soon as that is due."""
        self.now += self.health.next_probe(self.now) or 0.0
        self.probe(reply)

    def look_up(self, reply: Reply, number: int = 1) -> HealthDecision:
        """Give the reply to a look-up of job `number` that was not answered."""
        return self.health.observe(job(number), classify(reply), reply, sent_at=self.now, now=self.now, is_look_up=True)

    @property
    def state(self) -> "State":
        """Return the state, the most attempts in flight, and whether any may leave."""
        return self.health.health, self.health.max_in_flight, self.health.may_send


def up(**options: float) -> Story:
    story = Story(**options)  # type: ignore[arg-type]
    story.reply(CREATED)
    return story


def suspect(**options: float) -> Story:
    story = up(**options)
    for _ in range(SUSPICION):
        assert story.reply(BUSY) == GOES_ON
    return story


def down(**options: float) -> Story:
    story = suspect(**options)
    story.probe(BUSY)
    return story


def half_open(**options: float) -> Story:
    story = down(**options)
    story.now += 1.0
    story.probe(GRANTED)
    return story


def known() -> Story:
    return Story(has_created=True)


def refusals_until_halt(story: Story, reply: Reply, *, experiments: int = 1, most: int = 100) -> int:
    for number in range(1, most + 1):
        decision = story.reply(reply, number, experiment=str(number % experiments))
        if isinstance(decision, Halt):
            assert story.health.health is Health.HALTED
            assert not story.health.may_send
            assert story.health.check(story.now + 1.0) == decision
            return number
        assert isinstance(decision, Requeue)
    raise AssertionError("it never halts")


State = tuple[Health, int | None, bool]
UNPROVEN: State = (Health.UNPROVEN, MAX_REFUSALS - 1, True)
UP: State = (Health.UP, None, True)
SUSPECT: State = (Health.SUSPECT, None, True)
SUSPECT_UNPROVEN: State = (Health.SUSPECT, MAX_REFUSALS - 1, True)
DOWN: State = (Health.DOWN, None, False)
DOWN_UNPROVEN: State = (Health.DOWN, MAX_REFUSALS - 1, False)
HALF_OPEN: State = (Health.HALF_OPEN, 1, True)
