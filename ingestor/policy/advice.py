"""Halts: what is wrong for every record, and what a person should check."""

from dataclasses import dataclass

from ingestor.model.reply import Fault, Reply

_MESSAGE_LENGTH = 160  # characters of the service's message; the rest of a proxy's page says nothing more
_CLOCK_SKEW = 300.0  # seconds that OCI allows between the signed date and its own clock


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more is sent: what is wrong for every record, and what to check."""

    reason: str
    advice: str


def credentials_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose credentials are not accepted."""
    return Halt(f"The service does not accept the credentials: {_words(reply)}.", _credentials_advice(reply))


def refused_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose records are all refused."""
    return Halt(f"Every record was refused: {_words(reply)}.", _address_advice(reply))


def unreached_halt(reply: Reply) -> Halt:
    """Return the halt of a batch whose service was never reached."""
    return Halt(f"The service was never reached: {_words(reply)}.", _reach_advice(reply.fault))


def unanswered_halt(seconds: float) -> Halt:
    """Return the halt of a batch whose service answered nothing for so many seconds."""
    reason = f"The service was never reached: no answer for {seconds:.0f} seconds."
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
        return "The answers do not come from the API: check --region, --endpoint or --tracking-uri, and any proxies."
    return (
        "Check --platform-id, --workspace and the region or endpoint (or --tracking-uri), that a policy lets this "
        "principal create runs in the workspace, and that the experiments of the first records exist."
    )


def _reach_advice(fault: Fault | None) -> str:
    if fault is Fault.DNS:
        return "The host name does not resolve: check --region, --endpoint or --tracking-uri, and DNS."
    if fault is Fault.TLS:
        return (
            "The TLS connection is not trusted: check the address, the certificate, and SSL_CERT_FILE if a "
            "private authority signs it."
        )
    return "Check --region, --endpoint or --tracking-uri, that the service is up, and any firewalls and proxies."
