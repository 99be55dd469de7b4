"""Tables, for a terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading. The first column is words, the others are figures; every row has as many as `columns`."""

    title: str
    columns: Row
    rows: Sequence[Row]
    note: str = ""

    def as_text(self) -> str:
        """Return it for a terminal."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        body = ["  ".join(_pad(cell, width, place) for place, (cell, width) in _cells(line, widths)) for line in lines]
        rule = "  ".join("-" * width for width in widths)
        note = [self.note] if self.note else []
        return "\n".join([self.title, "", body[0].rstrip(), rule, *(line.rstrip() for line in body[1:]), *note, ""])

    def as_markdown(self) -> str:
        """Return it for the README."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.columns, rule, *self.rows)]
        note = ["", self.note] if self.note else []
        return "\n".join([f"**{self.title}**", "", *lines, *note, ""])


def _cells(line: Row, widths: Sequence[int]) -> "enumerate[tuple[str, int]]":
    return enumerate(zip(line, widths, strict=True))


def _pad(cell: str, width: int, place: int) -> str:
    return cell.rjust(width) if place else cell.ljust(width)
