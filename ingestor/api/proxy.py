"""The proxy that the environment names, read as curl reads it (curl's manual, ENVIRONMENT and --noproxy).

In addition: HTTP_PROXY counts where no CGI server can have set it; an entry of NO_PROXY may have a port or begin with
`*.`; and this machine's own addresses need no proxy.
"""

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

from ingestor.api.values import MASK, is_loopback
from ingestor.model.errors import UsageError

_DEFAULT_PORTS = {"http": 1080, "https": 443}  # curl's
_EXAMPLE = "such as http://host:3128"
_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>\d{1,5})")

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: its address, without credentials.
        variable: the environment variable that names it.
        user: the user's name for it, None if it wants none.
        password: that user's password.
    """

    url: URL
    variable: str
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries its credentials, if it wants any (RFC 7617)."""
        return {} if self.user is None else {"Proxy-Authorization": f"Basic {self._credentials}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts of it that must not appear anywhere."""
        return (self.password, self._credentials) if self.password else ()

    @property
    def display(self) -> str:
        """Its address with the user's name, and with a mask instead of the password."""
        scheme, _, rest = str(self.url).rstrip("/").partition("://")
        return f"{scheme}://{'' if self.user is None else f'{self.user}:{MASK}@'}{rest}"

    @property
    def _credentials(self) -> str:
        return b64encode(f"{self.user}:{self.password}".encode()).decode()


def proxy_for(url: URL, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy for an address, None if there is none. Raises UsageError for one that is no HTTP proxy."""
    host = url.raw_host or ""
    variable = next((name for name in _variables(url.scheme, environment) if environment.get(name)), None)
    if variable is None or is_loopback(host):
        return None
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return None if _is_excluded(host, url.port, excluded) else _proxy(variable, environment[variable].strip())


def _variables(scheme: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the variables that may name the proxy, the first one first."""
    yield f"{scheme}_proxy"
    if scheme != "http" or "REQUEST_METHOD" not in environment:  # a CGI server sets HTTP_PROXY from a header
        yield f"{scheme.upper()}_PROXY"
    yield "all_proxy"
    yield "ALL_PROXY"


def _proxy(variable: str, named: str) -> Proxy:
    try:
        url = URL(named if "://" in named else f"http://{named}")
        port = url.explicit_port or _DEFAULT_PORTS.get(url.scheme)
        user, password = url.user, url.password or ""
    except ValueError:
        raise UsageError(f"{variable} is not the address of an HTTP proxy, {_EXAMPLE}.") from None
    if url.scheme.startswith("socks"):
        raise UsageError(f"{variable} names a SOCKS proxy, which is not supported: name an HTTP proxy, {_EXAMPLE}.")
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise UsageError(f"{variable} is not the address of an HTTP proxy, {_EXAMPLE}.")
    if user is not None and ":" in user:
        raise UsageError(f"{variable}: the user's name for the proxy must not contain a colon.")
    return Proxy(URL.build(scheme=url.scheme, host=url.raw_host, port=port), variable, user, password)


def _is_excluded(host: str, port: int | None, excluded: str) -> bool:
    """Whether NO_PROXY names a host: its name, a domain of it, its address, or a network of it in CIDR notation."""
    name, address = host.lower().removesuffix("."), _address(host)
    for entry in re.split(r"[\s,]+", excluded.strip().lower()):
        pattern, only_port = _split(entry)
        if only_port is not None and only_port != port:
            continue
        if pattern == "*" or (_is_domain_of(pattern, name) if address is None else _contains(pattern, address)):
            return True
    return False


def _split(entry: str) -> tuple[str, int | None]:
    """Return host and port of an entry; most have no port. An IPv6 address with one is in brackets."""
    with_port = _PORT.fullmatch(entry)
    return (with_port["host"], int(with_port["port"])) if with_port else (entry, None)


def _is_domain_of(pattern: str, name: str) -> bool:
    domain = pattern.removeprefix("*").removeprefix(".").removesuffix(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _contains(pattern: str, address: _Address) -> bool:
    try:
        return address in ip_network(pattern.strip("[]"), strict=False)
    except ValueError:
        return False


def _address(host: str) -> _Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
