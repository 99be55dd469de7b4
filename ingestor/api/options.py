"""What makes a target, as plain values: cheap to import, and fit to be handed to another process."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from ingestor.api.endpoint import Endpoint, refuse_clear_text
from ingestor.api.proxy import proxy_for
from ingestor.model.errors import UsageError


class AuthKind(StrEnum):
    """The kinds of credentials, as `--auth` names them."""

    API_KEY = "api-key"
    SESSION_TOKEN = "session-token"  # noqa: S105 -- a name, not a token
    INSTANCE_PRINCIPAL = "instance-principal"
    RESOURCE_PRINCIPAL = "resource-principal"
    WORKLOAD_IDENTITY = "workload-identity"
    BEARER = "bearer"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """What a user says of the credentials.

    `oci_config` None is the SDK's own search (~/.oci/config, OCI_CONFIG_FILE). `passphrase` goes before the profile's.
    `bearer_token_file` goes before `bearer_token`.
    """

    kind: AuthKind
    oci_config: Path | None = None
    oci_profile: str = "DEFAULT"
    passphrase: SecretStr | None = None
    bearer_token: SecretStr | None = None
    bearer_token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """All that makes a target.

    Attributes:
        endpoint: where the service is.
        auth: which credentials.
        connections: the most attempts in flight, at least 1.
        timeout: seconds that one attempt may take.
        user_principal: the API's header dh-user-principal, passed through as it is.
    """

    endpoint: Endpoint
    auth: AuthOptions
    connections: int
    timeout: float
    user_principal: str | None = None


def check(options: TargetOptions) -> None:
    """Raise UsageError for what can be seen to be wrong before anything is opened.

    That is a user principal that no header can hold, a proxy in the environment that is none, and credentials that
    would go unencrypted to another machine.
    """
    principal = options.user_principal or ""
    if not (principal.isascii() and principal.isprintable()):
        raise UsageError("The user principal (dh-user-principal) holds characters that no header can hold.")
    if options.auth.kind is not AuthKind.NONE:
        refuse_clear_text(options.endpoint)
    proxy_for(options.endpoint.create_url)
