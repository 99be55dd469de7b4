import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from yarl import URL

from ingestor.model.record import Line, Origin, RunDetails
from ingestor.model.request import Request
from ingestor.policy.identity import Scope, make_job
from ingestor.policy.plan import create_request

TENANCY = "ocid1.tenancy.oc1..aaaatenancy"
USER = "ocid1.user.oc1..aaaauser"
FINGERPRINT = ":".join(["ab"] * 16)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Serve(Protocol):
    """Serves a handler on loopback while the context lasts, and yields its address."""

    def __call__(self, handler: Handler, context: ssl.SSLContext | None = None) -> AbstractAsyncContextManager[URL]: ...


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def other_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def create() -> Request:
    """The create request of a record."""
    line, details = Line(Origin("runs.jsonl", 1), b"{}"), RunDetails("7", "first", 1_700_000_000_000, (("a", "b"),))
    return create_request(make_job(line, "job-1", details, Scope("p", "w", "b")), stamped=True)


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[URL]:
        runner = web.ServerRunner(web.Server(handler))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield URL.build(scheme="https" if context else "http", host="127.0.0.1", port=runner.addresses[0][1])
        finally:
            await runner.cleanup()

    return serving


def pem(key: RSAPrivateKey, passphrase: str | None = None) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def certificate(key: RSAPrivateKey, ends: datetime | None = None) -> bytes:
    """Make a self-signed certificate for 127.0.0.1 that names the tenancy, as an instance's does."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, f"opc-tenant:{TENANCY}")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(ends or now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def tls(folder: Path, key: RSAPrivateKey, ends: datetime | None = None) -> tuple[ssl.SSLContext, Path]:
    """Make a server's TLS context, and the file of the certificate that a client must trust."""
    trusted = folder / "ca.crt"
    trusted.write_bytes(certificate(key, ends))
    (folder / "server.pem").write_bytes(pem(key) + trusted.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, trusted


def jwt(expiry: float, issued: float = 0.0, **claims: str) -> str:
    """Make a token in the form of OCI's; nothing checks its signature."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return ".".join(
        [part({"alg": "RS256", "typ": "JWT"}), part({"exp": int(expiry), "iat": int(issued), **claims}), "c2ln"]
    )


def write_profile(folder: Path, name: str = "DEFAULT", **fields: str | Path) -> Path:
    """Add a profile to the config file of a folder."""
    file = folder / "config"
    text = "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in fields.items())])
    with file.open("a") as config:
        config.write(text + "\n\n")
    return file
