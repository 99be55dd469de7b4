"""Blocks of bytes become lines, in bounded memory."""

from collections.abc import Iterator, Sequence

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.errors import DamagedSourceError, OtherFormatError, UnpackError
from ingestor.sources.shell import FILE, quoted

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept. The rest of a longer line is skipped."""

MOST_LINES = 600
"""Lines that are processed together."""

BOM = b"\xef\xbb\xbf"
_KEPT = len(BOM) + LONGEST + 2  # of a line's beginning: enough to see whether it is too long, or ends in \r


class LineSplitter:
    """Splits a stream of bytes into lines. `line` is the number of the current line."""

    def __init__(self, line: int = 1) -> None:
        self.line = line
        self._begun = bytearray()

    def split(self, block: bytes) -> Iterator[tuple[int, Sequence[bytes], int]]:
        r"""Add the next block, and yield the lines that end in it, in portions: first number, texts, end.

        A text has no `\n`. `end` is the index in the block after the last line of the portion.
        """
        *texts, rest = block.split(b"\n")
        end = -len(self._begun)
        if texts:
            texts[0] = bytes(self._begun) + texts[0]
            self._begun.clear()
        for start in range(0, len(texts), MOST_LINES):
            portion = texts[start : start + MOST_LINES]
            first, self.line = self.line, self.line + len(portion)
            end += sum(map(len, portion)) + len(portion)
            yield first, portion, end
        self._begun += rest[: _KEPT - len(self._begun)]

    def rest(self) -> bytes:
        """Return the beginning of the last line, if it has no newline: at most a little more than LONGEST."""
        return bytes(self._begun)


def to_lines(source: str, first: int, texts: Sequence[bytes]) -> list[Line]:
    r"""Return the lines that are not blank, without the `\r` at their end and without byte order marks before them.

    A mark is at the start of any line: `cat` puts one file after the other.
    """
    lines = []
    for number, ended in enumerate(texts, first):
        text = ended.removesuffix(b"\r")
        if text.startswith(BOM):
            text = without_marks(text)
        if len(text) > LONGEST:
            lines.append(Line(Origin(source, number), text[:LONGEST], cut=True))
        elif text and not text.isspace():
            lines.append(Line(Origin(source, number), text))
    return lines


def without_marks(text: bytes) -> bytes:
    """Return a line without the byte order marks at its start."""
    while text.startswith(BOM):
        text = text[len(BOM) :]
    return text


def damage(origin: Origin, error: DamagedSourceError, begun: bytes) -> Reject:
    """Return the reject at the end of a damaged source: the reason, and the beginning of the last line.

    A source of another format, of which nothing was read, is one reject as a whole.
    """
    why = str(error).replace(FILE, quoted(origin.source)) if isinstance(error, UnpackError) else str(error)
    if isinstance(error, OtherFormatError) and origin.line == 1:
        first = Origin(origin.source, origin.line + error.blank)
        text = (error.begun or begun).decode(errors="backslashreplace")
        return Reject(first, why, text, is_other_format=True)
    reason = f"reading ended here: {why}; the lines before this one were read"
    return Reject(origin, reason, begun.decode(errors="backslashreplace"), is_damage=True)
