"""The kinds of values that options take. Each refuses what it can't use, in words that begin with "must"."""

import ipaddress
import posixpath
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ingestor.settings.machine import cores


class Auth(StrEnum):
    """How requests are authenticated."""

    API_KEY = "api-key"
    SESSION_TOKEN = "session-token"  # noqa: S105 -- a name, not a token
    INSTANCE_PRINCIPAL = "instance-principal"
    RESOURCE_PRINCIPAL = "resource-principal"
    WORKLOAD_IDENTITY = "workload-identity"
    BEARER = "bearer"
    NONE = "none"


class Output(StrEnum):
    """The form of what a command prints on standard output."""

    TEXT = "text"
    JSON = "json"


class Progress(StrEnum):
    """Whether progress is shown on standard error. AUTO: where that is a terminal."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


LONGEST_BATCH_NAME = 100
"""Characters."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _region(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", text):
        raise ValueError("must be a region's name, such as us-ashburn-1")
    return text


def _address(text: str) -> str:
    """Check a base URL. What is refused is not repeated: it may hold a password."""
    if not _is_plain_address(text):
        raise ValueError("must be http(s)://host[:port][/path], without user, password, query or fragment")
    return _canonical(urlsplit(text))


def _canonical(url: SplitResult) -> str:
    """Spell an address in the one way that all its spellings share: a server is what keys are unique in."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    port = "" if url.port in {None, {"http": 80, "https": 443}[url.scheme]} else f":{url.port}"
    path = posixpath.normpath(url.path) if url.path else ""
    return f"{url.scheme}://{host}{port}{'' if path in {'.', '/', '//'} else path}"


def _is_plain_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        port_fits = url.port != 0
    except ValueError:
        return False
    clean = text.isascii() and text.isprintable() and not set(text) & set(" ?#\\")
    return clean and port_fits and _names_only_a_host(url)


def _names_only_a_host(url: SplitResult) -> bool:
    return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc


def _path_segment(text: str) -> str:
    if not text or text in {".", ".."} or not text.isprintable() or re.search(r"[\s/]", text):
        raise ValueError("must not be empty or hold spaces or slashes")
    return text


def _one_line(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable text, without spaces around it")
    return text


def _batch_name(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_BATCH_NAME or not text.isprintable():
        raise ValueError(f"must be 1 to {LONGEST_BATCH_NAME} printable characters")
    return text


def _path(value: object) -> object:
    if isinstance(value, str | Path) and (not str(value) or "\0" in str(value)):
        raise ValueError("must be a path")
    return value


def _home_expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("must not begin with ~: there is no such home directory") from None


def _token(secret: SecretStr) -> SecretStr:
    """Strip what files and shells leave around a token; refuse what can't stand in a header."""
    text = secret.get_secret_value().strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be a token of visible ASCII characters, on one line")
    return SecretStr(text)


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 -- pydantic turns ValueErrors into its own
    return value


def one_for_each_core() -> int:
    """Return how many sender processes keep all cores busy; none where this process has the only one."""
    return cores() if cores() > 1 else 0


def _counted(value: object) -> object:
    return one_for_each_core() if value == "auto" else value


def _loopback(host: str) -> str:
    if not _is_loopback(host):
        raise ValueError("must be a loopback address, such as 127.0.0.1")
    return host


Region = Annotated[str, AfterValidator(_region)]
Address = Annotated[str, AfterValidator(_address)]
PathSegment = Annotated[str, AfterValidator(_path_segment)]
OneLine = Annotated[str, AfterValidator(_one_line)]
BatchName = Annotated[str, AfterValidator(_batch_name)]
LocalPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_home_expanded)]
Token = Annotated[SecretStr, AfterValidator(_token)]
LoopbackHost = Annotated[str, AfterValidator(_loopback)]
_Whole = Annotated[int, BeforeValidator(_no_switch)]
_Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_switch)]
Port = Annotated[_Whole, Field(ge=0, le=65535)]
Count = Annotated[_Whole, Field(ge=1)]
Senders = Annotated[_Whole, Field(ge=0, le=256), BeforeValidator(_counted)]
Positive = Annotated[_Number, Field(gt=0)]
NotNegative = Annotated[_Number, Field(ge=0)]
Share = Annotated[_Number, Field(ge=0, le=1)]
