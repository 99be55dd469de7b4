"""Bytes to lines, in bounded memory."""

from collections.abc import Iterable, Iterator

from ingestor.model.job import Line, Origin, Reject
from ingestor.sources.stored import BrokenSourceError, Stored

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept; what a longer one has beyond is skipped."""

_BLOCK = 256 * 1024
_PORTION = 500  # lines that are handed on together: a block of short ones is many records
_BOM = b"\xef\xbb\xbf"
_KEPT = len(_BOM) + LONGEST + 2  # of a line's beginning: enough to tell one that is too long from one that ends in \r


def lines(stored: Stored) -> Iterator[list[Line | Reject]]:
    r"""Yield the lines of an input that are not blank, numbered from 1, without their end (`\n` or `\r\n`) and BOM.

    They come in portions, each as soon as it is read. An input that breaks off ends in a Reject, which says why and
    holds what was begun of a line.
    """
    number, begun = 1, bytearray()
    try:
        for block in stored.blocks(_BLOCK):
            *ends, rest = block.split(b"\n")
            if ends:
                ends[0] = bytes(begun) + ends[0]
                begun.clear()
            for start in range(0, len(ends), _PORTION):
                yield _lines(stored.name, number + start, ends[start : start + _PORTION])
            number += len(ends)
            begun += rest[: _KEPT - len(begun)]
    except BrokenSourceError as error:
        reason = f"reading ended here: {error}; the lines before were taken in"
        yield [Reject(Origin(stored.name, number), reason, begun.decode(errors="backslashreplace"))]
    else:
        yield _lines(stored.name, number, [bytes(begun)])


def _lines(source: str, first: int, texts: Iterable[bytes]) -> list[Line | Reject]:
    made: list[Line | Reject] = []
    for number, ended in enumerate(texts, first):
        text = ended.removesuffix(b"\r")
        if number == 1:
            text = text.removeprefix(_BOM)
        cut = len(text) > LONGEST
        if cut or (text and not text.isspace()):
            made.append(Line(Origin(source, number), text[:LONGEST], cut))
    return made
