"""Telling a setting that is wrong for every record from a record that is wrong.

Until something has shown that address and credentials are right, the service is *unproven*: only a handful of
attempts is in flight, and a refusal that a wrong setting would cause as well is held against the setting, not
against the record. One created run, or a harmless question answered, is the proof.
"""

from dataclasses import dataclass

from ingestor.model.job import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.retry import Ruling, Verdict

HANDFUL = 5
"""How many attempts may be refused before the batch is halted."""

_FAULTS_WITHOUT_AN_ANSWER = 2 * HANDFUL
_MESSAGE = 160  # characters of the service's words; a proxy's page says nothing more after those
_CLOCK_SKEW = 300.0  # seconds; what OCI tolerates between the signed date and its own clock


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
    """A state machine over the replies of a batch; times are on the caller's monotonic clock."""

    def __init__(self) -> None:
        self.proven = False
        self.answered = False
        self._probed = False
        self._suspects = 0
        self._faults = 0
        self._unsent = 0
        self._unauthenticated = 0
        self._forbidden = 0
        self._renewed_at = float("-inf")

    @property
    def patience(self) -> int | None:
        """How many attempts may be in flight; None is as many as there are slots."""
        return None if self.proven else HANDFUL - 1

    def renewed(self, now: float) -> None:
        """Take note of fresh credentials: a 401 to an attempt from before says nothing about them."""
        self._renewed_at = now

    def judge(self, job: Job, ruling: Ruling, reply: Reply, *, sent_at: float) -> Judgement:
        """Say whether a reply concerns its record alone, may concern all, or does."""
        if reply.status is not None:
            self.answered = True
        match ruling.verdict:
            case Verdict.CREATED:
                return self._prove()
            case Verdict.UNAUTHENTICATED:
                return self._judge_credentials(reply, sent_at)
            case Verdict.DENIED:
                return self._judge_denial(job, reply)
            case Verdict.TRANSIENT if reply.fault is not None:
                return self._judge_fault(reply.fault, reply)
        return Proceed()

    def judge_probe(self, reply: Reply) -> None:
        """Take the reply to a harmless question: any answer shows that the service is there, a success more."""
        self.answered = self.answered or reply.status is not None
        if reply.status is not None and reply.status // 100 == 2:
            self._prove()

    def _prove(self) -> Proceed:
        self.proven = True
        self._suspects = self._unauthenticated = self._forbidden = 0
        return Proceed()

    def _judge_credentials(self, reply: Reply, sent_at: float) -> Judgement:
        if sent_at >= self._renewed_at:
            self._unauthenticated += 1
        if self._unauthenticated < HANDFUL:
            return Hold()
        return Halt(f"The service does not accept the credentials: {_told(reply)}.", _credentials_advice(reply))

    def _judge_denial(self, job: Job, reply: Reply) -> Judgement:
        if self.proven or _names_the_experiment(job, reply):
            return self._judge_right(reply)
        self._suspects += 1
        if self._suspects >= HANDFUL:
            return Halt(f"Every record so far was refused: {_told(reply)}.", _address_advice(reply))
        probe, self._probed = not self._probed, True
        return Hold(probe=probe)

    def _judge_right(self, reply: Reply) -> Judgement:
        self._forbidden = self._forbidden + 1 if reply.status == 403 else 0
        if self._forbidden < 4 * HANDFUL:
            return Proceed()
        return Halt(f"The service no longer lets these credentials in: {_told(reply)}.", _address_advice(reply))

    def _judge_fault(self, fault: Fault, reply: Reply) -> Judgement:
        if self.answered:
            return Proceed()
        self._faults += 1
        self._unsent += fault.sent_nothing
        if self._unsent >= HANDFUL or self._faults >= _FAULTS_WITHOUT_AN_ANSWER:
            return Halt(f"The service was never reached: {_told(reply)}.", _fault_advice(fault))
        return Proceed()


def _names_the_experiment(job: Job, reply: Reply) -> bool:
    if reply.status != 404 or reply.code is None:
        return False
    words = reply.message.lower()
    return "experiment" in words and (job.experiment_id is None or job.experiment_id.lower() in words)


def _told(reply: Reply) -> str:
    what = str(reply.status) if reply.fault is None else reply.fault.value
    parts = [what, reply.code or "", reply.message[:_MESSAGE]]
    return " ".join(part for part in parts if part).rstrip(". ")


def _credentials_advice(reply: Reply) -> str:
    if reply.clock_skew is not None and abs(reply.clock_skew) > _CLOCK_SKEW:
        return (
            f"This machine's clock differs from the service's by {abs(reply.clock_skew):.0f} seconds, and OCI "
            f"tolerates {_CLOCK_SKEW:.0f}: set the clock right."
        )
    return "Check --auth, --oci-config and --oci-profile: the key's fingerprint, user and tenancy, or the token's age."


def _address_advice(reply: Reply) -> str:
    if reply.code is None:
        return "This does not look like the API: check --region, --endpoint or --tracking-uri, and any proxy between."
    return (
        "Check --platform-id, --workspace and the region or endpoint, that a policy lets this principal use the "
        "workspace, and that the experiments of the first records exist."
    )


def _fault_advice(fault: Fault) -> str:
    match fault:
        case Fault.DNS:
            return "The host name does not resolve: check --region, --endpoint or --tracking-uri, and DNS."
        case Fault.TLS:
            return (
                "The TLS connection could not be trusted: check the address, the certificate, and SSL_CERT_FILE where "
                "a private authority signs it."
            )
    return "Check --region, --endpoint or --tracking-uri, that the service is up, and firewalls and proxies between."
