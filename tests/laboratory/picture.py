"""The picture of the curves: requests a second over time, accepted and refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_LIMIT, _ACCEPTED, _REFUSED, _GREY = "#222222", "#2a7f9e", "#d1495b", "#777777"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What happened over time.

    Attributes:
        title, caption: what the panel says.
        seconds: the length of a slice.
        accepted, refused: requests in each slice.
        limit: what could be accepted a second, in each slice; None where there is no limit.
        settled: the second from which it counts as settled.
    """

    title: str
    caption: str
    seconds: float
    accepted: Sequence[int]
    refused: Sequence[int]
    limit: Sequence[float | None]
    settled: float


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw one panel a curve into a PNG file."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only where a picture is drawn

    columns = min(_COLUMNS, len(curves))
    rows = ceil(len(curves) / columns)
    figure = Figure(figsize=(5.6 * columns, 2.9 * rows + 1.1), layout="constrained")
    panels = [axes for row in figure.subplots(rows, columns, squeeze=False) for axes in row]
    for axes, curve in zip(panels, curves, strict=False):
        _panel(axes, curve)
    for axes in panels[len(curves) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle("Requests a second over time: how a client finds a limit that it does not know", fontsize=14)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def _panel(axes: "Axes", curve: Curve) -> None:
    times = [curve.seconds * (number + 0.5) for number in range(len(curve.accepted))]
    accepted = [number / curve.seconds for number in curve.accepted]
    refused = [number / curve.seconds for number in curve.refused]
    axes.fill_between(times, accepted, step="mid", color=_ACCEPTED, linewidth=0, label="accepted")
    total = [one + two for one, two in zip(accepted, refused, strict=True)]
    axes.fill_between(times, accepted, total, step="mid", color=_REFUSED, linewidth=0, label="refused (429)")
    limits = [float("nan") if limit is None else limit for limit in curve.limit]
    axes.step(times, limits, where="mid", color=_LIMIT, linewidth=1.2, label="the limit, or the best constant rate")
    axes.axvline(curve.settled, color=_GREY, linewidth=1.0, linestyle=":", label="settled from here on")
    highest = max([limit for limit in curve.limit if limit is not None], default=0.0)
    axes.set_ylim(0, 1.7 * highest if highest else None)
    axes.set_xlim(0, curve.seconds * len(times))
    axes.set_title(curve.title, fontsize=9, loc="left")
    axes.text(0.98, 0.95, curve.caption, transform=axes.transAxes, ha="right", va="top", fontsize=8, color="#444444")
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
