"""Figures of several rounds made one, and told."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each round. Raises ValueError where the rounds are not the same number."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """Return the median and the range of some values."""
    return f"{median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


@dataclass(frozen=True, slots=True)
class Check:
    """A figure beside the value that it is to reach.

    Attributes:
        what: what is measured.
        figure: what came out.
        target: what it is to reach.
        at_least: whether more is better.
        unit: stands behind both.
        steady: the same by processor time instead of the clock on the wall, where that says anything.
    """

    what: str
    figure: float
    target: float
    at_least: bool = True
    unit: str = ""
    steady: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    @property
    def row(self) -> tuple[str, ...]:
        """The check as a row of a table."""
        relation = "at least" if self.at_least else "at most"
        return (
            self.what,
            f"{_number(self.figure)}{self.unit}",
            f"{relation} {_number(self.target)}{self.unit}",
            "yes" if self.met else "no",
            "" if self.steady is None else f"{_number(self.steady)}{self.unit}",
        )


CHECKED = ("measure", "measured", "target", "reached", "by processor time")
"""The titles over the rows of checks."""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
