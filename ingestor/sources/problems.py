"""What is wrong with a record, in the words of a reason."""

_SHOWN = 60  # characters of a value in a reason

KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point or an exponent",
    str: "a string",
    list: "a list",
    dict: "an object",
}
"""What a value of JSON is, by its type."""


class ProblemError(ValueError):
    """What is wrong with a record, or with one field of it."""


def kind(value: object) -> str:
    """Return what a value of JSON is, and what to do where it is none."""
    return KINDS[type(value)] + ("; omit the field" if value is None else "")


def shown(value: str | int) -> str:
    """Return a value as a reason shows it: shortened, and without characters that control a terminal."""
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
