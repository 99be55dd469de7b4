"""How near to a limit that nobody tells it the program stays: `python -m tests.bench.rate [--quick] [--picture FILE]`.

Runs `ingestor run` against the simulator, and against nginx where it is installed, over sockets on loopback; prints
what the service saw beside the targets, and draws it. Takes about six minutes, with --quick about one and a half.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ingestor.simulator.sample import records
from tests.bench.rate_picture import draw
from tests.bench.rate_runs import Measured, measure, nginx_is_there
from tests.bench.rate_scenarios import FULL, QUICK, Scenario

_HEADER = f"{'':31}" + 2 * f"{'from':>7} {'goodput':>16} {'429s':>16}  " + "CPU, sender + service"


def main(arguments: Sequence[str]) -> int:
    """Run the scenarios, print the table, draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rate")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--picture", type=Path, default=Path("bench-rate.png"))
    chosen = parser.parse_args(arguments)
    measured = asyncio.run(_run_all(QUICK if chosen.quick else FULL))
    draw(measured, chosen.picture)
    _say(
        f"\nThe curves: {chosen.picture}. Targets stand in brackets; * misses one; CPU-bound rows tell of the machine."
    )
    return 0


async def _run_all(scenarios: Sequence[Scenario]) -> list[Measured]:
    _say(_HEADER)
    measured = []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "runs.jsonl"
        _write_records(file, max(_most_records(scenario) for scenario in scenarios))
        for number, scenario in enumerate(scenarios):
            if scenario.nginx and not nginx_is_there():
                _say(f"{scenario.name:31}  left out: nginx is not installed (Debian: apt-get install nginx-light)")
                continue
            scratch = Path(directory) / str(number)
            scratch.mkdir()
            measured.append(await measure(scenario, file, scratch))
            _say(_row(measured[-1]))
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
        parts.append(_figure(goodput, scenario.goodput[index], at_least=True) if goodput is not None else f"{'':17}")
        parts.append(_figure(refused, scenario.most_refused[index], at_least=False) + "  ")
    parts.append(f"{one.sender_cpu:5.2f} + {one.service_cpu:.2f}")
    if scenario.processes > 1:
        parts.append(f"  Jain {_jain(one.shares):.3f} (>= 0.95)")
    if one.is_bound_by_cpu:
        parts.append(f"  CPU-bound, timers {1000 * one.late:.0f} ms late")
    return "".join(parts)


def _figure(value: float, target: float, *, at_least: bool) -> str:
    met = value >= target if at_least else value <= target
    return f"{100 * value:6.2f} % ({'>=' if at_least else '<='}{100 * target:g}){' ' if met else '*'}".rjust(17)


def _jain(shares: Sequence[int]) -> float:
    return float(sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
