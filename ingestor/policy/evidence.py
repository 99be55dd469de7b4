"""Evidence that a setting is wrong for every record, as opposed to a record that is wrong.

A wrong address, a missing right or a bad credential causes replies that a bad record causes too. Until something proves
that address and credentials are right, such a reply is held against the setting. Proof is a request or a probe that
succeeds. A long row of such replies takes the proof back: rights and workspaces can be lost in the middle of a batch.
"""

from dataclasses import dataclass

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.retry import Classification, ReplyKind

MAX_REFUSALS = 5
"""How many attempts may be refused before the batch is halted, where the evidence is clear."""

MANY_REFUSALS = 4 * MAX_REFUSALS
"""How many, where it is not: one missing experiment, in an API that does not answer the probe."""

MAX_FAULTS = 2 * MAX_REFUSALS
"""How many attempts may end without an answer before the first answer."""

LONGEST_UNANSWERED = 25.0
"""Seconds from the first request on in which a service must answer something."""

REQUEUE_DELAY = 0.5
"""Seconds between attempts of a job whose reply may concern every record."""


_MESSAGE_LENGTH = 160  # characters of the service's message; the rest of a proxy's page says nothing more
_CLOCK_SKEW = 300.0  # seconds that OCI allows between the signed date and its own clock


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more is sent: what is wrong for every record, and what to check."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class Requeue:
    """The reply may concern every record: queue the job again, due in `delay` seconds.

    `renew_credentials`: fetch fresh credentials first.
    """

    delay: float
    renew_credentials: bool = False


Weight = Halt | Requeue | None
"""What a reply is worth as evidence; None: it concerns its record alone."""

_REQUEUE = Requeue(REQUEUE_DELAY)
_RENEW = Requeue(REQUEUE_DELAY, renew_credentials=True)


class SettingEvidence:
    """Counts the replies that a wrong setting causes. `wait_for_service`: a service that never answered is waited for.

    Attributes:
        proven: whether address and credentials are right.
        has_answered: whether the service ever answered.
        wants_probe: whether a probe would make the evidence clear.
    """

    def __init__(self, *, wait_for_service: bool) -> None:
        self.proven = False
        self.has_answered = False
        self.wants_probe = False
        self._wait_for_service = wait_for_service
        self._has_probed = False
        self._probe_denied = False
        self._suspicious = 0
        self._suspicious_experiments: set[str | None] = set()
        self._denials_in_a_row = 0
        self._refusal: tuple[str | None, str] = ("", "")
        self._same_refusals = 0
        self._faults = 0
        self._unsent = 0
        self._unauthenticated = 0
        self._renewed_at = float("-inf")

    def renewed(self, now: float) -> None:
        """Take note of fresh credentials: a 401 to an attempt from before says nothing about them."""
        self._renewed_at = now

    def is_outage(self, reply: Reply) -> bool:
        """Whether a service that fails so is down. One that never answered has not gone down, unless it is waited for.

        TLS that is refused is a setting that is wrong, even there.
        """
        return self.has_answered or (self._wait_for_service and reply.fault is not Fault.TLS)

    def prove(self) -> None:
        """Take a success: address and credentials are right."""
        self.proven = True
        self.wants_probe = self._has_probed = self._probe_denied = False
        self._suspicious = self._unauthenticated = self._denials_in_a_row = self._same_refusals = 0
        self._suspicious_experiments.clear()

    def weigh_probe(self, reply: Reply) -> None:
        """Take the reply to a probe, or the answer to a look-up."""
        self.has_answered = self.has_answered or reply.status is not None
        self.wants_probe = False
        if _is_success(reply):
            self.prove()
        elif reply.status is not None and reply.status < 500 and reply.status != 429 and reply.code is not None:
            self._probe_denied = True

    def weigh(
        self, job: Job, classification: Classification, reply: Reply, *, sent_at: float, seconds: float
    ) -> Weight:
        """Weigh the reply to an attempt; `seconds` have passed since the first one of the batch."""
        self.has_answered = self.has_answered or reply.status is not None
        match classification.kind:
            case ReplyKind.SUCCEEDED:
                self.prove()
            case ReplyKind.UNAUTHENTICATED:
                return self._weigh_credentials(reply, sent_at)
            case ReplyKind.DENIED:
                return self._weigh_denial(job, reply)
            case ReplyKind.REFUSED:
                return self._weigh_refusal(reply)
            case ReplyKind.TRANSIENT:
                return self._weigh_transient(job, reply, seconds)
        return None

    def _weigh_credentials(self, reply: Reply, sent_at: float) -> Weight:
        if sent_at >= self._renewed_at:
            self._unauthenticated += 1
        return _RENEW if self._unauthenticated < MAX_REFUSALS else credentials_halt(reply)

    def _weigh_denial(self, job: Job, reply: Reply) -> Weight:
        if _names_the_experiment(reply):
            return None
        if self.proven:
            self._denials_in_a_row += 1
            if reply.code is not None and self._denials_in_a_row < MANY_REFUSALS:
                return None
            if self._denials_in_a_row < MAX_REFUSALS:
                return _REQUEUE  # without a code, the service itself has not judged the record
            self.proven = False
        return self._suspect(job, reply)

    def _suspect(self, job: Job, reply: Reply) -> Weight:
        self._suspicious += 1
        self._suspicious_experiments.add(job.experiment_id)
        many_experiments = len(self._suspicious_experiments) >= MAX_REFUSALS
        is_clear = reply.code is None or self._probe_denied or many_experiments
        if self._suspicious >= (MAX_REFUSALS if is_clear else MANY_REFUSALS):
            return refused_halt(reply)
        self._probe_once()
        return _REQUEUE

    def _weigh_refusal(self, reply: Reply) -> Weight:
        """Weigh a 400: several with the same words may concern the address, if the probe is denied too."""
        if self.proven:
            return None
        refusal = (reply.code, reply.message)
        self._same_refusals = self._same_refusals + 1 if refusal == self._refusal else 1
        self._refusal = refusal
        if self._same_refusals < MAX_REFUSALS:
            return None
        if self._probe_denied:
            return refused_halt(reply)
        return _REQUEUE if self._probe_once() else None

    def _probe_once(self) -> bool:
        """Request a probe, if there was none since the last proof; return whether there was none."""
        is_first = not self._has_probed
        self._has_probed = True
        self.wants_probe = self.wants_probe or is_first
        return is_first

    def _weigh_transient(self, job: Job, reply: Reply, seconds: float) -> Weight:
        if reply.fault is not None:
            return self._weigh_fault(reply.fault, reply, seconds)
        if _is_success(reply) and not self.proven:
            return self._suspect(job, reply)  # a page where a run is expected: a captive portal, a sign-in page
        return None

    def _weigh_fault(self, fault: Fault, reply: Reply, seconds: float) -> Weight:
        if fault is Fault.LOST or self.is_outage(reply):
            return None
        self._faults += 1
        self._unsent += fault.sent_nothing
        is_enough = self._unsent >= MAX_REFUSALS or self._faults >= MAX_FAULTS
        return unreached_halt(reply) if is_enough or seconds >= LONGEST_UNANSWERED else None


def _is_success(reply: Reply) -> bool:
    return reply.status is not None and reply.status // 100 == 2


def _names_the_experiment(reply: Reply) -> bool:
    return reply.status == 404 and reply.code is not None and "experiment" in reply.message.lower()


def credentials_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose credentials are not accepted."""
    return Halt(f"The service does not accept the credentials: {_words(reply)}.", _credentials_advice(reply))


def refused_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose records are refused one after the other."""
    return Halt(f"One record after the other was refused: {_words(reply)}.", _address_advice(reply))


def unreached_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose service was never reached."""
    return Halt(f"The service was never reached: {_words(reply)}.", _reach_advice(reply.fault))


def unanswered_halt() -> Halt:
    """Return the halt of a batch whose service answered nothing for LONGEST_UNANSWERED seconds."""
    reason = f"The service was never reached: no answer for {LONGEST_UNANSWERED:.0f} seconds."
    return Halt(reason, _reach_advice(Fault.TIMEOUT))


def _words(reply: Reply) -> str:
    """Return status or fault, code, and the beginning of the message."""
    parts = (str(reply.fault or reply.status), reply.code, reply.message[:_MESSAGE_LENGTH])
    return " ".join(filter(None, parts)).rstrip(". ")


def _credentials_advice(reply: Reply) -> str:
    if reply.clock_skew is not None and abs(reply.clock_skew) > _CLOCK_SKEW:
        return (
            f"This machine's clock differs from the service's by {abs(reply.clock_skew):.0f} seconds, and OCI "
            f"allows {_CLOCK_SKEW:.0f}: set the clock right."
        )
    return "Check --auth, --oci-config and --oci-profile: the key's fingerprint, user and tenancy, or the token's age."


def _address_advice(reply: Reply) -> str:
    if reply.code is None:
        return "This does not look like the API: check --region, --endpoint or --tracking-uri, and any proxy between."
    return (
        "Check --platform-id, --workspace and the region or endpoint (or --tracking-uri), that a policy lets this "
        "principal use the workspace, and that the experiments of the first records exist."
    )


def _reach_advice(fault: Fault | None) -> str:
    if fault is Fault.DNS:
        return "The host name does not resolve: check --region, --endpoint or --tracking-uri, and DNS."
    if fault is Fault.TLS:
        return (
            "The TLS connection is not trusted: check the address, the certificate, and SSL_CERT_FILE where a "
            "private authority signs it."
        )
    return "Check --region, --endpoint or --tracking-uri, that the service is up, and firewalls and proxies between."
