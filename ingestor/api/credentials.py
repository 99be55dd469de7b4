"""Which credentials, and from where."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ingestor.api import principals
from ingestor.api.options import AuthKind, AuthOptions
from ingestor.api.principals import Principal, SdkSigner
from ingestor.api.profile import SessionToken, load_api_key
from ingestor.api.renewal import PAUSE, Lease
from ingestor.api.signing import Anonymous, BearerSigner, RequestSigner, Signer
from ingestor.model.errors import CredentialsError

_PRINCIPALS: dict[AuthKind, tuple[Callable[[], SdkSigner], str]] = {
    AuthKind.INSTANCE_PRINCIPAL: (
        principals.instance_principal,
        "It works on an OCI compute instance that belongs to a dynamic group.",
    ),
    AuthKind.RESOURCE_PRINCIPAL: (
        principals.resource_principal,
        "It works inside OCI services, which set the OCI_RESOURCE_PRINCIPAL_* variables.",
    ),
    AuthKind.WORKLOAD_IDENTITY: (
        principals.workload_identity,
        "It works in a pod of an enhanced OKE cluster, with a service account's token.",
    ),
}


def make_signer(auth: AuthOptions) -> Signer:
    """Return the signer for a user's choice. Nothing is read before it is opened."""
    match auth.kind:
        case AuthKind.NONE:
            return Anonymous()
        case AuthKind.BEARER:
            return BearerSigner(partial(load_bearer, auth))
        case AuthKind.API_KEY:
            return RequestSigner(partial(load_api_key, auth.oci_config, auth.oci_profile, auth.passphrase))
        case AuthKind.SESSION_TOKEN:
            return RequestSigner(SessionToken(auth.oci_config, auth.oci_profile, auth.passphrase).load)
        case _:
            build, hint = _PRINCIPALS[auth.kind]
            return RequestSigner(Principal(build, auth.kind, hint).load)


def load_bearer(auth: AuthOptions, now: Callable[[], float] = time.time) -> Lease[str]:
    """Load a bearer token; one from a file is looked at again and again. Raises CredentialsError."""
    if auth.bearer_token_file is not None:
        token = _read_token(auth.bearer_token_file)
        return Lease(_checked(token, str(auth.bearer_token_file)), renew_at=now() + PAUSE)
    token = auth.bearer_token.get_secret_value() if auth.bearer_token else ""
    return Lease(_checked(token, "bearer_token"))


def _read_token(file: Path) -> str:
    try:
        return file.expanduser().read_bytes().decode(errors="replace")
    except OSError as error:
        raise CredentialsError(f"{file}: the bearer token can't be read ({error.strerror}).") from None


def _checked(token: str, where: str) -> str:
    """Return a token that is fit for a header."""
    token = token.strip()
    if not token:
        raise CredentialsError(
            f"{where}: there is no bearer token. Set bearer_token in the environment or bearer_token_file."
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CredentialsError(f"{where}: what is there is not a bearer token: it holds white space or odd characters.")
    return token
