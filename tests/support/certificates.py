"""Certificates that are made for a test, each right or wrong in one way, and servers that show them."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Certificate(NamedTuple):
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def context(self, folder: Path) -> ssl.SSLContext:
        """Return the context of a server that shows this certificate."""
        file = folder / "server.pem"
        file.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def certificate(
    names: Sequence[str] = ("127.0.0.1",),
    *,
    begins: datetime = NOW - 2 * DAY,
    ends: datetime = NOW + DAY,
    issuer: Certificate | None = None,
) -> Certificate:
    """Make a certificate, self-signed if nobody issues it."""
    key = generate_private_key(SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Leaf" if issuer else "Root")])
    built = (
        x509.CertificateBuilder(issuer.certificate.subject if issuer else own, own, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, SHA256())
    )
    return Certificate(built, key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
