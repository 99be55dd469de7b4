"""Messages about values that can't be used, and suggestions."""

import difflib
from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from ingestor.model.text import printable

_LONGEST_VALUE = 80

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
    """Return what a value must be and, if it broke one of the rules above, what was given.

    A value that one of the own checks (`values`) refused may be a secret: the check's message shows what it may.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    must = _MUST[kind].format_map(context) if kind in _MUST else error["msg"]
    return f"{must}, got {shown(error['input'])}"


def shown(value: object, longest: int = _LONGEST_VALUE) -> str:
    """Return a value as the user wrote it, on one line, shortened, and without control characters."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    text = printable(str(value).lower() if isinstance(value, bool) else str(value), longest)
    return text if text and " " not in text else f"'{text}'"


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return "; did you mean X?" for the most similar known word, or "" if none is similar.

    `likeness` (0 to 1) is difflib's ratio. Words with a long common beginning need a high one.
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=likeness)
    return f"; did you mean {near[0]}?" if near else ""
