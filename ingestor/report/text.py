"""Words for people and machines: hostile text made harmless, numbers made readable."""

import json
from collections.abc import Mapping, Sequence

import msgspec

_encode = msgspec.json.Encoder().encode
_ESCAPING = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def json_line(fields: Mapping[str, object]) -> bytes:
    """Encode one line of JSON Lines, with its line end.

    Pure ASCII: whatever the text holds (escape sequences, lone surrogates, line separators) is escaped.
    """
    try:
        line = _encode(fields)
    except (ValueError, OverflowError):  # a lone surrogate, or a number beyond 64 bits
        line = b"\x7f"
    if not _is_harmless(line):
        line = _ESCAPING.encode(fields).encode("ascii")
    return line + b"\n"


def json_lines(head: Mapping[str, object], rows: Sequence[msgspec.Struct]) -> bytes:
    """Encode a line for each of `rows`, as `json_line` does; each begins with the members of `head`."""
    begin = json_line(head)[:-2] + b","
    try:
        lines = b"".join([begin + _encode(row)[1:] + b"\n" for row in rows])
    except (ValueError, OverflowError):
        lines = b"\x7f"
    if _is_harmless(lines):
        return lines
    return b"".join([json_line({**head, **_members(row)}) for row in rows])


def _is_harmless(line: bytes) -> bool:
    """Whether nothing in it needs an escape that is not there: below the blank, JSON escapes everything."""
    return line.isascii() and b"\x7f" not in line


def _members(row: msgspec.Struct) -> dict[str, object]:
    """Return what `_encode` makes of a row that leaves its defaults out."""
    members = msgspec.structs.fields(row)
    return {it.name: getattr(row, it.name) for it in members if getattr(row, it.name) != it.default}


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


def spell_count(number: int, thing: str) -> str:
    """Write how many there are of a thing: `1 record`, `1,200 records`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
