"""Where runs go, and as whom: a workspace of AI Data Platform, or an MLflow-compatible server."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from pydantic import SecretStr

from ingestor.api import options as api
from ingestor.api.options import AuthKind, AuthOptions, Endpoint
from ingestor.app import values
from ingestor.model.errors import UsageError
from ingestor.policy.identity import Scope

Auth = Literal[
    "api-key", "session-token", "instance-principal", "resource-principal", "workload-identity", "bearer", "none"
]
"""How requests are authenticated, as `--auth` names it."""


class Credentials(TypedDict, total=False):
    """Who calls the service. All are optional.

    Attributes:
        auth: how requests are authenticated; by default "api-key" for AI Data Platform and "none" for a server.
        oci_config: the OCI configuration file, for api-key and session-token; by default `~/.oci/config`.
        oci_profile: the profile in that file; by default DEFAULT.
        oci_passphrase: the passphrase of an encrypted API key.
        bearer_token: the token for "bearer"; exactly one of it and `bearer_token_file` is given.
        bearer_token_file: a file that holds the token.
        user_principal: sent as it is in the header dh-user-principal.
    """

    auth: Auth
    oci_config: str | PathLike[str] | None
    oci_profile: str
    oci_passphrase: str | None
    bearer_token: str | None
    bearer_token_file: str | PathLike[str] | None
    user_principal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service that runs are created in; `aidp` and `mlflow` make one.

    Attributes:
        endpoint: its address.
        auth: the credentials.
        platform: with `workspace`, what keys are unique in: the OCID of the platform, or the address of the server.
        workspace: the key of the workspace; empty for a server.
        honours_tokens: whether services of its kind honour retry tokens.
        user_principal: the header dh-user-principal; None sends none.
    """

    endpoint: Endpoint
    auth: AuthOptions
    platform: str
    workspace: str
    honours_tokens: bool
    user_principal: str | None

    def scope(self, batch: str) -> Scope:
        """Return what the keys of a batch are unique in."""
        return Scope(self.platform, self.workspace, batch)


def aidp(
    *,
    platform_id: str,
    workspace: str,
    region: str | None = None,
    endpoint: str | None = None,
    **credentials: Unpack[Credentials],
) -> Target:
    """Return a workspace of AI Data Platform.

    Args:
        platform_id: the OCID of the platform.
        workspace: the key of the workspace.
        region: the OCI region, such as us-ashburn-1. Exactly one of `region` and `endpoint` is given.
        endpoint: the address of the service: a private endpoint, or the simulator.
        **credentials: who calls (`Credentials`).

    Raises:
        UsageError: a value can't be used, or two contradict each other.
    """
    if (region is None) == (endpoint is None):
        raise UsageError("Give either region or endpoint.")
    platform_id = _checked("platform_id", values.path_segment, platform_id)
    workspace = _checked("workspace", values.path_segment, workspace)
    address = api.aidp(
        platform_id=platform_id,
        workspace=workspace,
        region=None if region is None else _checked("region", values.region, region),
        endpoint=None if endpoint is None else _checked("endpoint", values.address, endpoint),
    )
    return Target(
        endpoint=address,
        auth=_auth(AuthKind.API_KEY, credentials),
        platform=platform_id,
        workspace=workspace,
        honours_tokens=True,
        user_principal=credentials.get("user_principal"),
    )


def mlflow(url: str, **credentials: Unpack[Credentials]) -> Target:
    """Return an MLflow-compatible server.

    Args:
        url: its tracking URI.
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
        user_principal=credentials.get("user_principal"),
    )


def _auth(default: AuthKind, given: Credentials) -> AuthOptions:
    kind = given.get("auth", default)
    token, token_file = given.get("bearer_token"), given.get("bearer_token_file")
    if kind not in set(AuthKind):
        raise UsageError(f"auth: must be one of {', '.join(AuthKind)}")
    if kind == AuthKind.BEARER and (token is None) == (token_file is None):
        raise UsageError("auth: bearer needs either bearer_token or bearer_token_file")
    return AuthOptions(
        kind=AuthKind(kind),
        oci_config=_path(given.get("oci_config")),
        oci_profile=given.get("oci_profile", "DEFAULT"),
        passphrase=_secret(given.get("oci_passphrase")),
        bearer_token=_secret(None if token is None else _checked("bearer_token", values.token, token)),
        bearer_token_file=_path(token_file),
    )


def _path(given: str | PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given).expanduser()


def _secret(text: str | None) -> SecretStr | None:
    return None if text is None else SecretStr(text)


def _checked(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
