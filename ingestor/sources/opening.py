"""How an input begins, from which its format is recognized."""

import re
from dataclasses import dataclass
from functools import cached_property

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.lines import without_marks
from ingestor.sources.parse import parse_fast
from ingestor.sources.parse_strict import parse_strict

FILE = "FILE"
"""What a command has in the place of a file's name."""

_LINES = 4
"""Lines that are looked at: a few bad ones at the beginning of a good file make no other format."""

_BLANK = re.compile(rb"(?:\xef\xbb\xbf|\s)*")
_OBJECT = re.compile(rb"^(?:\xef\xbb\xbf|\s)*\{", re.MULTILINE)
_NOWHERE = Origin("", 0)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is not read.

    Attributes:
        name: what it is called, with its article.
        convert: a command that writes FILE as JSON Lines; empty if there is none. It reads standard input where FILE,
            and a `<` before it, are left out.
        needs_file: whether the command can't read standard input.
        advice: what else to do, or which files of this format the command is for.
    """

    name: str
    convert: str = ""
    needs_file: bool = False
    advice: str = ""

    @property
    def filter(self) -> str:
        """The command that converts what it reads from standard input."""
        return self.convert.replace(f" < {FILE}", "").replace(f" {FILE}", "")


@dataclass(frozen=True)
class Opening:
    """The beginning of an input, without the blank lines and byte order marks before it.

    Attributes:
        head: its bytes.
        is_cut: whether the last line of `head` may continue.
        blank: how many lines before it were blank.
    """

    head: bytes
    is_cut: bool = False
    blank: int = 0

    @classmethod
    def of(cls, begun: bytes, *, is_cut: bool) -> "Opening":
        """Return the opening of an input that begins with these bytes."""
        blank = _BLANK.match(begun)
        start = 0 if blank is None else blank.end()
        return cls(begun[start:], is_cut, begun.count(b"\n", 0, start))

    @cached_property
    def lines(self) -> list[bytes]:
        """The first four lines that are not blank, fewer if there are not so many."""
        return self._lines[0]

    @property
    def last_is_cut(self) -> bool:
        """Whether the last one of `lines` may continue."""
        return self._lines[1]

    @cached_property
    def records(self) -> list[bool]:
        """Which of the complete ones of `lines` are valid records."""
        return [is_record(line) for line in self.lines[: len(self.lines) - self.last_is_cut]]

    @property
    def has_records(self) -> bool:
        """Whether one of `lines` is a valid record."""
        return any(self.records)

    @property
    def is_complete(self) -> bool:
        """Whether `lines` has all lines that are looked at."""
        return len(self.records) == _LINES

    @cached_property
    def is_plain(self) -> bool:
        """Whether no line of `head` begins an object."""
        return _OBJECT.search(self.head) is None

    @cached_property
    def _lines(self) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        rest, end = self.head, b"\n"
        while rest and len(found) < _LINES:
            line, end, rest = rest.partition(b"\n")
            line = without_marks(line).rstrip()
            if line:
                found.append(line)
        return found, self.is_cut and not end


def is_record(text: bytes) -> bool:
    """Whether a line is a valid record."""
    line = Line(_NOWHERE, text)
    return parse_fast(line) is not None or not isinstance(parse_strict(line), Reject)
