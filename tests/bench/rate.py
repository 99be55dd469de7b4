"""How near to the best constant rate the program stays: `python -m tests.bench.rate [--only PART ...] [--quick]`.

First the laboratory, on virtual time: what the control reaches on every kind of limiter. Then `ingestor run`, against
the simulator and against nginx where it is installed, over sockets on loopback. Prints what was counted and how it
compares with the requirements, and draws it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ingestor.simulator.sample import records
from tests.bench.rate_runs import SLICE, Measured, measure, nginx_is_there
from tests.bench.rate_scenarios import PARTS, QUICK, Scenario
from tests.laboratory.outcome import Outcome
from tests.laboratory.picture import Curve, draw
from tests.laboratory.simulation import SLICES
from tests.laboratory.table import TABLES

_MACHINE = 2500.0  # records a second that are prepared where there is no limit
_HEADER = (
    f"{'':50}" + 2 * f"{'from':>7} {'goodput':>16} {'429s':>16}  " + "attempts, most in flight; CPU, sender + service"
)


def main(arguments: Sequence[str]) -> int:
    """Run the chosen parts, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rate", description="Measure the rate control.")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=[*TABLES, *PARTS], default=[*TABLES, *PARTS])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: a few minutes")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", default=None, help="of the laboratory (1 2)")
    parser.add_argument("--limit", type=float, metavar="N", default=500.0, help="of the part limiters, a second (500)")
    parser.add_argument("--picture", type=Path, default=Path("bench-rate.png"))
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    seeds = chosen.seeds or ([1] if chosen.quick else [1, 2])
    curves = _laboratory([name for name in TABLES if name in chosen.only], seeds, quick=chosen.quick)
    parts = QUICK if chosen.quick else PARTS
    scenarios = [scenario for name in PARTS if name in chosen.only for scenario in parts[name](chosen.limit)]
    if scenarios:
        curves += map(_measured_curve, asyncio.run(_run_all(scenarios)))
    if curves:
        draw(curves, chosen.picture)
        _print(f"the curves: {chosen.picture}")
    _print(f"{(time.monotonic() - started) / 60:.0f} minutes")
    return 0


def _laboratory(names: Sequence[str], seeds: Sequence[int], *, quick: bool) -> list[Curve]:
    """Write the tables; return the curves of the first seed of the kinds that no other limiter precedes."""
    curves = list[Curve]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in names:
            results = TABLES[name](seeds, pool, _print, quick=quick)
            _print("")
            outcomes = [it for it in results if isinstance(it, Outcome) and it.seed == seeds[0]]
            curves += [_curve(it) for it in outcomes if it.case.rate == 500 and not it.case.kind.startswith("shed:1%")]
    return curves


def _curve(outcome: Outcome) -> Curve:
    client, case = outcome.client, outcome.case
    accepted, refused = (outcome.reached[name] for name in ("accepted", "refused"))
    return Curve(
        title=case.label,
        caption=f"settled: {100 * accepted:.1f} % of the best constant rate, {100 * refused:.2f} % 429s",
        seconds=1.0,
        accepted=_by_second(client.accepted),
        refused=_by_second(client.refused),
        limit=[outcome.best.accepted] * (len(client.accepted) // SLICES),
        settled=case.settled_after,
    )


def _by_second(slices: Sequence[int]) -> list[int]:
    return [sum(slices[at : at + SLICES]) for at in range(0, len(slices) - SLICES + 1, SLICES)]


async def _run_all(scenarios: Sequence[Scenario]) -> list[Measured]:
    _print("the program, in percent of what is allowed. Targets are in brackets; * misses one")
    _print(_HEADER)
    measured, unlimited = list[Measured](), None
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "runs.jsonl"
        _write_records(file, max(map(_most_records, scenarios)))
        for number, scenario in enumerate(scenarios):
            if scenario.nginx and not nginx_is_there():
                _print(f"{scenario.name:50}  left out: nginx is not installed (Debian: apt-get install nginx-light)")
                continue
            scratch = Path(directory) / str(number)
            scratch.mkdir()
            measured.append(await measure(scenario, file, scratch, unlimited))
            if scenario is scenarios[0] and scenario.limits[0][0] is None:
                unlimited = measured[0].accepted_rate(scenario.settled, scenario.seconds)
                _print(f"{scenario.name:50} {unlimited:,.0f} records a second")
            else:
                _print(_row(measured[-1]))
    return measured


def _most_records(scenario: Scenario) -> int:
    return round(1.3 * (scenario.allowed(0.0, scenario.seconds, _MACHINE) or 0.0)) + 4000


def _write_records(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records(count))


def _row(one: Measured) -> str:
    scenario = one.scenario
    parts = [f"{scenario.name:50}"]
    for start, index in ((scenario.since, 0), (scenario.settled, 1)):
        goodput, refused = one.goodput(start, scenario.seconds), one.refused_share(start, scenario.seconds)
        parts.append(f"{start:5.0f} s ")
        parts.append(_share(goodput, scenario.goodput[index], at_least=True))
        parts.append(_share(refused, scenario.most_refused[index], at_least=False) + "  ")
    parts.append(f"{one.attempts:6.3f}, {one.most_in_flight:4};  {one.sender_cpu:.2f} + {one.service_cpu:.2f}")
    if scenario.processes > 1:
        parts.append(f"  Jain {_jain(one.shares):.3f} (>= 0.9)")
    if one.is_bound_by_cpu:
        parts.append(f"  CPU-bound, timers {1000 * one.late:.0f} ms late")
    return "".join(parts)


def _share(value: float | None, target: float | None, *, at_least: bool) -> str:
    if value is None:
        return f"{'':17}"
    if target is None:
        return f"{100 * value:6.2f} %".ljust(17)
    met = value >= target if at_least else value <= target
    return f"{100 * value:6.2f} % ({'>=' if at_least else '<='}{100 * target:.3g}){' ' if met else '*'}".ljust(17)


def _measured_curve(one: Measured) -> Curve:
    scenario, start, end = one.scenario, one.scenario.settled, one.scenario.seconds
    goodput = one.goodput(start, end)
    used = "" if goodput is None else f"{100 * goodput:.1f} % of the limit, "
    return Curve(
        title="measured: " + scenario.name + (" (bound by CPU)" if one.is_bound_by_cpu else ""),
        caption=f"settled: {used}{100 * one.refused_share(start, end):.2f} % 429s",
        seconds=SLICE,
        accepted=one.accepted,
        refused=one.refused,
        limit=[scenario.limit_at(SLICE * (number + 0.5)) or one.unlimited for number in range(len(one.accepted))],
        settled=scenario.settled,
    )


def _jain(shares: Sequence[int]) -> float:
    return float(sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
