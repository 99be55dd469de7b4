"""Who may read what a server knows: a token in the Authorization header, or in the cookie that stands for it."""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE, printable

_COOKIE = "ingestor"  # begins the name of the cookie
SHORTEST_TOKEN = 16
"""Characters: a shorter token could be guessed."""

_LONGEST_FILE = 10_000  # bytes


class Access:
    """Checks tokens, in a time that does not depend on them.

    Args:
        token: the token; None: none is set.
        required: whether nothing that is protected is shown without one. With a token, it is always required.
    """

    def __init__(self, token: str | None = None, *, required: bool = False) -> None:
        self._token = None if token is None else _digest(token)
        made = "" if token is None else hmac.new(token.encode(), b"ingestor cookie", hashlib.sha256).hexdigest()
        # A browser sends a cookie to all ports of a host: servers with other tokens have cookies of other names.
        self._name, self._cookie = f"{_COOKIE}-{made[:8]}", made[8:]
        self._required = required

    @classmethod
    def from_file(cls, path: Path | None, variable: str, *, required: bool) -> Self:
        """Read the token from a file; `variable` names it in messages. Raises UsageError."""
        return cls(None if path is None else read_token(path, variable), required=required)

    @property
    def is_possible(self) -> bool:
        """Whether anybody can get in: a token is set, or none is needed."""
        return self._token is not None or not self._required

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may see what is protected."""
        if self._token is None:
            return not self._required
        return self.has_token(headers) or self._has_cookie(headers)

    def has_token(self, headers: Mapping[str, str]) -> bool:
        """Whether the Authorization header has the token."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        is_right = self._token is not None and hmac.compare_digest(_digest(given.strip()), self._token)
        return is_right and scheme.lower() == "bearer"

    def cookie(self) -> str:
        """Return the Set-Cookie header for a browser that has shown the token. The token is not in it."""
        return f"{self._name}={self._cookie}; HttpOnly; SameSite=Strict"

    def _has_cookie(self, headers: Mapping[str, str]) -> bool:
        cookies = [pair.strip().partition("=") for pair in headers.get("Cookie", "").split(";")]
        values = [value.encode("utf-8", "surrogateescape") for name, _, value in cookies if name == self._name]
        return any(hmac.compare_digest(value, self._cookie.encode()) for value in values)


def read_token(path: Path, variable: str) -> str:
    """Read a token: one line of printable ASCII. No message shows it. Raises UsageError."""
    shown = f"{variable}: {printable(str(path), WHOLE)}"
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_FILE + 1).decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"{shown} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not (SHORTEST_TOKEN <= len(text) <= _LONGEST_FILE and text.isprintable() and " " not in text):
        raise UsageError(
            f"{shown} must hold one token of at least {SHORTEST_TOKEN} printable ASCII characters without blanks: "
            "`openssl rand -hex 32` makes one"
        )
    return text


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
