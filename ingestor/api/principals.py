"""Credentials that OCI gives to a machine, a service or a pod, fetched by the SDK's own signers."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ingestor.api.profile import token_expiry
from ingestor.api.renewal import PAUSE, Lease
from ingestor.api.signing import Identity
from ingestor.api.text import one_line
from ingestor.model.errors import CredentialsError


class SdkSigner(Protocol):
    """What the SDK's token signers have in common."""

    api_key: str
    private_key: RSAPrivateKey

    def refresh_security_token(self) -> object:
        """Fetch a new token, blocking."""
        ...

    def __call__(self, request: object) -> object:
        """Sign a request, adopting a new token first."""
        ...


class Principal:
    """A principal's token and key. `build` makes the SDK's signer, which fetches the first token.

    `name` and `hint` are for the error: which kind it is, and where it works.
    """

    def __init__(
        self, build: Callable[[], SdkSigner], name: str, hint: str, now: Callable[[], float] = time.time
    ) -> None:
        self._build = build
        self._name = name
        self._hint = hint
        self._now = now
        self._signer: SdkSigner | None = None

    def load(self) -> Lease[Identity]:
        """Fetch a token, blocking. Raises CredentialsError."""
        try:
            identity = self._fetch()
            expiry = token_expiry(identity.key_id)
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its libraries raise
            reason = f"{self._name}: {_reason(error)}"
            raise CredentialsError(f"{reason}. {self._hint}") from None
        remaining = expiry - self._now()
        return Lease(identity, renew_at=self._now() + max(PAUSE, remaining / 2), expires_at=expiry)

    def _fetch(self) -> Identity:
        if self._signer is None:
            self._signer = self._build()
        else:
            self._signer.refresh_security_token()
            self._signer(_blank_request())  # instance principals adopt their new token only by signing
        return Identity(self._signer.api_key, self._signer.private_key)


def instance_principal() -> SdkSigner:
    """Build the signer of a compute instance, from its metadata service."""
    from oci.auth.signers import InstancePrincipalsSecurityTokenSigner  # noqa: PLC0415 -- takes a second

    retries = _few_retries()
    signer: SdkSigner = InstancePrincipalsSecurityTokenSigner(
        retry_strategy=retries, federation_client_retry_strategy=retries
    )
    return signer


def resource_principal() -> SdkSigner:
    """Build the signer of an OCI resource, from the OCI_RESOURCE_PRINCIPAL_* variables."""
    from oci.auth.signers import get_resource_principals_signer  # noqa: PLC0415 -- takes a second

    signer: SdkSigner = get_resource_principals_signer()
    return signer


def workload_identity() -> SdkSigner:
    """Build the signer of a pod of an OKE cluster, from its service account."""
    from oci.auth.signers import get_oke_workload_identity_resource_principal_signer as get  # noqa: PLC0415 -- as above

    signer: SdkSigner = get(retry_strategy=_few_retries())
    return signer


def _few_retries() -> object:
    """Return a strategy that gives up within half a minute: the SDK's own go on for minutes where nobody answers."""
    from oci.retry import RetryStrategyBuilder  # noqa: PLC0415 -- takes a second

    builder = RetryStrategyBuilder(
        max_attempts=3,
        total_elapsed_time_seconds=30,
        service_error_retry_on_any_5xx=True,
        retry_base_sleep_time_seconds=0.5,
        retry_max_wait_between_calls_seconds=2,
    )
    strategy: object = builder.get_retry_strategy()
    return strategy


def _blank_request() -> SimpleNamespace:
    return SimpleNamespace(method="get", url="https://localhost/", path_url="/", body=None, headers={})


def _reason(error: Exception) -> str:
    """Tell an SDK error without what it may quote: some of its texts hold certificates and keys."""
    from oci.exceptions import ServiceError  # noqa: PLC0415 -- takes a second

    if isinstance(error, ServiceError):
        return one_line(f"HTTP {error.status} {error.code}: {error.message}")
    if isinstance(error, OSError):
        return one_line(str(error))
    return type(error).__name__
