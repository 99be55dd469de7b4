"""Why a TLS connection failed, in words: which rule the certificate breaks, or why there is no TLS at all."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ingestor.api.trust import CA_FILE, Trusted

_FACTS_TIMEOUT = 3.0  # seconds to look at a certificate that was refused
_MOST_NAMES = 5  # of a certificate that are shown

# Codes of X509_verify_cert (OpenSSL's x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_AUTHORITY = frozenset({2, 7, 19, 20, 21})  # 7: another authority has the same name
_OTHER_HOST = frozenset({62, 64})

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_OTHER_VERSION = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNKNOWN_PROTOCOL",
        "UNSUPPORTED_PROTOCOL",
        "VERSION_TOO_LOW",
        "WRONG_SSL_VERSION",
    }
)
_REFUSALS = frozenset({"SSLV3_ALERT_HANDSHAKE_FAILURE", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_ACCESS_DENIED"})


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server's certificate says; nothing has verified it."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Security:
    """How a connection is protected: the version of TLS, and the server's certificate, which is verified."""

    version: str
    certificate: Certificate


def security_of(connection: ssl.SSLObject) -> Security | None:
    """Return how an established connection is protected; None if it shows no certificate."""
    der = connection.getpeercert(binary_form=True)
    return None if der is None else Security(connection.version() or "", _read(x509.load_der_x509_certificate(der)))


async def certificate_of(host: str, port: int) -> Certificate | None:
    """Return the certificate that a server shows now, None if that fails. Sends nothing but a TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_FACTS_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host.rstrip("."))
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return _read(x509.load_der_x509_certificate(der))
    return None


def reason(error: OSError, host: str, address: str, trusted: Trusted, certificate: Certificate | None = None) -> str:
    """Return why the TLS handshake with `address`, host and port, failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, host, address, trusted, certificate)
    code = getattr(error, "reason", None) or ""
    if code in _NO_TLS:
        return f"{address} does not answer in TLS: is it a port for plain HTTP? Check scheme and port of the address"
    if code in _OTHER_VERSION:
        return f"{address} offers no version of TLS that is allowed (1.2 and later)"
    if "CERTIFICATE_REQUIRED" in code:
        return f"{address} requires a client certificate, which is not supported"
    if code in _REFUSALS:
        return (
            f"{address} refuses the TLS handshake ({code.replace('_', ' ').lower()}): it may require a client "
            "certificate, which is not supported, or other ciphers"
        )
    words = code.replace("_", " ").lower() or str(error) or type(error).__name__
    return f"the TLS handshake with {address} failed: {words}"


def _distrust(
    error: ssl.SSLCertVerificationError, host: str, address: str, trusted: Trusted, certificate: Certificate | None
) -> str:
    subject = f"the certificate of {address}"
    code = error.verify_code
    if code == _EXPIRED:
        since = f" on {certificate.ends:%Y-%m-%d %H:%M} UTC" if certificate else ""
        return f"{subject} expired{since}: renew it on the server, or set this machine's clock right"
    if code == _NOT_YET_VALID:
        when = f"before {certificate.begins:%Y-%m-%d %H:%M} UTC" if certificate else "yet"
        return f"{subject} is not valid {when}: set this machine's clock right"
    if code in _OTHER_HOST:
        names = f" It is for {_some(certificate.names)}." if certificate and certificate.names else ""
        return f"{subject} is not for the host name {host}.{names} Check the address"
    if code == _SELF_SIGNED:
        return f"{subject} is self-signed. {_trust('it', trusted)}"
    if code in _UNKNOWN_AUTHORITY:
        issuer = f": {certificate.issuer}" if certificate else ""
        advice = _trust("the certificate of that authority", trusted)
        return f"{subject} is signed by an unknown authority{issuer}. {advice}"
    return f"{subject} is not trusted: {error.verify_message}"


def _trust(what: str, trusted: Trusted) -> str:
    """Return how to trust a certificate, or what is wrong with the file that should make it trusted."""
    if trusted.file is None:
        return f"If you trust it, put {what} into a file, and name that file with {CA_FILE}"
    if problem := trusted.problem:
        return f"{trusted.named_by} names {trusted.file}, which {problem}"
    return f"{trusted.named_by} names {trusted.file}, which does not hold {what}"


def _read(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        names=tuple(_names(certificate)),
        issuer=certificate.issuer.rfc4514_string(),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    hosts, addresses = names.get_values_for_type(x509.DNSName), names.get_values_for_type(x509.IPAddress)
    return [*hosts, *map(str, addresses)]


def _some(names: tuple[str, ...]) -> str:
    others = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {others} more" if others > 0 else "")
