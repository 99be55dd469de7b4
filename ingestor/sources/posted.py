"""The body of a request becomes the lines of its good records, and a reason for each of the others."""

import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO

import msgspec

from ingestor.model.acceptance import LARGEST, NotAcceptedError, Posted, Refusal, Rejected, too_large
from ingestor.model.record import Line, Origin, Reject
from ingestor.policy.identity import Scope
from ingestor.sources.lines import LineSplitter, to_lines, without_marks
from ingestor.sources.parse import parse_record

MOST_LINES = 100_000
"""Lines of a body. So the time is bounded that one request takes."""

MOST_LISTED = 1_000
"""Rejected lines that are listed with their reasons."""

ACCEPTED = "POST /runs"
"""The name of the source of these records."""

_MOST_MEMBERS = 1_000  # of compressed data: an empty one costs much more than its 20 bytes
_PIECE = 64 * 1024


def parse_posted(body: bytes, scope: Scope, *, is_gzip: bool = False) -> Posted:
    """Read a body: JSON Lines, or one record, which may be printed over several lines.

    The reasons are those of a file with the same lines. Raises NotAcceptedError.
    """
    text = _decompressed(body) if is_gzip else body
    if len(text) > LARGEST:
        raise too_large(f"{LARGEST:,} bytes")
    if text.count(b"\n") > MOST_LINES:
        raise too_large(f"{MOST_LINES:,} lines")
    posted = _parse(_lines_of(text), scope)
    if not posted.lines and len(posted.rejected) > 1 and _is_object(text):
        return _parse([Line(Origin(ACCEPTED, 1), without_marks(text).translate(_ON_ONE_LINE))], scope)
    return posted


_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # between the parts of JSON; in its texts, line ends are escaped


def _lines_of(text: bytes) -> Iterator[Line]:
    """Yield the lines of a text, few of them at once: each costs more memory than its bytes."""
    splitter = LineSplitter()
    for begin in range(0, len(text), _PIECE):
        for first, texts, _ in splitter.split(text[begin : begin + _PIECE]):
            yield from to_lines(ACCEPTED, first, texts)
    yield from to_lines(ACCEPTED, splitter.line, [splitter.rest()])


def _parse(lines: Iterable[Line], scope: Scope) -> Posted:
    good: list[bytes] = []
    rejected: list[Rejected] = []
    not_listed = 0
    for line in lines:
        record = parse_record(line, scope)
        if not isinstance(record, Reject):
            good.append(line.raw)
        elif len(rejected) < MOST_LISTED:
            rejected.append(Rejected(line.origin.line, record.reason))
        else:
            not_listed += 1
    return Posted(good, rejected, not_listed)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(without_marks(text)), dict)
    except (ValueError, RecursionError):
        return False


def _decompressed(body: bytes) -> bytes:
    """Decompress gzip, in bounded memory and time. Raises NotAcceptedError."""
    source, found = BytesIO(body), bytearray()
    rest = source.read(_PIECE)
    for _ in range(_MOST_MEMBERS):
        inflate, is_whole = zlib.decompressobj(wbits=31), False
        while rest and not is_whole:
            try:
                found += inflate.decompress(rest, LARGEST + 1 - len(found))
            except zlib.error as error:
                raise _damaged(str(error)) from None
            if len(found) > LARGEST:
                raise too_large(f"{LARGEST:,} bytes")
            is_whole = inflate.eof
            rest = inflate.unconsumed_tail or inflate.unused_data or source.read(_PIECE)
        if not is_whole:
            raise _damaged("its end is missing")
        if not rest:
            return bytes(found)
    raise _damaged(f"it has more than {_MOST_MEMBERS:,} parts")


def _damaged(why: str) -> NotAcceptedError:
    return NotAcceptedError(Refusal.DAMAGED, f"the body is not valid gzip data: {why}")
