"""Bytes to lines, in bounded memory."""

from collections.abc import Iterator

from ingestor.model.job import Line, Origin, Reject
from ingestor.sources.stored import BrokenSourceError, Stored

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept; what a longer one has beyond is skipped."""

_BLOCK = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_KEPT = len(_BOM) + LONGEST + 2  # of a line's beginning: enough to tell one that is too long from one that ends in \r


def lines(stored: Stored) -> Iterator[Line | Reject]:
    r"""Yield the lines of an input that are not blank, numbered from 1, without their end (`\n` or `\r\n`) and BOM.

    An input that breaks off ends in a Reject, which says why and holds what was begun of a line.
    """
    number, begun = 1, bytearray()
    try:
        for block in stored.blocks(_BLOCK):
            *ends, rest = block.split(b"\n")
            for end in ends:
                yield from _line(stored.name, number, bytes(begun) + end)
                number += 1
                begun.clear()
            begun += rest[: _KEPT - len(begun)]
    except BrokenSourceError as error:
        reason = f"reading ended here: {error}; the lines before were taken in"
        yield Reject(Origin(stored.name, number), reason, begun.decode(errors="backslashreplace"))
    else:
        yield from _line(stored.name, number, bytes(begun))


def _line(source: str, number: int, text: bytes) -> Iterator[Line]:
    if number == 1:
        text = text.removeprefix(_BOM)
    text = text.removesuffix(b"\r")
    cut = len(text) > LONGEST
    if cut or (text and not text.isspace()):
        yield Line(Origin(source, number), text[:LONGEST], cut)
