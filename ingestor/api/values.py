"""What addresses and credentials must be, and the kinds of credentials. Each check raises ValueError.

The message begins with "must".
"""

import ipaddress
import posixpath
import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})


class AuthKind(StrEnum):
    """The kinds of credentials, as `--auth` names them."""

    API_KEY = "api-key"
    SESSION_TOKEN = "session-token"  # noqa: S105 -- a name, not a token
    INSTANCE_PRINCIPAL = "instance-principal"
    RESOURCE_PRINCIPAL = "resource-principal"
    WORKLOAD_IDENTITY = "workload-identity"
    BEARER = "bearer"
    NONE = "none"


def region(text: str) -> str:
    """Return a region's name."""
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", text):
        raise ValueError("must be a region's name, such as us-ashburn-1")
    return text


def address(text: str) -> str:
    """Return a base URL in its canonical spelling: keys are unique in a server.

    The message does not repeat the text, which may contain a password.
    """
    if not _is_plain_address(text):
        raise ValueError("must be http(s)://host[:port][/path], without user, password, query or fragment")
    return _canonical(urlsplit(text))


def server_name(url: str) -> str:
    """Return the name of a tracking server in which keys are unique: all names of this machine become one."""
    return re.sub(r"^(https?://)(localhost|\[::1\])(?=[:/]|$)", r"\g<1>127.0.0.1", url)


def path_segment(text: str) -> str:
    """Return an identifier that stands in a path."""
    if not text or text in {".", ".."} or not text.isprintable() or re.search(r"[\s/]", text):
        raise ValueError("must not be empty or contain spaces or slashes")
    return text


def token(text: str) -> str:
    """Return a token without the white space that files and shells leave around it. No message repeats it."""
    text = text.strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be a token of visible ASCII characters, on one line")
    return text


def loopback_host(host: str) -> str:
    """Return an address of this machine."""
    if not is_loopback(host):
        raise ValueError("must be a loopback address, such as 127.0.0.1")
    return host


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _canonical(url: SplitResult) -> str:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    port = "" if url.port in {None, _DEFAULT_PORTS[url.scheme]} else f":{url.port}"
    path = posixpath.normpath(url.path) if url.path else ""
    return f"{url.scheme}://{host}{port}{'' if path in {'.', '/', '//'} else path}"


def _is_plain_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        is_port_usable = url.port != 0
    except ValueError:
        return False
    is_clean = text.isascii() and text.isprintable() and not set(text) & set(" ?#\\")
    return is_clean and is_port_usable and _has_only_a_host(url)


def _has_only_a_host(url: SplitResult) -> bool:
    return url.scheme in _DEFAULT_PORTS and bool(url.hostname) and "@" not in url.netloc
