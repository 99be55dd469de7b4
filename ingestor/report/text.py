"""JSON lines without dangerous characters, and numbers for people."""

import json
import time
from collections.abc import Mapping, Sequence
from http.client import responses
from math import isfinite

import msgspec

from ingestor.model.sources import STDIN
from ingestor.model.text import WHOLE, printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # the beginnings that OWASP's page on CSV injection lists

_encode = msgspec.json.Encoder().encode
_ESCAPING = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def json_line(fields: Mapping[str, object]) -> bytes:
    """Encode one line of JSON Lines, with its line end.

    Pure ASCII: escape sequences, lone surrogates and line separators in the text are escaped.
    """
    try:
        line = _encode(fields)
    except (ValueError, OverflowError):  # a lone surrogate, or a number beyond 64 bits
        line = b"\x7f"
    if not _is_harmless(line):
        line = _ESCAPING.encode(fields).encode("ascii")
    return line + b"\n"


def json_lines(head: Mapping[str, object], rows: Sequence[msgspec.Struct]) -> bytes:
    """Encode one line for each of `rows`, as `json_line` does. Each begins with the members of `head`."""
    begin = json_line(head)[:-2] + b","
    try:
        lines = b"".join([begin + _encode(row)[1:] + b"\n" for row in rows])
    except (ValueError, OverflowError):
        lines = b"\x7f"
    if _is_harmless(lines):
        return lines
    return b"".join([json_line({**head, **_members(row)}) for row in rows])


def _is_harmless(line: bytes) -> bool:
    """Whether no character is left that needs an escape. JSON escapes all that are below the blank."""
    return line.isascii() and b"\x7f" not in line


def _members(row: msgspec.Struct) -> dict[str, object]:
    """Return the members of a row that `_encode` writes: all but the defaults."""
    members = msgspec.structs.fields(row)
    return {it.name: getattr(row, it.name) for it in members if getattr(row, it.name) != it.default}


def rounded(value: float | None) -> float | None:
    """Round to thousandths; None for infinity, which JSON lacks."""
    return round(value, 3) if value is not None and isfinite(value) else None


def spell_duration(seconds: float) -> str:
    """Write a duration in its two largest units: `0.4 s`, `1 min 05 s`, `2 h 03 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def spell_moment(seconds: float) -> str:
    """Write a time of day, given in seconds since the epoch: `2026-01-31 14:02:05 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def spell_rate(per_second: float) -> str:
    """Write a rate: `3.4/s`, `1,250/s`."""
    return f"{per_second:,.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def spell_count(number: int, thing: str) -> str:
    """Write a number and its noun: `1 record`, `1,200 records`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def spell_size(count: float) -> str:
    """Write a number of bytes: `12 bytes`, `3.4 MiB`."""
    if count < 1024:
        return spell_count(int(count), "byte")
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:,.1f} {unit}"
    return f"{count / 1024:,.1f} TiB"


def spell_unread(unread_bytes: int | None) -> str:
    """Say that an input was not read to its end, and how much of it was not."""
    if not unread_bytes:
        return "the input was not read to its end"
    return f"{spell_size(unread_bytes)} of input are not read"


def spreadsheet_cell(value: object) -> object:
    """Return the value of a cell of CSV; a text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def spell_source(source: str) -> str:
    """Return the name of a source for a person."""
    return "standard input" if source == STDIN else printable(source, WHOLE)


def spell_reply(status: int | None, message: str) -> str:
    """Return what an answer says; where it says nothing, what its status means, or ""."""
    if message or status is None:
        return message
    if status // 100 == 2:
        return "the answer is a success, but it does not name the run"
    return responses.get(status, "")
