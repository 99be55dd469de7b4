"""Tables of results, for a terminal and for the page in docs/ that a benchmark writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.process import ROOT

PAGE = ROOT / "docs" / "performance.md"
"""The page whose part between BEGIN and END is replaced."""
BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end: written by make bench -->"

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading. The first column is text, the others are numbers; each row has a cell for each column."""

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
        """Return it for the page."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.columns, rule, *self.rows)]
        note = ["", self.note] if self.note else []
        return "\n".join([f"**{self.title}**", "", *lines, *note, ""])


@dataclass(frozen=True, slots=True)
class Check:
    """A result and its target.

    Attributes:
        what: what is measured.
        value: the result.
        target: the value that it has to reach.
        at_least: whether more is better.
        unit: of value and target.
        by_cpu: the same measure by processor time instead of wall-clock time, where there is one.
    """

    what: str
    value: float
    target: float
    at_least: bool = True
    unit: str = ""
    by_cpu: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def row(self) -> tuple[str, ...]:
        """The check as a row under CHECK_COLUMNS."""
        relation = "at least" if self.at_least else "at most"
        return (
            self.what,
            f"{_number(self.value)}{self.unit}",
            f"{relation} {_number(self.target)}{self.unit}",
            "yes" if self.is_met else "no",
            "" if self.by_cpu is None else f"{_number(self.by_cpu)}{self.unit}",
        )


CHECK_COLUMNS = ("measure", "measured", "target", "reached", "by processor time")


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each round. Raises ValueError where the numbers of rounds differ."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """Return the median and the range of some values."""
    return f"{median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def replaced(document: str, content: str) -> str:
    """Return a document with `content` between BEGIN and END. Raises ValueError where it has not one of each."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ValueError(f"the document needs one line {BEGIN} and after it one line {END}")
    return f"{before}{BEGIN}\n\n{content.strip()}\n\n{END}{after}"


def write(content: str, path: Path = PAGE) -> None:
    """Put `content` into the page. Raises ValueError as `replaced`."""
    path.write_text(replaced(path.read_text(encoding="utf-8"), content), encoding="utf-8")


def _cells(line: Row, widths: Sequence[int]) -> "enumerate[tuple[str, int]]":
    return enumerate(zip(line, widths, strict=True))


def _pad(cell: str, width: int, place: int) -> str:
    return cell.rjust(width) if place else cell.ljust(width)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
