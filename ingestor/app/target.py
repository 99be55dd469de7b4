"""Where the runs are created, and with which credentials: a workspace of AIDP, or an MLflow-compatible server."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import SecretStr

from ingestor.api import options as api
from ingestor.api import values
from ingestor.api.options import AuthOptions, Endpoint, TargetOptions
from ingestor.api.values import AuthKind
from ingestor.app.options import checked, to_path
from ingestor.model.errors import UsageError
from ingestor.policy.advice import Access
from ingestor.policy.identity import Scope


class Credentials(TypedDict, total=False):
    """Who calls the service. All are optional.

    Attributes:
        auth: how requests are authenticated; by default "api-key" for AI Data Platform and "none" for a server.
        oci_config: the OCI configuration file, for api-key and session-token; by default `~/.oci/config`.
        oci_profile: the profile in that file; by default DEFAULT.
        oci_passphrase: the passphrase of an encrypted API key.
        bearer_token: the token for "bearer"; exactly one of it and `bearer_token_file` is given.
        bearer_token_file: a file that contains the token.
        basic_username: the user's name for "basic".
        basic_password: the password for "basic".
        user_principal: sent as it is in the header dh-user-principal.
    """

    auth: AuthKind | str
    oci_config: str | PathLike[str] | None
    oci_profile: str
    oci_passphrase: str | None
    bearer_token: str | None
    bearer_token_file: str | PathLike[str] | None
    basic_username: str | None
    basic_password: str | None
    user_principal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service in which runs are created; `aidp` and `mlflow` return one.

    Attributes:
        endpoint: its address.
        auth: the credentials.
        platform: with `workspace`, what keys are unique in: the OCID of the platform, or the address of the server.
        workspace: the key of the workspace; empty for a server.
        honours_tokens: whether services of its kind honour retry tokens.
        user_principal: the header dh-user-principal; None sends none.
        ca_file: the certificates of the trusted authorities; None for those of the system.
    """

    endpoint: Endpoint
    auth: AuthOptions
    platform: str
    workspace: str
    honours_tokens: bool
    user_principal: str | None
    ca_file: Path | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is a tracking server, which has no identity but its address (see `app.scope`)."""
        return not self.workspace

    @property
    def access(self) -> Access:
        """What advice is about: the kind of target and of credentials."""
        return Access(auth=self.auth.kind.value, is_aidp=not self.is_server)

    def connection(self, *, connections: int, timeout: float, rate: float | None = None) -> TargetOptions:
        """Return what a connection to it needs (see `TargetOptions`)."""
        return TargetOptions(
            endpoint=self.endpoint,
            auth=self.auth,
            connections=connections,
            timeout=timeout,
            user_principal=self.user_principal,
            rate=rate,
            ca_file=self.ca_file,
        )

    def scope(self, batch: str) -> Scope:
        """Return what the keys of a batch are unique in, if a server's address is the first one that it went to."""
        return Scope(self.platform, self.workspace, batch)


def aidp(
    *,
    platform_id: str,
    workspace: str,
    region: str | None = None,
    endpoint: str | None = None,
    ca_file: str | PathLike[str] | None = None,
    **credentials: Unpack[Credentials],
) -> Target:
    """Return a workspace of AI Data Platform.

    Args:
        platform_id: the OCID of the platform.
        workspace: the key of the workspace.
        region: the OCI region, such as us-ashburn-1. Either this or `endpoint` is given.
        endpoint: the address of a private endpoint, or of the simulator.
        ca_file: a file of certificates of authorities; they are trusted instead of the system's.
        **credentials: who calls (`Credentials`).

    Raises:
        UsageError: a value can't be used, or two contradict each other.
    """
    if (region is None) == (endpoint is None):
        raise UsageError("Give either region or endpoint.")
    platform_id = _checked("platform_id", values.path_segment, platform_id)
    workspace = _checked("workspace", values.path_segment, workspace)
    region = None if region is None else _checked("region", values.region, region)
    endpoint = None if endpoint is None else _checked("endpoint", values.address, endpoint)
    return Target(
        endpoint=api.aidp(platform_id=platform_id, workspace=workspace, region=region, endpoint=endpoint),
        auth=_auth(AuthKind.API_KEY, credentials),
        platform=platform_id,
        workspace=workspace,
        honours_tokens=True,
        user_principal=_user_principal(credentials),
        ca_file=_path("ca_file", ca_file),
    )


def mlflow(url: str, *, ca_file: str | PathLike[str] | None = None, **credentials: Unpack[Credentials]) -> Target:
    """Return an MLflow-compatible server.

    Args:
        url: its tracking URI.
        ca_file: a file of certificates of authorities; they are trusted instead of the system's.
        **credentials: who calls (`Credentials`).

    Raises:
        UsageError: a value can't be used, or two contradict each other.
    """
    url = _checked("url", values.address, url)
    return Target(
        endpoint=api.mlflow(url),
        auth=_auth(AuthKind.NONE, credentials),
        platform=values.server_name(url),
        workspace="",
        honours_tokens=False,
        user_principal=_user_principal(credentials),
        ca_file=_path("ca_file", ca_file),
    )


def check_address(target: Target) -> None:
    """Check address, proxy and headers. Raises UsageError, as a batch would."""
    api.check(target.connection(connections=1, timeout=1.0))


def check_without_request(target: Target) -> None:
    """Check everything about a target that needs no request: `check_address`, and files with credentials.

    Raises UsageError or CredentialsError, as a batch would.
    """
    from ingestor.api import credentials  # noqa: PLC0415 - few commands need it

    check_address(target)
    credentials.check_without_request(target.auth, is_rehearsal=target.endpoint.is_on_this_machine)


def _auth(default: AuthKind, given: Credentials) -> AuthOptions:
    for name in given:
        if name not in Credentials.__annotations__:
            raise UsageError(f"{name}: there is no such option of a target")
    kind = given.get("auth", default)
    token, token_file = given.get("bearer_token"), given.get("bearer_token_file")
    if kind not in list(AuthKind):
        raise UsageError(f"auth: must be one of {', '.join(AuthKind)}")
    if kind == AuthKind.BEARER and (token is None) == (token_file is None):
        raise UsageError("auth: bearer needs either bearer_token or bearer_token_file")
    user, password = given.get("basic_username"), given.get("basic_password")
    if kind == AuthKind.BASIC and (user is None or password is None):
        raise UsageError("auth: basic needs basic_username and basic_password")
    return AuthOptions(
        kind=AuthKind(kind),
        oci_config=_path("oci_config", given.get("oci_config")),
        oci_profile=_checked("oci_profile", str, given.get("oci_profile", "DEFAULT")),
        passphrase=_secret("oci_passphrase", str, given.get("oci_passphrase")),
        bearer_token=_secret("bearer_token", values.token, token),
        bearer_token_file=_path("bearer_token_file", given.get("bearer_token_file")),
        basic_username=None if user is None else _checked("basic_username", values.user_name, user),
        basic_password=_secret("basic_password", values.password, password),
    )


def _user_principal(given: Credentials) -> str | None:
    principal = given.get("user_principal")
    return None if principal is None else _checked("user_principal", values.header_text, principal)


def _path(name: str, path: object) -> Path | None:
    return None if path is None else checked(name, to_path, path)


def _secret(name: str, check: Callable[[str], str], text: str | None) -> SecretStr | None:
    return None if text is None else SecretStr(_checked(name, check, text))


def _checked(name: str, check: Callable[[str], str], text: object) -> str:
    """Check a text of the user. No message shows it: it may be a secret."""
    if not isinstance(text, str):
        raise UsageError(f"{name}: must be text, not {type(text).__name__}")
    return checked(name, check, text)
