"""Rows of values, as SQLite takes them."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Value = str | bytes | float | None
"""What SQLite takes."""

_CHUNK = 500  # rows in a statement: the widest row has 12 values, and SQLite takes 32,766 parameters

Values = TypeVar("Values", bound=tuple[Value, ...])


def chunks(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    """Yield the rows in portions that fit in a statement."""
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


def places(rows: Sequence[tuple[Value, ...]]) -> str:
    """Return the placeholders of rows of one width, as they stand behind VALUES."""
    return ",".join([f"({','.join('?' * len(rows[0]))})"] * len(rows))


def flat(rows: Sequence[tuple[Value, ...]]) -> list[Value]:
    """Return the values of rows as parameters."""
    return [value for row in rows for value in row]


def storable(value: str | None) -> str | None:
    """Make text storable: a lone surrogate, as in a file name or a hostile answer, becomes its escape."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
