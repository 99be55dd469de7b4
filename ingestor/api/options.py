"""The settings of a service, as plain values: fast to import, and can be sent to another process.

Paths and hosts are those of the API page and the quick start (`https://aidp.{region}.oci.{second-level domain}`).
The second-level domain depends on the realm, which is in the SDK's region table.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr
from yarl import URL

from ingestor.api.proxy import Proxy, proxy_for
from ingestor.api.values import AuthKind, address, header_text, is_loopback
from ingestor.model.errors import UsageError

_VERSION = "/20260430"
_MLFLOW = "/api/2.0/mlflow"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A workspace of AIDP or a tracking server.

    `display` is the address that all operations are under: percent-encoded, and without any credential.
    """

    display: str

    def url(self, path: str) -> URL:
        """Return the address of an operation, by its path under `…/mlflow/`."""
        return _url(self.display, path)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its host is a loopback address."""
        return is_loopback(URL(self.display, encoded=True).raw_host or "")


def aidp(*, platform_id: str, workspace: str, region: str | None = None, endpoint: str | None = None) -> Endpoint:
    """Return the endpoint of a workspace of AIDP, by region (or its short name) or by host.

    `endpoint` replaces the region's host. It may have a base path (`/api`), with or without the API version.
    Raises UsageError for a region that the SDK does not know.
    """
    root = f"https://aidp.{_domain(region or '')}" if endpoint is None else _base(endpoint)
    versioned = root.removesuffix(_VERSION) + _VERSION
    platform, key = quote(platform_id, safe=""), quote(workspace, safe="")
    return Endpoint(f"{versioned}/aiDataPlatforms/{platform}/workspaces/{key}/mlops")


def mlflow(tracking_uri: str) -> Endpoint:
    """Return the endpoint of an MLflow-compatible tracking server."""
    return Endpoint(_base(tracking_uri))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """The choice of credentials.

    Attributes:
        kind: which kind.
        oci_config: the OCI config file; None leaves the search to the SDK (~/.oci/config, OCI_CONFIG_FILE).
        oci_profile: the profile in that file.
        passphrase: of the private key; it takes precedence over the profile's own.
        bearer_token: the token, for BEARER.
        bearer_token_file: a file that holds the token; it takes precedence over `bearer_token`.
        basic_username: the user's name, for BASIC.
        basic_password: the password, for BASIC.
    """

    kind: AuthKind
    oci_config: Path | None = None
    oci_profile: str = "DEFAULT"
    passphrase: SecretStr | None = None
    bearer_token: SecretStr | None = None
    bearer_token_file: Path | None = None
    basic_username: str | None = None
    basic_password: SecretStr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Everything that a connection to the service needs.

    Attributes:
        endpoint: where the service is.
        auth: which credentials.
        connections: the most attempts in flight, at least 1.
        timeout: seconds that one attempt may take.
        user_principal: the API's header dh-user-principal, sent unchanged; None sends none.
        rate: the most requests a second that leave, of all processes together; None for no ceiling.
        ca_file: the certificates of the trusted authorities; None for those of the system.
    """

    endpoint: Endpoint
    auth: AuthOptions
    connections: int
    timeout: float
    user_principal: str | None = None
    rate: float | None = None
    ca_file: Path | None = None


def check(options: TargetOptions) -> Proxy | None:
    """Return the proxy that will be in use. Raise UsageError for errors that can be seen before anything is opened.

    These are a user principal that a header can't contain, a malformed proxy in the environment, a file of authorities
    that can't be used, and credentials that would go to another machine unencrypted.
    """
    check_target(options)
    return proxy_for(options.endpoint.url(""))


def check_target(options: TargetOptions) -> None:
    """Check all that `check` does, except the environment. Raises UsageError."""
    if options.user_principal is not None:
        try:
            header_text(options.user_principal)
        except ValueError as error:
            raise UsageError(f"The user principal (dh-user-principal) {error}.") from None
    endpoint = options.endpoint
    is_clear_text = endpoint.display.startswith("http:") and not endpoint.is_on_this_machine
    if is_clear_text and options.auth.kind is not AuthKind.NONE:
        raise UsageError(
            f"{endpoint.display} is not encrypted: credentials are sent over https only. Use an https address, or "
            "--auth none if the server wants no credentials."
        )
    if options.ca_file is not None:
        from ingestor.api.trust import client_context  # noqa: PLC0415 - few commands connect

        client_context(options.ca_file)


@lru_cache(maxsize=64)
def _url(base: str, path: str) -> URL:
    """Return an address; the same object each time, because a URL computes its parts once and keeps them."""
    return URL(f"{base}{_MLFLOW}/{path}", encoded=True)


def _base(text: str) -> str:
    """Return an address in its canonical spelling."""
    try:
        return address(text)
    except ValueError as error:
        raise UsageError(f"The address {error}.") from None


def _domain(region: str) -> str:
    """Return `{region}.oci.{second-level domain}` for a region of any realm.

    The SDK takes regions that it does not know from OCI_REGION_METADATA or ~/.oci/regions-config.json.
    """
    try:
        domain = _known_domain(region.strip())
    except Exception as error:  # noqa: BLE001 -- the SDK raises whatever the user's files make it raise
        raise UsageError(
            f"--region {region!r} can't be looked up ({type(error).__name__}): the OCI SDK can't read "
            "OCI_REGION_METADATA, ~/.oci/regions-config.json or its other files. Correct them, or name the host with "
            "--endpoint."
        ) from None
    if domain is None:
        raise UsageError(
            f"--region {region!r} is not in the region table of the OCI SDK. Check its name, describe it in "
            "OCI_REGION_METADATA, or name the host with --endpoint."
        )
    return domain


def _known_domain(region: str) -> str | None:
    from oci import regions  # noqa: PLC0415 -- importing oci takes a second

    name: str = regions.get_region_from_short_name(region)
    return f"{name}.oci.{regions.REALMS[regions.get_realm_from_region(name)]}" if regions.is_region(name) else None
