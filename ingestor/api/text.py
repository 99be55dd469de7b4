"""Text from the other side is hostile until it went through here."""

MESSAGE_LIMIT = 500
"""Characters that a message of the service keeps."""


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Make foreign text fit for one line of a log or a terminal.

    Control characters, terminal escapes and lone surrogates become spaces, runs of white space one space, and what is
    longer than `limit` characters is cut and ends in an ellipsis.
    """
    beginning = text[: 8 * limit]
    if not beginning.isprintable():
        beginning = "".join(char if char.isprintable() else " " for char in beginning)
    line = " ".join(beginning.split())
    if len(line) <= limit and len(beginning) == len(text):
        return line
    return line[: limit - 1] + "…"
