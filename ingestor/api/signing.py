"""What makes a request ours: signatures in OCI's scheme, bearer tokens, or nothing.

OCI signs `date (request-target) host content-length content-type x-content-sha256` with RSA-SHA256 (PKCS#1 v1.5,
which is deterministic: the same input gives the SDK's signature, byte for byte).
"""

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from yarl import URL

from ingestor.api.renewal import Lease, Renewing

CONTENT_TYPE = "application/json"
"""The media type of every request."""

_SIGNED = "date (request-target) host content-length content-type x-content-sha256"
_PADDING = PKCS1v15()
_HASH = SHA256()


class Signer(Protocol):
    """Makes requests acceptable to the service."""

    async def open(self) -> None:
        """Load the credentials. Raises CredentialsError."""
        ...

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        """Return all that authentication adds to a request that is sent now. Raises CredentialsError."""
        ...

    async def renew(self) -> bool:
        """Look for newer credentials after a 401; False where there are none. Never raises."""
        ...

    async def aclose(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs, as one whole: the key's id (it may hold a token, so it is never shown) and the key."""

    key_id: str = field(repr=False)
    private_key: RSAPrivateKey = field(repr=False, compare=False)


class RequestSigner(Renewing[Identity]):
    """Signs with an OCI identity."""

    def __init__(self, load: Callable[[], Lease[Identity]], now: Callable[[], float] = time.time) -> None:
        super().__init__(load, now)

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        """Sign with the identity of now and the time of now."""
        return signed_headers(await self.current(), method, url, body, formatdate(self._now(), usegmt=True))


class BearerSigner(Renewing[str]):
    """Shows a token."""

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:  # noqa: ARG002 -- the seam's
        """Return the token of now."""
        return {"authorization": f"Bearer {await self.current()}"}


class Anonymous:
    """Adds nothing: for servers that ask for no credentials."""

    async def open(self) -> None:
        """Do nothing."""

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:  # noqa: ARG002 -- the seam's
        """Return nothing."""
        return {}

    async def renew(self) -> bool:
        """Return False: there is nothing to renew."""
        return False

    async def aclose(self) -> None:
        """Do nothing."""


def signed_headers(identity: Identity, method: str, url: URL, body: bytes, date: str) -> dict[str, str]:
    """Sign a request with a body; `date` is an HTTP date, and `url` must be exactly what goes over the wire.

    Signing takes about 0.3 ms of one core and stays on the event loop: measured through the whole target, two threads
    made 0.97 of its requests on one core and 0.66 on two that the server shared. Another sender process does help.
    """
    signed = {
        "date": date,
        "(request-target)": f"{method.lower()} {url.raw_path_qs}",
        "host": url.raw_authority,
        "content-length": str(len(body)),
        "content-type": CONTENT_TYPE,
        "x-content-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    text = "\n".join(f"{name}: {value}" for name, value in signed.items())
    signature = base64.b64encode(identity.private_key.sign(text.encode(), _PADDING, _HASH)).decode()
    del signed["(request-target)"]
    signed["authorization"] = (
        f'Signature algorithm="rsa-sha256",headers="{_SIGNED}",keyId="{identity.key_id}",'
        f'signature="{signature}",version="1"'
    )
    return signed
