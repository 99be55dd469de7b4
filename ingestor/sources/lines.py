"""Bytes to lines, in bounded memory."""

from collections.abc import Iterator

from ingestor.model.job import Line, Origin, Reject
from ingestor.sources.stored import BrokenSourceError, Stored

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept; what a longer one has beyond is skipped."""

_BLOCK = 256 * 1024
_BOM = b"\xef\xbb\xbf"


def lines(stored: Stored) -> Iterator[Line | Reject]:
    r"""Yield the lines of an input that are not blank, numbered from 1, without their end (`\n` or `\r\n`) and BOM.

    An input that breaks off ends in a Reject, which says why and holds what was begun of a line.
    """
    number, tail, cut = 1, b"", False
    try:
        for block in stored.blocks(_BLOCK):
            *whole, rest = block.split(b"\n")
            for text in whole:
                yield from _line(stored.name, number, tail + text, cut=cut)
                number, tail, cut = number + 1, b"", False
            tail += rest
            if len(tail) > LONGEST:
                tail, cut = tail[:LONGEST], True
    except BrokenSourceError as error:
        reason = f"reading ended here: {error}; the lines before were taken in"
        yield Reject(Origin(stored.name, number), reason, tail.decode(errors="backslashreplace"))
    else:
        yield from _line(stored.name, number, tail, cut=cut)


def _line(source: str, number: int, text: bytes, *, cut: bool) -> Iterator[Line]:
    if number == 1:
        text = text.removeprefix(_BOM)
    text = text.removesuffix(b"\r")
    if len(text) > LONGEST:
        text, cut = text[:LONGEST], True
    if cut or (text and not text.isspace()):
        yield Line(Origin(source, number), text, cut)
