"""Credentials: the signer of each kind, and what can be checked without a request."""

import base64
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from ingestor.api.credential_files import FileError, expanded, read_token
from ingestor.api.options import AuthOptions
from ingestor.api.principals import PRINCIPALS, check_place, principal
from ingestor.api.profile import load_api_key, load_session_token
from ingestor.api.signing import (
    RENEWAL_INTERVAL,
    Anonymous,
    BasicSigner,
    BearerSigner,
    Lease,
    RequestSigner,
    Signer,
)
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.text import WHOLE, printable


def make_signer(auth: AuthOptions, *, is_rehearsal: bool = False, ca_file: Path | None = None) -> Signer:
    """Return the signer for these credentials. Nothing is read before it is opened.

    For a rehearsal, on this machine, an API key may have any fingerprint. `ca_file` has the certificates of the
    authorities that are trusted where a token is fetched.
    """
    match auth.kind:
        case AuthKind.NONE:
            return Anonymous()
        case AuthKind.BEARER:
            return BearerSigner(partial(load_bearer, auth))
        case AuthKind.BASIC:
            return BasicSigner(partial(load_basic, auth))
        case AuthKind.API_KEY:
            return RequestSigner(partial(load_api_key, auth, is_rehearsal=is_rehearsal))
        case AuthKind.SESSION_TOKEN:
            return RequestSigner(partial(load_session_token, auth))
        case _:
            return RequestSigner(principal(auth.kind, ca_file).load)


def check_without_request(auth: AuthOptions, *, is_rehearsal: bool = False) -> None:
    """Check everything about the credentials that needs no request, as `make_signer`. Raises CredentialsError."""
    if auth.kind in PRINCIPALS:
        check_place(auth.kind)
    else:
        make_signer(auth, is_rehearsal=is_rehearsal).load()


def load_bearer(auth: AuthOptions, now: Callable[[], float] = time.time) -> Lease[str]:
    """Load a bearer token; a token file is read again at every renewal. Raises CredentialsError."""
    file = auth.bearer_token_file
    if file is None:
        token = _revealed(auth.bearer_token)
        return Lease(token, secrets=(token,))
    try:
        token = read_token(expanded(file))
    except FileError as error:
        raise CredentialsError(f"{printable(str(file), WHOLE)}: the file of the bearer token {error}.") from None
    return Lease(token, renew_at=now() + RENEWAL_INTERVAL, secrets=(token,))


def load_basic(auth: AuthOptions) -> Lease[str]:
    """Return name and password as a header contains them (RFC 7617, in UTF-8)."""
    password = _revealed(auth.basic_password)
    encoded = base64.b64encode(f"{auth.basic_username}:{password}".encode(errors="surrogateescape")).decode()
    return Lease(encoded, secrets=(encoded, password))


def _revealed(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
