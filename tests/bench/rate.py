"""How near to a hidden limit the program stays: `python -m tests.bench.rate [--quick] [--picture FILE]`.

Runs `ingestor run` against the simulator, and against nginx where it is installed, over sockets on loopback. Prints
what the service counted beside the targets, and draws it. Takes six minutes, with --quick one and a half.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from ingestor.simulator.sample import records
from tests.bench.rate_runs import SLICE, Measured, measure, nginx_is_there
from tests.bench.rate_scenarios import FULL, QUICK, Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_LIMIT, _ACCEPTED, _REFUSED = "#222222", "#2a7f9e", "#d1495b"
_HEADER = f"{'':31}" + 2 * f"{'from':>7} {'goodput':>16} {'429s':>16}  " + "CPU, sender + service"


def main(arguments: Sequence[str]) -> int:
    """Run the scenarios, print the table, draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rate")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--picture", type=Path, default=Path("bench-rate.png"))
    chosen = parser.parse_args(arguments)
    measured = asyncio.run(_run_all(QUICK if chosen.quick else FULL))
    draw(measured, chosen.picture)
    _print(
        f"\nThe curves: {chosen.picture}. Targets are in brackets; * misses one; CPU-bound rows measure the machine."
    )
    return 0


async def _run_all(scenarios: Sequence[Scenario]) -> list[Measured]:
    _print(_HEADER)
    measured = []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "runs.jsonl"
        _write_records(file, max(_most_records(scenario) for scenario in scenarios))
        for number, scenario in enumerate(scenarios):
            if scenario.nginx and not nginx_is_there():
                _print(f"{scenario.name:31}  left out: nginx is not installed (Debian: apt-get install nginx-light)")
                continue
            scratch = Path(directory) / str(number)
            scratch.mkdir()
            measured.append(await measure(scenario, file, scratch))
            _print(_row(measured[-1]))
    return measured


def _most_records(scenario: Scenario) -> int:
    return round(1.3 * (scenario.allowed(0.0, scenario.seconds) or 0.0)) + 4000


def _write_records(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records(count))


def _row(one: Measured) -> str:
    scenario = one.scenario
    parts = [f"{scenario.name:31}"]
    for start, index in ((scenario.since, 0), (scenario.settled, 1)):
        goodput, refused = one.goodput(start, scenario.seconds), one.refused_share(start, scenario.seconds)
        parts.append(f"{start:5.0f} s ")
        parts.append(_share(goodput, scenario.goodput[index], at_least=True) if goodput is not None else f"{'':17}")
        parts.append(_share(refused, scenario.most_refused[index], at_least=False) + "  ")
    parts.append(f"{one.sender_cpu:5.2f} + {one.service_cpu:.2f}")
    if scenario.processes > 1:
        parts.append(f"  Jain {_jain(one.shares):.3f} (>= 0.95)")
    if one.is_bound_by_cpu:
        parts.append(f"  CPU-bound, timers {1000 * one.late:.0f} ms late")
    return "".join(parts)


def _share(value: float, target: float, *, at_least: bool) -> str:
    met = value >= target if at_least else value <= target
    return f"{100 * value:6.2f} % ({'>=' if at_least else '<='}{100 * target:g}){' ' if met else '*'}".rjust(17)


def _jain(shares: Sequence[int]) -> float:
    return float(sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)))


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Draw one panel a scenario: the limit, accepted requests, and refused ones on top of them."""
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
    figure.suptitle("Requests a second over time: how the sender finds a hidden limit", fontsize=14)
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


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
