"""Credentials: the signer for each kind, bearer tokens, and the identities of a machine, a service or a pod in OCI."""

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from ingestor.api.options import AuthOptions
from ingestor.api.profile import load_api_key, load_session_token, token_expiry
from ingestor.api.signing import RENEWAL_INTERVAL, Anonymous, BearerSigner, Identity, Lease, RequestSigner, Signer
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.text import one_line


def make_signer(auth: AuthOptions) -> Signer:
    """Return the signer for these credentials. Nothing is read before it is opened."""
    match auth.kind:
        case AuthKind.NONE:
            return Anonymous()
        case AuthKind.BEARER:
            return BearerSigner(partial(load_bearer, auth))
        case AuthKind.API_KEY:
            return RequestSigner(partial(load_api_key, auth))
        case AuthKind.SESSION_TOKEN:
            return RequestSigner(partial(load_session_token, auth))
        case _:
            return RequestSigner(Principal(partial(_sdk_signer, auth.kind), auth.kind, _PLACES[auth.kind]).load)


def load_bearer(auth: AuthOptions, now: Callable[[], float] = time.time) -> Lease[str]:
    """Load a bearer token; a token file is read again at every renewal. Raises CredentialsError."""
    file = auth.bearer_token_file
    if file is None:
        return Lease(_checked(auth.bearer_token.get_secret_value() if auth.bearer_token else "", "bearer_token"))
    try:
        token = file.expanduser().read_bytes().decode(errors="replace")
    except OSError as error:
        raise CredentialsError(f"{file}: the bearer token can't be read ({error.strerror}).") from None
    return Lease(_checked(token, str(file)), renew_at=now() + RENEWAL_INTERVAL)


def _checked(token: str, where: str) -> str:
    """Return a token that is valid in a header. Raises CredentialsError, without the token."""
    token = token.strip()
    if not token:
        raise CredentialsError(
            f"{where}: there is no bearer token. Set bearer_token in the environment, or set bearer_token_file."
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CredentialsError(
            f"{where}: this is not a bearer token: it contains white space, or characters that a header can't contain."
        )
    return token


class Principal:
    """A principal's token and key.

    Args:
        build: makes the SDK's signer, which fetches the first token. The SDK has no types: it has the attributes
            `api_key` and `private_key` and the method `refresh_security_token`, and is called to sign a request.
        name: the kind of credentials, for errors.
        hint: where this kind works, for errors.
        now: our clock, in seconds since the epoch.
    """

    def __init__(self, build: Callable[[], Any], name: str, hint: str, now: Callable[[], float] = time.time) -> None:
        self._build = build
        self._name = name
        self._hint = hint
        self._now = now
        self._signer: Any = None

    def load(self) -> Lease[Identity]:
        """Fetch a token, blocking. Raises CredentialsError."""
        try:
            identity = self._fetch()
            expiry = token_expiry(identity.key_id)
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its libraries raise
            reason = f"{self._name}: {_reason(error)}"
            raise CredentialsError(f"{reason}. {self._hint}") from None
        remaining = expiry - self._now()
        return Lease(identity, renew_at=self._now() + max(RENEWAL_INTERVAL, remaining / 2), expires_at=expiry)

    def _fetch(self) -> Identity:
        if self._signer is None:
            self._signer = self._build()
        else:
            self._signer.refresh_security_token()
            # an instance principal adopts its new token only when it signs
            self._signer(SimpleNamespace(method="get", url="https://localhost/", path_url="/", body=None, headers={}))
        return Identity(self._signer.api_key, self._signer.private_key)


_PLACES = {
    AuthKind.INSTANCE_PRINCIPAL: "It works on an OCI compute instance that belongs to a dynamic group.",
    AuthKind.RESOURCE_PRINCIPAL: "It works inside OCI services, which set the OCI_RESOURCE_PRINCIPAL_* variables.",
    AuthKind.WORKLOAD_IDENTITY: "It works in a pod of an enhanced OKE cluster, with a service account's token.",
}


def _sdk_signer(kind: AuthKind) -> Any:
    """Build the signer of a compute instance, of an OCI service's resource, or of a pod's service account."""
    from oci.auth import signers  # noqa: PLC0415 -- takes a second

    if kind is AuthKind.RESOURCE_PRINCIPAL:
        return signers.get_resource_principals_signer()
    retries = _few_retries()
    if kind is AuthKind.WORKLOAD_IDENTITY:
        return signers.get_oke_workload_identity_resource_principal_signer(retry_strategy=retries)
    return signers.InstancePrincipalsSecurityTokenSigner(
        retry_strategy=retries, federation_client_retry_strategy=retries
    )


def _few_retries() -> object:
    """Return a strategy that gives up within 30 seconds: the SDK's own one retries for minutes if nothing answers."""
    from oci.retry import RetryStrategyBuilder  # noqa: PLC0415 -- takes a second

    return RetryStrategyBuilder(
        max_attempts=3,
        total_elapsed_time_seconds=30,
        service_error_retry_on_any_5xx=True,
        retry_base_sleep_time_seconds=0.5,
        retry_max_wait_between_calls_seconds=2,
    ).get_retry_strategy()


def _reason(error: Exception) -> str:
    """Describe an SDK error without its text, which may contain certificates and keys."""
    from oci.exceptions import ServiceError  # noqa: PLC0415 -- takes a second

    if isinstance(error, ServiceError):
        return one_line(f"HTTP {error.status} {error.code}: {error.message}")
    if isinstance(error, OSError):
        return one_line(str(error))
    return type(error).__name__
