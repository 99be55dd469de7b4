"""Principals: the identities of a compute instance, of a resource of an OCI service, or of a pod, by the OCI SDK."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from ingestor.api.profile import token_expiry
from ingestor.api.redaction import Redactor
from ingestor.api.signing import RENEWAL_INTERVAL, Identity, Lease
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.text import one_line


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
            expiry = token_expiry(identity.key_id.removeprefix("ST$"))
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its libraries raise
            reason = f"{self._name}: {_reason(error)}"
            raise CredentialsError(f"{reason}. {self._hint}") from None
        remaining = expiry - self._now()
        secrets = (identity.key_id, identity.key_id.removeprefix("ST$"))
        renew_at = self._now() + max(RENEWAL_INTERVAL, remaining / 2)
        return Lease(identity, renew_at=renew_at, expires_at=expiry, secrets=secrets)

    def _fetch(self) -> Identity:
        if self._signer is None:
            self._signer = self._build()
        else:
            self._signer.refresh_security_token()
            # an instance principal adopts its new token only when it signs
            self._signer(SimpleNamespace(method="get", url="https://localhost/", path_url="/", body=None, headers={}))
        return Identity(self._signer.api_key, self._signer.private_key)


PRINCIPALS: Mapping[AuthKind, str] = MappingProxyType(
    {
        AuthKind.INSTANCE_PRINCIPAL: "It works on an OCI compute instance that belongs to a dynamic group.",
        AuthKind.RESOURCE_PRINCIPAL: "It works inside OCI services, which set OCI_RESOURCE_PRINCIPAL_VERSION, "
        "OCI_RESOURCE_PRINCIPAL_RPST, OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM and OCI_RESOURCE_PRINCIPAL_REGION.",
        AuthKind.WORKLOAD_IDENTITY: "It works in a pod of an enhanced OKE cluster, which sets KUBERNETES_SERVICE_HOST, "
        "with a service account's token.",
    }
)
"""The kinds of principals, each with where it works."""

_VARIABLES: Mapping[AuthKind, str] = MappingProxyType(
    {
        AuthKind.RESOURCE_PRINCIPAL: "OCI_RESOURCE_PRINCIPAL_VERSION",
        AuthKind.WORKLOAD_IDENTITY: "KUBERNETES_SERVICE_HOST",
    }
)
"""What is set wherever a kind works."""


def principal(kind: AuthKind, ca_file: Path | None = None) -> Principal:
    """Return the principal of the place in which this process runs. Nothing is read before it is loaded.

    `ca_file` has the authorities that are trusted where an instance fetches its token. The others fetch it from a
    cluster, whose own authority the SDK reads, or from the place that their variables name.
    """
    return Principal(partial(_sdk_signer, kind, ca_file), kind, PRINCIPALS[kind])


def check_place(kind: AuthKind) -> None:
    """Raise CredentialsError if this process certainly does not run where this kind works. Sends nothing."""
    variable = _VARIABLES.get(kind)
    if variable is not None and not os.environ.get(variable):
        raise CredentialsError(f"{kind}: {variable} is not defined. {PRINCIPALS[kind]}")


def _sdk_signer(kind: AuthKind, ca_file: Path | None) -> Any:
    """Build the signer of a compute instance, of an OCI service's resource, or of a pod's service account."""
    from oci.auth import signers  # noqa: PLC0415 -- takes a second

    if kind is AuthKind.RESOURCE_PRINCIPAL:
        return signers.get_resource_principals_signer()
    retries = _few_retries()
    if kind is AuthKind.WORKLOAD_IDENTITY:
        return signers.get_oke_workload_identity_resource_principal_signer(retry_strategy=retries)
    return signers.InstancePrincipalsSecurityTokenSigner(
        retry_strategy=retries,
        federation_client_retry_strategy=retries,
        federation_client_cert_bundle_verify=None if ca_file is None else str(ca_file),
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
        return one_line(Redactor().text(f"HTTP {error.status} {error.code}: {error.message}"))
    if isinstance(error, OSError):
        return one_line(Redactor().text(str(error)))
    return f"the OCI SDK fails with {type(error).__name__}"
