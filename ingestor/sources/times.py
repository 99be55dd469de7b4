"""Times of a record: milliseconds since 1970, or text of RFC 3339 or ISO 8601 with an offset."""

import re
from datetime import UTC, datetime, timedelta

from ingestor.sources.problems import ProblemError, kind, shown

EARLIEST = 10**11
"""A smaller number is before March 1973 in milliseconds. In seconds it reaches the year 5138."""
LATEST = 253_402_300_799_999
"""The end of the year 9999, in milliseconds. A larger number is in microseconds or nanoseconds."""

_FIRST_SECONDS = 10**8  # such a number is after March 1973 if it is in seconds
_INT64_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EXAMPLE = "2024-02-08T22:28:16.765Z"

_NUMBER = re.compile(r"\s*[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*")
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def milliseconds(value: object) -> int:
    """Return the milliseconds of a time as a record has it. Raises ProblemError.

    Numbers near zero are refused: they are seconds, or stand for "not known". A text may be any time of the years 1 to
    9999; a time before 1970 is negative. Digits after the milliseconds are cut off.
    """
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, float):
        raise ProblemError(f"must be whole milliseconds or an ISO 8601 time, not {kind(value)}{_point_hint(value)}")
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProblemError(f"must be whole milliseconds or an ISO 8601 time, not {kind(value)}")
    if value < 0:
        raise ProblemError(f"must not be negative, but is {shown(value)}")
    if value > _INT64_MAX:
        raise ProblemError(f"is too large for a 64-bit integer: {shown(value)}")
    if 0 < value < EARLIEST:
        raise ProblemError(f"{value} seems to be in seconds; give milliseconds")
    if value > LATEST:
        raise ProblemError(f"{value} seems to be in microseconds or nanoseconds; give milliseconds")
    return value


def _point_hint(value: float) -> str:
    if value.is_integer() and EARLIEST <= value <= LATEST:
        return f"; write {int(value)}"
    return "; it seems to be in seconds: multiply it by 1,000" if _FIRST_SECONDS <= value < EARLIEST else ""


def _of_text(value: str) -> int:
    try:
        time, more = datetime.fromisoformat(value), timedelta()
    except ValueError:
        time, more = _rfc_3339(value)
    if time.tzinfo is None:
        raise ProblemError(_without_offset(value))
    return (time - _EPOCH + more) // _MILLISECOND


def _rfc_3339(value: str) -> tuple[datetime, timedelta]:
    """Parse what RFC 3339 allows and Python does not: `z`, and the leap second, which is the next second."""
    parts = _RFC_3339.fullmatch(value)
    if parts is None:
        raise ProblemError(_not_a_time(value))
    date, minute, second, fraction, offset = parts.groups()
    is_leap = second == "60"
    try:
        time = datetime.fromisoformat(f"{date}T{minute}:{'59' if is_leap else second}{fraction or ''}{offset.upper()}")
    except ValueError as error:
        raise ProblemError(f"{shown(value)} is not a time that exists: {error}") from None
    if not is_leap:
        return time, timedelta()
    if (time - _EPOCH) % timedelta(days=1) < timedelta(days=1) - timedelta(seconds=1):
        raise ProblemError(f"{shown(value)} is no leap second: a minute has 60 seconds except at 23:59 UTC")
    return time, timedelta(seconds=1)


def _not_a_time(value: str) -> str:
    if _NUMBER.fullmatch(value):
        if _FIRST_SECONDS <= float(value) < EARLIEST:
            return f"{shown(value)} is a number in quotes, in seconds; remove the quotes and multiply it by 1,000"
        return f"{shown(value)} is a number in quotes; remove the quotes and give whole milliseconds"
    if not value.strip():
        return "must not be empty; omit the field"
    return f"{shown(value)} is not an ISO 8601 time such as {_EXAMPLE}"


def _without_offset(value: str) -> str:
    if value.isdigit() and len(value) != len("YYYYMMDD"):
        return _not_a_time(value)
    if len(value) <= len("YYYY-MM-DD"):
        return f"{shown(value)} has no time of the day and no UTC offset; write a time such as {_EXAMPLE}"
    return f"{shown(value)} has no UTC offset; add Z for UTC, or an offset such as +02:00"
