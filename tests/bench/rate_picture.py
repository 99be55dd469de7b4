"""The curves of the rate benchmark as a picture."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.rate_runs import SLICE, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_LIMIT, _ACCEPTED, _REFUSED = "#222222", "#2a7f9e", "#d1495b"


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Draw one panel a scenario: the limit, what was let in, and what was refused on top of it."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only where a picture is drawn

    columns = min(_COLUMNS, len(measured))
    rows = ceil(len(measured) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.1 * rows + 1.1), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    panels = [axes for row in grid for axes in row]
    for axes, one in zip(panels, measured, strict=False):
        _panel(axes, one)
    for axes in panels[len(measured) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle("Requests a second over time: how the sender finds a limit that nobody tells it", fontsize=14)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def _panel(axes: "Axes", one: Measured) -> None:
    scenario = one.scenario
    times = [SLICE * (number + 0.5) for number in range(len(one.accepted))]
    accepted = [number / SLICE for number in one.accepted]
    refused = [number / SLICE for number in one.refused]
    axes.bar(times, accepted, SLICE, color=_ACCEPTED, label="accepted (200)")
    axes.bar(times, refused, SLICE, bottom=accepted, color=_REFUSED, label="refused (429)")
    limits = [scenario.limit_at(time) for time in times]
    axes.step(times, [limit or 0.0 for limit in limits], where="mid", color=_LIMIT, linewidth=1.4, label="the limit")
    axes.axvline(scenario.settled, color="#777777", linewidth=1.0, linestyle=":", label="settled from here on")
    top = max(limit or 0.0 for limit in limits)
    axes.set_ylim(0, 1.9 * top if top else None)
    axes.set_xlim(0, scenario.seconds)
    axes.set_title(scenario.name + ("   (bound by CPU)" if one.is_bound_by_cpu else ""), fontsize=11, loc="left")
    axes.text(0.98, 0.95, _caption(one), transform=axes.transAxes, ha="right", va="top", fontsize=8.5, color="#444444")
    axes.set_xlabel("seconds since the first request", fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _caption(one: Measured) -> str:
    start, end = one.scenario.settled, one.scenario.seconds
    goodput = one.goodput(start, end)
    used = "" if goodput is None else f"{100 * goodput:.1f} % of the limit, "
    return f"settled: {used}{100 * one.refused_share(start, end):.2f} % 429s"
