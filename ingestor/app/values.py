"""What the values of options must be, for the command line and the library. Each check raises ValueError.

The message begins with "must".
"""

import ipaddress
import posixpath
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

LONGEST_BATCH_NAME = 100
"""Characters."""

_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})


def region(text: str) -> str:
    """Return a region's name."""
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", text):
        raise ValueError("must be a region's name, such as us-ashburn-1")
    return text


def address(text: str) -> str:
    """Return a base URL in the one spelling that all its spellings share: keys are unique in a server.

    The message does not repeat the text, which may hold a password.
    """
    if not _is_plain_address(text):
        raise ValueError("must be http(s)://host[:port][/path], without user, password, query or fragment")
    return _canonical(urlsplit(text))


def server_name(url: str) -> str:
    """Return the name that keys of a tracking server are unique in: this machine has one name for all its own."""
    return re.sub(r"^(https?://)(localhost|\[::1\])(?=[:/]|$)", r"\g<1>127.0.0.1", url)


def path_segment(text: str) -> str:
    """Return an identifier that stands in a path."""
    if not text or text in {".", ".."} or not text.isprintable() or re.search(r"[\s/]", text):
        raise ValueError("must not be empty or hold spaces or slashes")
    return text


def one_line(text: str) -> str:
    """Return a line of text."""
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable text, without spaces around it")
    return text


def batch_name(text: str) -> str:
    """Return a batch's name."""
    if not 1 <= len(text) <= LONGEST_BATCH_NAME or not text.isprintable():
        raise ValueError(f"must be 1 to {LONGEST_BATCH_NAME} printable characters")
    return text


def token(text: str) -> str:
    """Return a token without the white space that files and shells leave around it. No message repeats it."""
    text = text.strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be a token of visible ASCII characters, on one line")
    return text


def loopback_host(host: str) -> str:
    """Return an address of this machine."""
    if not _is_loopback(host):
        raise ValueError("must be a loopback address, such as 127.0.0.1")
    return host


def _is_loopback(host: str) -> bool:
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
