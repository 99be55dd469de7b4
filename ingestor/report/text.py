"""Words for people and machines: hostile text made harmless, numbers made readable."""

import json
from collections.abc import Mapping

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def json_line(fields: Mapping[str, object]) -> bytes:
    """Encode one line of JSON Lines, with its line end.

    Pure ASCII: whatever the text holds (escape sequences, lone surrogates, line separators) is escaped.
    """
    return _ENCODER.encode(fields).encode("ascii") + b"\n"


def printable(text: str, limit: int = 200) -> str:
    r"""Return `text` fit for a terminal: one line, at most `limit` characters, `...` where it was cut.

    Control characters, direction marks and all else that Unicode calls unprintable come out as `\x1b`, `\u202e`.
    """
    shown = "".join(char if char.isprintable() else _escape(char) for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def spell_duration(seconds: float) -> str:
    """Write a duration in the two units that matter: `0.4 s`, `1 min 05 s`, `2 h 03 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def spell_rate(per_second: float) -> str:
    """Write a rate: `3.4/s`, `1,250/s`."""
    return f"{per_second:,.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
