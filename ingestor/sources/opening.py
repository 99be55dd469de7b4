"""How an input begins, from which its format is recognized."""

import re
from dataclasses import dataclass

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.lines import BOM, without_marks
from ingestor.sources.parse import parse_fast
from ingestor.sources.parse_strict import parse_strict

_LINES = 4
"""Lines that are looked at: a few bad ones at the beginning of a good file make no other format."""

_BLANK = re.compile(rb"\A(?:\xef\xbb\xbf|\s)*")
_OBJECT = re.compile(rb"^(?:\xef\xbb\xbf|\s)*\{", re.MULTILINE)
_NOWHERE = Origin("", 0)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is not read.

    Attributes:
        name: what it is called, with its article.
        convert: a command that turns standard input into JSON Lines; empty if there is none.
        advice: what else to do, or which files of this format the command is for.
    """

    name: str
    convert: str = ""
    advice: str = ""


class Opening:
    """The beginning of an input, without the blank lines and byte order marks before it.

    Attributes:
        head: its bytes.
        is_cut: whether the last line of `head` may continue.
        blank: how many lines before it were blank.
        skipped: the bytes before it, if a byte order mark is among them; else 0.
        lines: the first four lines that are not blank, fewer if there are not so many.
        last_is_cut: whether the last one of `lines` may continue.
        records: which of the complete ones of `lines` are valid records.
        has_records: whether any is.
        is_complete: whether `lines` has all lines that are looked at.
    """

    def __init__(self, begun: bytes, *, is_cut: bool) -> None:
        self.head = _BLANK.sub(b"", begun, count=1)
        self.is_cut = is_cut
        before = begun[: len(begun) - len(self.head)]
        self.blank = before.count(b"\n")
        self.skipped = len(before) if BOM in before else 0
        self.lines: list[bytes] = []
        rest, end = self.head, b"\n"
        while rest and len(self.lines) < _LINES:
            line, end, rest = rest.partition(b"\n")
            line = without_marks(line).rstrip()
            self.lines += [line] if line else []
        self.last_is_cut = is_cut and not end
        self.records = [is_record(line) for line in self.lines[: len(self.lines) - self.last_is_cut]]
        self.has_records = any(self.records)
        self.is_complete = len(self.records) == _LINES

    @property
    def is_plain(self) -> bool:
        """Whether no line of `head` begins an object."""
        return _OBJECT.search(self.head) is None


def is_record(text: bytes) -> bool:
    """Whether a line is a valid record."""
    line = Line(_NOWHERE, text)
    return parse_fast(line) is not None or not isinstance(parse_strict(line), Reject)
