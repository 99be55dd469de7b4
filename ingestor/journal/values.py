"""Rows of values, as SQLite takes them."""

from collections.abc import Iterator, Sequence

Value = str | bytes | float | None
"""What SQLite takes."""

_CHUNK = 128  # rows in a statement: each that was ever used is kept, with room for all its values


def chunks(rows: Sequence[tuple[Value, ...]]) -> Iterator[Sequence[tuple[Value, ...]]]:
    """Yield the rows in portions that fit in a statement, each filled up to a power of two with rows of NULL.

    So few statements differ, and each is compiled once. NULL is equal to nothing; an INSERT takes `present`.
    """
    for start in range(0, len(rows), _CHUNK):
        chunk = list(rows[start : start + _CHUNK])
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [(None,) * len(chunk[0])] * (size - len(chunk))
        yield chunk


def present(rows: Sequence[tuple[Value, ...]]) -> str:
    """Return the query of a portion's rows that are none of NULL; their first value never is."""
    return f"SELECT * FROM (VALUES {places(rows)}) WHERE column1 IS NOT NULL"  # noqa: S608 - only placeholders


def places(rows: Sequence[tuple[Value, ...]]) -> str:
    """Return the placeholders of rows of one width, as they stand behind VALUES."""
    return ",".join([f"({','.join('?' * len(rows[0]))})"] * len(rows))


def flat(rows: Sequence[tuple[Value, ...]]) -> list[Value]:
    """Return the values of rows as parameters."""
    return [value for row in rows for value in row]


def storable(value: str | None) -> str | None:
    """Make text storable: a lone surrogate, as in a file name or a hostile answer, becomes its escape."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
