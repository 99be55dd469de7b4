"""Where a server listens, and which names in a request's Host header mean it."""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOCKET_PATH = 107  # bytes: sun_path of Linux, less its end
_LONGEST_NAME = 253  # of DNS


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host, as an IP address or localhost, and a port. Port 0 selects a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine (in a pod: only the pod) reaches it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def tcp_address(text: str) -> TcpAddress:
    """Read HOST:PORT; the host is an IP address (IPv6 in brackets) or localhost. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:9464 (0.0.0.0:9464 is every network of this machine)")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("must end with a port: a number up to 65535")
    host = host[1:-1] if host[0] == "[" and host[-1] == "]" else host
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError("must begin with an IP address (IPv6 in brackets) or localhost") from None
    return TcpAddress(host, int(port))


def address(text: str) -> Address:
    """Read unix:PATH or HOST:PORT. Raises ValueError."""
    scheme, colon, path = text.partition(":")
    if not (colon and scheme == "unix"):
        return tcp_address(text)
    if not path or "\0" in path or len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"must be unix:PATH with a path of 1 to {_LONGEST_SOCKET_PATH} bytes")
    return UnixAddress(Path(path))


def host_name(text: str) -> str:
    """Return a name that a Host header may have, in lower case. Raises ValueError."""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(map(_is_label, labels)):
        raise ValueError("must be a host name without a port, such as ingestor.example.com")
    return name


def is_own_host(header: str, names: Collection[str]) -> bool:
    """Whether a Host header can't come from DNS rebinding: an IP literal, localhost, *.localhost, or one of `names`.

    A page of a foreign site can point its own name at this machine. It can't make a browser send another name.
    """
    host = _without_port(header.strip().lower())
    if host is None:
        return False
    if host.startswith("["):
        return _is_ip(host[1:-1], version=6)
    host = host.removesuffix(".")
    return host == "localhost" or host.endswith(".localhost") or host in names or _is_ip(host, version=4)


def _without_port(header: str) -> str | None:
    """Return the host of a Host header; None if it is not one."""
    end = header.find("]") + 1 if header.startswith("[") else header.find(":")
    host, rest = (header, "") if end in {-1, 0} else (header[:end], header[end:])
    port = rest.removeprefix(":")
    is_port = not rest or (rest[0] == ":" and port.isascii() and (port or "0").isdigit())
    is_whole = host.startswith("[") == host.endswith("]")
    return host if host and is_port and is_whole else None


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _is_label(label: str) -> bool:
    inner = label.replace("-", "").replace("_", "")
    return 0 < len(label) <= 63 and inner.isascii() and inner.isalnum()
