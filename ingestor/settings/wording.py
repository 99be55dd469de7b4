"""How the program says what is wrong with a value, and what was perhaps meant."""

import difflib
from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from ingestor.report.text import printable

_LONGEST_VALUE = 80

WHOLE = 4096
"""Characters of a path or identifier, which is of no use when it is shortened: as many as a path may have."""

_MUST = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le:g}",
    "path_type": "must be a path, in quotes",
    "string_type": "must be text, in quotes",
}


def complaint(error: ErrorDetails) -> str:
    """Say what a value must be and, where one of the rules above was broken, what was given.

    Our own checks (`values`) name what they need to; a value that they refuse may hold a secret and is not shown.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    must = _MUST[kind].format_map(context) if kind in _MUST else error["msg"]
    return f"{must}, got {shown(error['input'])}"


def shown(value: object, longest: int = _LONGEST_VALUE) -> str:
    """Show a value as the user wrote it, on one line, shortened, and with nothing that moves a terminal."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    text = printable(str(value).lower() if isinstance(value, bool) else str(value), longest)
    return text if text and " " not in text else f"'{text}'"


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return "; did you mean X?" for the nearest of the known words, or "" where none is near.

    `likeness` (0 to 1) is difflib's ratio; words with a long beginning in common need a high one.
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=likeness)
    return f"; did you mean {near[0]}?" if near else ""
