"""What a person should look at when a batch is halted."""

from ingestor.model.reply import Fault, Reply

_MESSAGE = 160  # characters of the service's words; a proxy's page says nothing more after those
_CLOCK_SKEW = 300.0  # seconds; what OCI tolerates between the signed date and its own clock


def told(reply: Reply) -> str:
    """Put a reply in words: status or fault, code, and the beginning of the message."""
    what = str(reply.status) if reply.fault is None else reply.fault.value
    parts = [what, reply.code or "", reply.message[:_MESSAGE]]
    return " ".join(part for part in parts if part).rstrip(". ")


def credentials_advice(reply: Reply) -> str:
    """Say what to look at where credentials are not accepted."""
    if reply.clock_skew is not None and abs(reply.clock_skew) > _CLOCK_SKEW:
        return (
            f"This machine's clock differs from the service's by {abs(reply.clock_skew):.0f} seconds, and OCI "
            f"tolerates {_CLOCK_SKEW:.0f}: set the clock right."
        )
    return "Check --auth, --oci-config and --oci-profile: the key's fingerprint, user and tenancy, or the token's age."


def address_advice(reply: Reply) -> str:
    """Say what to look at where every record is refused."""
    if reply.code is None:
        return "This does not look like the API: check --region, --endpoint or --tracking-uri, and any proxy between."
    return (
        "Check --platform-id, --workspace and the region or endpoint (or --tracking-uri), that a policy lets this "
        "principal use the workspace, and that the experiments of the first records exist."
    )


def fault_advice(fault: Fault) -> str:
    """Say what to look at where the service was never reached."""
    match fault:
        case Fault.DNS:
            return "The host name does not resolve: check --region, --endpoint or --tracking-uri, and DNS."
        case Fault.TLS:
            return (
                "The TLS connection could not be trusted: check the address, the certificate, and SSL_CERT_FILE where "
                "a private authority signs it."
            )
    return "Check --region, --endpoint or --tracking-uri, that the service is up, and firewalls and proxies between."
