"""Where the service is: addresses, exactly as they go over the wire.

Paths and hosts are those of the API page and the quick start (`https://aidp.{region}.oci.{second-level domain}`);
the second-level domain depends on the realm, which the SDK's region table knows.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import quote

from yarl import URL

from ingestor.model.errors import UsageError

_VERSION = "/20260430"
_MLFLOW = "/api/2.0/mlflow"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One workspace or tracking server. The URLs are percent-encoded already; `display` holds no credential."""

    create_url: URL
    search_experiments_url: URL
    search_runs_url: URL
    display: str

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its host is a loopback address."""
        return is_loopback(self.create_url.raw_host or "")


def aidp(*, platform_id: str, workspace: str, region: str | None = None, endpoint: str | None = None) -> Endpoint:
    """Aim at a workspace of AIDP, by region (or its short name) or at a given host.

    `endpoint` overrides the region wholly; it may carry a base path (`/api`), with or without the API version.
    Raises UsageError where the address can't be told or is not an address.
    """
    if endpoint is not None:
        root = _checked(endpoint, "--endpoint")
    elif region is not None:
        root = f"https://aidp.{_domain(region)}"
    else:
        raise UsageError("No address: name the region with --region, or the host with --endpoint.")
    platform = _segment(platform_id, "--platform-id")
    key = _segment(workspace, "--workspace")
    versioned = root.removesuffix(_VERSION) + _VERSION
    return _under(f"{versioned}/aiDataPlatforms/{platform}/workspaces/{key}/mlops")


def mlflow(tracking_uri: str) -> Endpoint:
    """Aim at any MLflow-compatible tracking server. Raises UsageError for what is not an http(s) address."""
    return _under(_checked(tracking_uri, "--tracking-uri"))


def refuse_clear_text(endpoint: Endpoint) -> None:
    """Raise UsageError where credentials would leave this machine unencrypted: http to any but a loopback host."""
    if endpoint.create_url.scheme == "http" and not endpoint.is_on_this_machine:
        raise UsageError(
            f"{endpoint.display} is not encrypted: credentials are sent over https only. Use an https address, or "
            "--auth none if the server wants no credentials."
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _under(base: str) -> Endpoint:
    return Endpoint(
        create_url=URL(f"{base}{_MLFLOW}/runs/create", encoded=True),
        search_experiments_url=URL(f"{base}{_MLFLOW}/experiments/search", encoded=True),
        search_runs_url=URL(f"{base}{_MLFLOW}/runs/search", encoded=True),
        display=base,
    )


def _checked(address: str, option: str) -> str:
    """Return an address without a trailing slash. No message repeats it: it may hold a password."""
    try:
        url = URL(address.strip())
    except ValueError:
        raise UsageError(
            f"{option} is not an address: it should look like https://host or https://host/path."
        ) from None
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise UsageError(f"{option} must be an http or https address with a host, such as https://host/path.")
    if url.raw_user is not None or url.raw_password is not None:
        raise UsageError(
            f"{option} must not hold a user name or a password: credentials go by --auth, a token by --auth bearer."
        )
    if url.raw_query_string or url.raw_fragment:
        raise UsageError(f"{option} must end with its path: no ? and no #.")
    return str(url).rstrip("/")


def _segment(text: str, option: str) -> str:
    if text in {"", ".", ".."}:
        raise UsageError(f"{option} is missing or empty: nothing can be created without it.")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise UsageError(f"{option} holds what is not text.") from None


def _domain(region: str) -> str:
    """Return `{region}.oci.{second-level domain}` for a region of any realm.

    Regions that the SDK does not know yet come from OCI_REGION_METADATA or ~/.oci/regions-config.json, as with every
    other OCI tool.
    """
    from oci import regions  # noqa: PLC0415 -- importing oci takes a second

    name: str = regions.get_region_from_short_name(region.strip())
    if not regions.is_region(name):
        raise UsageError(
            f"--region {region!r} is not a region that the OCI SDK knows. Check its name, describe it in "
            "OCI_REGION_METADATA, or name the host with --endpoint."
        )
    return f"{name}.oci.{regions.REALMS[regions.get_realm_from_region(name)]}"
