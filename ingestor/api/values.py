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

MASK = "********"
"""What is shown instead of a secret."""

_PLACEHOLDER = re.compile(r"\.{3,}|.*…|<.*>|\{.*\}|\$\{.*\}|OCID|KEY")
"""What examples write where the reader's own identifier belongs."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253  # characters (RFC 1035, 2.3.4)
_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})


class AuthKind(StrEnum):
    """The kinds of credentials, as `--auth` names them."""

    API_KEY = "api-key"
    SESSION_TOKEN = "session-token"  # noqa: S105 -- a name, not a token
    INSTANCE_PRINCIPAL = "instance-principal"
    RESOURCE_PRINCIPAL = "resource-principal"
    WORKLOAD_IDENTITY = "workload-identity"
    BEARER = "bearer"
    BASIC = "basic"
    NONE = "none"

    @property
    def signs(self) -> bool:
        """Whether it signs requests, so that the clock matters."""
        return self not in (AuthKind.BEARER, AuthKind.BASIC, AuthKind.NONE)


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
    url = urlsplit(text)
    if not _is_host(url):
        raise ValueError("must be http(s)://host[:port][/path], where host is a host's name or IP address")
    return _canonical(url)


def server_name(url: str) -> str:
    """Return the name of a tracking server in which keys are unique: all names of this machine become one."""
    return re.sub(r"^(https?://)(localhost|\[::1\])(?=[:/]|$)", r"\g<1>127.0.0.1", url)


def path_segment(text: str) -> str:
    """Return an identifier that stands in a path."""
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("must be your own value, not the placeholder of an example")
    if not text or text in {".", ".."} or not text.isprintable() or re.search(r"[\s/]", text):
        raise ValueError("must not be empty or contain spaces or slashes")
    return text


def token(text: str) -> str:
    """Return a token without the white space that files and shells leave around it. No message repeats it."""
    text = text.strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be a token of visible ASCII characters, on one line")
    return text


def header_text(text: str) -> str:
    """Return a text that stands in a header as it is."""
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable text, without spaces around it")
    if not text.isascii():
        raise ValueError("must be ASCII: a header can't contain other characters")
    return text


def user_name(text: str) -> str:
    """Return a user's name for basic authentication (RFC 7617, 2)."""
    if not text or ":" in text or _CONTROLS.search(text):
        raise ValueError("must be a user's name, on one line and without a colon")
    return text


def password(text: str) -> str:
    """Return a password for basic authentication. No message repeats it."""
    if not text or _CONTROLS.search(text):
        raise ValueError("must be a password without line breaks or other control characters")
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


def _is_host(url: SplitResult) -> bool:
    """Whether the host can be looked up. A name whose last part is a number must be an IPv4 address."""
    host = url.hostname or ""
    if url.netloc.startswith("["):
        return _is_address(host) and re.fullmatch(r"\[[^\]]*\](:\d*)?", url.netloc) is not None
    labels = host.removesuffix(".").split(".")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return _is_address(host)
    return len(host) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _has_only_a_host(url: SplitResult) -> bool:
    return url.scheme in _DEFAULT_PORTS and bool(url.hostname) and "@" not in url.netloc
