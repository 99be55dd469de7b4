"""OutboxRelay a setting that is wrong for every record from a record that is wrong.

Until something has shown that address and credentials are right, the service is *unproven*: only a handful of
attempts is in flight, and an answer that a wrong setting would cause as well is held against the setting, not
against the record. One created run, or a harmless question answered, is the proof. A long row of such answers makes
a proven service unproven again: rights and workspaces can be lost in the middle of a batch.

A service that was never reached since the start is a wrong setting too, unless it is followed: then it is waited for
like one that went down. What the service itself says is held against the setting all the same.
"""

from dataclasses import dataclass

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import address_advice, credentials_advice, fault_advice, told
from ingestor.policy.retry import Classification, ReplyKind

MAX_REFUSALS = 5
"""How many attempts may be refused before the batch is halted, where the evidence is clear."""

_MANY = 4 * MAX_REFUSALS  # where it is not: one missing experiment, in an API that does not answer questions
_FAULTS_WITHOUT_AN_ANSWER = 2 * MAX_REFUSALS
_LONGEST_WITHOUT_AN_ANSWER = 25.0  # seconds

FIRST_RESPONSE_TIMEOUT = 15.0
"""Seconds without any answer after which the service is asked a harmless question."""
PROBE_TIMEOUT = _LONGEST_WITHOUT_AN_ANSWER - FIRST_RESPONSE_TIMEOUT
"""Seconds that it gets to answer that."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Why nothing more is sent, and what to look at."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class Proceed:
    """The reply concerns its record alone."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The reply may concern every record: keep the job. `probe` asks the service a harmless question first."""

    probe: bool = False


Judgement = Proceed | Hold | Halt


class HaltPolicy:
    """A state machine over the replies of a batch; times are on the caller's monotonic clock.

    `proven` is whether address and credentials were shown to be right, `answered` whether the service ever spoke.
    `follow` says that a service which was never reached is waited for.
    """

    def __init__(self, *, follow: bool = False) -> None:
        self._follow = follow
        self.proven = False
        self.answered = False
        self._asked = False
        self._question_denied = False
        self._suspects = 0
        self._suspected: set[str | None] = set()
        self._denials_in_a_row = 0
        self._refusal: tuple[str | None, str] = ("", "")
        self._same_refusals = 0
        self._faults = 0
        self._unsent = 0
        self._begun_at: float | None = None
        self._unauthenticated = 0
        self._renewed_at = float("-inf")

    @property
    def patience(self) -> int | None:
        """How many attempts may be in flight; None is as many as there are slots."""
        return None if self.proven else MAX_REFUSALS - 1

    def renewed(self, now: float) -> None:
        """Take note of fresh credentials: a 401 to an attempt from before says nothing about them."""
        self._renewed_at = now

    def judge(self, job: Job, classification: Classification, reply: Reply, *, sent_at: float, now: float) -> Judgement:
        """Say whether a reply concerns its record alone, may concern all, or does."""
        self._begun_at = sent_at if self._begun_at is None else min(sent_at, self._begun_at)
        if reply.status is not None:
            self.answered = True
        match classification.kind:
            case ReplyKind.CREATED:
                return self._prove()
            case ReplyKind.UNAUTHENTICATED:
                return self._judge_credentials(reply, sent_at)
            case ReplyKind.DENIED:
                return self._judge_denial(job, reply)
            case ReplyKind.REFUSED:
                return self._judge_refusal(reply)
            case ReplyKind.TRANSIENT:
                return self._judge_transient(job, reply, now - self._begun_at)
        return Proceed()

    def judge_probe(self, reply: Reply) -> None:
        """Take the reply to the harmless question: any answer shows that the service is there, a success more."""
        self.answered = self.answered or reply.status is not None
        if _is_success(reply):
            self._prove()
        elif reply.status is not None and reply.status < 500 and reply.status != 429 and reply.code is not None:
            self._question_denied = True

    def judge_silence(self) -> Halt | None:
        """Say what it means that nothing was answered for as long as an answer may take; None where something was."""
        if self.answered or self._follow:
            return None
        seconds = f"{_LONGEST_WITHOUT_AN_ANSWER:.0f}"
        return Halt(f"The service was never reached: no answer for {seconds} seconds.", fault_advice(Fault.TIMEOUT))

    def is_waited_for(self, reply: Reply) -> bool:
        """Whether a service that fails so is waited for: one that never was up has not gone down, unless followed."""
        return self.answered or (self._follow and reply.fault is not Fault.TLS)

    def _prove(self) -> Proceed:
        self.proven = True
        self._asked = self._question_denied = False
        self._suspects = self._unauthenticated = self._denials_in_a_row = self._same_refusals = 0
        self._suspected.clear()
        return Proceed()

    def _judge_credentials(self, reply: Reply, sent_at: float) -> Judgement:
        if sent_at >= self._renewed_at:
            self._unauthenticated += 1
        if self._unauthenticated < MAX_REFUSALS:
            return Hold()
        return Halt(f"The service does not accept the credentials: {told(reply)}.", credentials_advice(reply))

    def _judge_denial(self, job: Job, reply: Reply) -> Judgement:
        if _speaks_of_the_experiment(reply):
            return Proceed()
        if self.proven:
            self._denials_in_a_row += 1
            if reply.code is not None and self._denials_in_a_row < _MANY:
                return Proceed()
            if self._denials_in_a_row < MAX_REFUSALS:
                return Hold()  # without a code it is not the service's word on the record
            self.proven = False
        return self._suspect(job, reply)

    def _suspect(self, job: Job, reply: Reply) -> Judgement:
        self._suspects += 1
        if len(self._suspected) < MAX_REFUSALS:
            self._suspected.add(job.experiment_id)
        clear = reply.code is None or self._question_denied or len(self._suspected) >= MAX_REFUSALS
        if self._suspects >= (MAX_REFUSALS if clear else _MANY):
            return Halt(f"One record after the other was refused: {told(reply)}.", address_advice(reply))
        return Hold(probe=self._ask_once())

    def _judge_refusal(self, reply: Reply) -> Judgement:
        """Judge a 400: a handful in the same words may speak of the address, if the question is denied too."""
        if self.proven:
            return Proceed()
        refusal = (reply.code, reply.message)
        self._same_refusals = self._same_refusals + 1 if refusal == self._refusal else 1
        self._refusal = refusal
        if self._same_refusals < MAX_REFUSALS:
            return Proceed()
        if self._question_denied:
            return Halt(f"One record after the other was refused: {told(reply)}.", address_advice(reply))
        return Hold(probe=True) if self._ask_once() else Proceed()

    def _ask_once(self) -> bool:
        ask, self._asked = not self._asked, True
        return ask

    def _judge_transient(self, job: Job, reply: Reply, seconds: float) -> Judgement:
        if reply.fault is not None:
            return self._judge_fault(reply.fault, reply, seconds)
        if _is_success(reply) and not self.proven:
            return self._suspect(job, reply)  # a page where a run should be: a portal, a sign-in
        return Proceed()

    def _judge_fault(self, fault: Fault, reply: Reply, seconds: float) -> Judgement:
        if fault is Fault.LOST or self.is_waited_for(reply):
            return Proceed()
        self._faults += 1
        self._unsent += fault.sent_nothing
        enough = self._unsent >= MAX_REFUSALS or self._faults >= _FAULTS_WITHOUT_AN_ANSWER
        if enough or seconds >= _LONGEST_WITHOUT_AN_ANSWER:
            return Halt(f"The service was never reached: {told(reply)}.", fault_advice(fault))
        return Proceed()


def _is_success(reply: Reply) -> bool:
    return reply.status is not None and reply.status // 100 == 2


def _speaks_of_the_experiment(reply: Reply) -> bool:
    return reply.status == 404 and reply.code is not None and "experiment" in reply.message.lower()
