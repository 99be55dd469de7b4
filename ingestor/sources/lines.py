"""Bytes to lines, in bounded memory."""

from collections.abc import Iterator, Sequence

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.byte_source import ByteSource, DamagedSourceError

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept; what a longer one has beyond is skipped."""

_BLOCK = 256 * 1024
_PORTION = 500  # lines that are handed on together: a block of short ones is many records
_BOM = b"\xef\xbb\xbf"
_KEPT = len(_BOM) + LONGEST + 2  # of a line's beginning: enough to tell one that is too long from one that ends in \r


def lines(stored: ByteSource, *, is_part: bool = False) -> Iterator[list[Line | Reject]]:
    r"""Yield the lines of an input that are not blank, numbered from 1, without their end (`\n` or `\r\n`) and BOM.

    They come in portions, each as soon as it is read. An input that breaks off ends in a Reject, which says why and
    holds what was begun of a line. Of a part of a longer input, what may be a piece of a line is left as it stands
    (see `seeming`): the first line without its end, and the last of a torn one, each even where it is blank.
    """
    number, begun = 1, bytearray()
    try:
        for block in stored.blocks(_BLOCK):
            *ends, rest = block.split(b"\n")
            if ends:
                ends[0] = bytes(begun) + ends[0]
                begun.clear()
            for start in range(0, len(ends), _PORTION):
                texts = ends[start : start + _PORTION]
                yield _lines(stored.name, number + start, texts, is_part=is_part)
            number += len(ends)
            begun += rest[: _KEPT - len(begun)]
    except DamagedSourceError as error:
        reason = f"reading ended here: {error}; the lines before were taken in"
        yield [Reject(Origin(stored.name, number), reason, begun.decode(errors="backslashreplace"))]
    else:
        if is_part and begun and stored.is_torn:
            yield [_line(Origin(stored.name, number), bytes(begun))]
        else:
            yield _lines(stored.name, number, [bytes(begun)] if begun else [], is_part=is_part)


def seeming(piece: Line) -> list[Line]:
    """Return what a piece of a line is when it stands alone: the line that `lines` makes of it, none where blank."""
    line = _line(piece.origin, _bare(piece.origin.line, piece.raw))
    return [Line(line.origin, line.raw, cut=True)] if piece.cut else [line] if _is_filled(line.raw) else []


def _lines(source: str, first: int, texts: Sequence[bytes], *, is_part: bool) -> list[Line | Reject]:
    made: list[Line | Reject] = []
    if is_part and first == 1 and texts:
        made.append(_line(Origin(source, 1), texts[0].removesuffix(b"\r")))
        first, texts = 2, texts[1:]
    for number, ended in enumerate(texts, first):
        text = _bare(number, ended)
        if _is_filled(text) or len(text) > LONGEST:
            made.append(_line(Origin(source, number), text))
    return made


def _line(origin: Origin, text: bytes) -> Line:
    return Line(origin, text[:LONGEST], len(text) > LONGEST)


def _bare(number: int, text: bytes) -> bytes:
    text = text.removesuffix(b"\r")
    return text.removeprefix(_BOM) if number == 1 else text


def _is_filled(text: bytes) -> bool:
    return bool(text) and not text.isspace()
