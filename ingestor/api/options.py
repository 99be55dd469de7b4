"""The settings of a service, as plain values: fast to import, and can be sent to another process.

Paths and hosts are those of the API page and the quick start (`https://aidp.{region}.oci.{second-level domain}`).
The second-level domain depends on the realm, which is in the SDK's region table.
"""

import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr
from yarl import URL

from ingestor.api.values import AuthKind, address, is_loopback
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
    """

    kind: AuthKind
    oci_config: Path | None = None
    oci_profile: str = "DEFAULT"
    passphrase: SecretStr | None = None
    bearer_token: SecretStr | None = None
    bearer_token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Everything that a connection to the service needs.

    Attributes:
        endpoint: where the service is.
        auth: which credentials.
        connections: the most attempts in flight, at least 1.
        timeout: seconds that one attempt may take.
        user_principal: the API's header dh-user-principal, sent unchanged; None sends none.
    """

    endpoint: Endpoint
    auth: AuthOptions
    connections: int
    timeout: float
    user_principal: str | None = None


def check(options: TargetOptions) -> None:
    """Raise UsageError for errors that can be detected before anything is opened.

    These are a user principal that a header can't contain, a malformed proxy in the environment, and credentials that
    would go to another machine unencrypted.
    """
    principal = options.user_principal or ""
    if not (principal.isascii() and principal.isprintable()):
        raise UsageError("The user principal (dh-user-principal) contains characters that a header can't contain.")
    endpoint = options.endpoint
    is_clear_text = endpoint.display.startswith("http:") and not endpoint.is_on_this_machine
    if is_clear_text and options.auth.kind is not AuthKind.NONE:
        raise UsageError(
            f"{endpoint.display} is not encrypted: credentials are sent over https only. Use an https address, or "
            "--auth none if the server wants no credentials."
        )
    proxy_for(endpoint.url(""))


def proxy_for(url: URL) -> URL | None:
    """Return the proxy that the environment names for an address, None if there is none.

    HTTPS_PROXY, HTTP_PROXY and NO_PROXY are read as other tools read them; this machine's own addresses need no proxy.
    Raises UsageError for a proxy that is not an http address.
    """
    host = url.raw_host or ""
    named = urllib.request.getproxies().get(url.scheme, "")
    if not named or is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.raw_host:
        raise UsageError(f"{url.scheme.upper()}_PROXY is not the address of an http proxy, such as http://host:3128.")
    return proxy


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
    from oci import regions  # noqa: PLC0415 -- importing oci takes a second

    name: str = regions.get_region_from_short_name(region.strip())
    if not regions.is_region(name):
        raise UsageError(
            f"--region {region!r} is not in the region table of the OCI SDK. Check its name, describe it in "
            "OCI_REGION_METADATA, or name the host with --endpoint."
        )
    return f"{name}.oci.{regions.REALMS[regions.get_realm_from_region(name)]}"
