"""Text from other people's systems, made safe for one line of a log or a terminal, or for a database."""

import re

MESSAGE_LIMIT = 500
"""Characters that are kept of a message of the service."""

WHOLE = 4096
"""Characters of a path or identifier that are shown: all that a path may have, because a part of it is of no use."""


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return `text` as one printable line of at most `limit` characters, with `…` at the end if it was cut.

    Control characters, terminal escapes and lone surrogates become spaces; a run of white space becomes one space.
    """
    beginning = text[: 8 * limit]
    if not beginning.isprintable():
        beginning = "".join(char if char.isprintable() else " " for char in beginning)
    line = " ".join(beginning.split())
    if len(line) <= limit and len(beginning) == len(text):
        return line
    return line[: limit - 1] + "…"


def printable(text: str, limit: int = 200) -> str:
    r"""Return `text` as one printable line of at most `limit` characters, with `…` at the end if it was cut.

    Control characters, direction marks and all else that Unicode calls unprintable are shown as `\x1b`, `\u202e`.
    """
    shown = "".join(char if char.isprintable() else _escape(char) for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def storable(text: str) -> str:
    """Return `text` as UTF-8 can hold it: a lone surrogate, as in a file name or a hostile answer, is its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


_SPECIFIC = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`)(?!\w)|(?<![\w.:/-])[\w.:/-]*\d[\w.:/-]*""")
"""Quoted text, and words that contain a digit: names, ids, times. They differ between two messages of one error."""


def without_specifics(message: str) -> str:
    """Return what two messages of one kind of error have in common: names, ids and numbers are `#`."""
    return _SPECIFIC.sub("#", message)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
