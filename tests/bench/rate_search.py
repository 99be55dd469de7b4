"""The search for the constants of the rate controller: `python -m tests.bench.rate_search [--quick] [--trials N]`.

It starts from the constants in use, changes one of them at a time by a random step within its range, and keeps what
scores better over simulated services. Each line shows one trial: its score (lower is better), the share of the limit
that was used (above 100 % with saved-up bursts), the share of requests that were refused (429), and the change.

Nothing is written. A better value is a proposal: `tests/policy/test_rate.py` decides, on many more services.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from statistics import mean

from ingestor.policy.rate import RateController
from ingestor.policy.rate_constants import CONSTANTS, RateConstants
from tests.support.limited import RateLimit, Traffic, World

REFUSED_WEIGHT = 4.0
"""How much worse one refused request is than one that could have been sent and was not."""

SEARCHED = (
    "max_gain",
    "first_gain",
    "guess_after_start",
    "guess_after_growth",
    "guess_between",
    "hold_below",
    "shortest_hold",
    "hold_attempts",
    "ramp",
    "reach",
    "surplus",
)
"""The constants that matter most; `--only` chooses others."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulated service: its limits as (attempts a second, until when), and what sends to it.

    `since` is from when on the traffic counts: the time before is for finding the first limit.
    """

    limits: Sequence[tuple[float, float]]
    burst: float
    latency: float
    clients: int = 1
    since: float = 0.0

    def run(self, constants: RateConstants) -> Traffic:
        """Return what the clients sent."""
        world = World([RateController(None, 0.0, constants) for _ in range(self.clients)], self.latency)
        limiter = RateLimit(self.limits[0][0], self.burst, world.clock)
        traffic = Traffic([])
        for limit, until in self.limits:
            limiter.bucket.set_rate(limit)
            traffic = world.run(limiter, until)
        return traffic.between(self.since, self.limits[-1][1])

    def allowed(self) -> float:
        """Return how many requests the limits allow from `since` on."""
        starts = [0.0, *(until for _, until in self.limits)]
        spans = zip(starts, self.limits, strict=False)
        return sum(limit * max(0.0, until - max(start, self.since)) for start, (limit, until) in spans)


FULL = (
    *(
        Scenario([(limit, 40.0)], burst, latency)
        for limit in (60.0, 300.0)
        for burst, latency in ((0.1, 0.2), (1.0, 0.02))
    ),
    Scenario([(5.0, 60.0)], 1.0, 0.05),
    Scenario([(1200.0, 20.0)], 0.1, 0.05),
    Scenario([(300.0, 25.0), (50.0, 45.0)], 1.0, 0.05, since=25.0),
    Scenario([(100.0, 25.0), (300.0, 45.0)], 0.1, 0.05, since=25.0),
    Scenario([(400.0, 40.0)], 0.1, 0.05, clients=2, since=10.0),
)
QUICK = (
    Scenario([(60.0, 20.0)], 1.0, 0.05),
    Scenario([(200.0, 15.0)], 0.1, 0.05),
    Scenario([(200.0, 10.0), (50.0, 20.0)], 0.1, 0.05, since=10.0),
)


@dataclass(frozen=True, slots=True)
class Score:
    """How well constants do over scenarios: `cost` is what the search minimises."""

    cost: float
    used: float
    refused: float


def score(scenarios: Sequence[Scenario], constants: RateConstants) -> Score:
    """Run all scenarios. The cost is unused share, weighted refused share and unfairness, each a mean."""
    costs, used, refused = [], [], []
    for scenario in scenarios:
        traffic = scenario.run(constants)
        used.append(traffic.accepted / scenario.allowed())
        refused.append(traffic.refused_share)
        costs.append(max(0.0, 1 - used[-1]) + REFUSED_WEIGHT * refused[-1] + _unfairness(traffic, scenario.clients))
    return Score(mean(costs), mean(used), mean(refused))


def _unfairness(traffic: Traffic, clients: int) -> float:
    """Return 1 less Jain's index: 0 where all clients get the same."""
    shares = [sum(client == number and accepted for _, client, accepted in traffic.sent) for number in range(clients)]
    return float(1 - sum(shares) ** 2 / max(1, clients * sum(share**2 for share in shares)))


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of constants: what was changed, and how it scores."""

    change: str
    constants: RateConstants
    score: Score
    is_better: bool


def search(
    scenarios: Sequence[Scenario], names: Sequence[str], trials: int, seed: int, best: RateConstants = CONSTANTS
) -> Iterator[Trial]:
    """Yield the constants to begin with, then `trials` trials; each varies one constant of the best so far."""
    random = Random(seed)
    best_score = score(scenarios, best)
    yield Trial("as they are", best, best_score, is_better=True)
    for number in range(trials):
        name = names[number % len(names)]
        candidate = _vary(best, name, random)
        found = score(scenarios, candidate)
        is_better = found.cost < best_score.cost
        yield Trial(f"{name} = {getattr(candidate, name):g}", candidate, found, is_better)
        if is_better:
            best, best_score = candidate, found


def _vary(constants: RateConstants, name: str, random: Random) -> RateConstants:
    """Change one constant by a factor of up to 2, within its range."""
    (lowest, highest), value = _metadata(name)["range"], getattr(constants, name)
    varied = min(highest, max(lowest, (value or highest / 10) * 2 ** random.uniform(-1.0, 1.0)))
    changes = {name: round(varied) if isinstance(value, int) else float(f"{varied:.3g}")}
    return replace(constants, **changes)  # type: ignore[arg-type]  # the field's own type


def _metadata(name: str) -> "dict[str, tuple[float, float]]":
    [found] = [field for field in fields(RateConstants) if field.name == name]
    return dict(found.metadata)


def constants_table() -> str:
    """Return the table of all constants in Markdown, as `docs/rate-control.md` has it."""
    lines = ["| name | value | unit | range | meaning |", "|---|---:|---|---|---|"]
    for field in fields(RateConstants):
        lowest, highest = field.metadata["range"]
        value, unit, meaning = getattr(CONSTANTS, field.name), field.metadata["unit"], field.metadata["meaning"]
        lines.append(f"| `{field.name}` | {value:g} | {unit} | {lowest:g} to {highest:g} | {meaning} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Search, and print each trial and the best constants."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rate_search", description="Search for rate constants.")
    parser.add_argument("--quick", action="store_true", help="few and short scenarios: less than a minute")
    parser.add_argument("--trials", type=int, default=60, metavar="N", help="how many changes to try (60)")
    parser.add_argument("--seed", type=int, default=1, help="what the changes are drawn from (1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=SEARCHED, help="the constants to vary")
    parser.add_argument("--table", action="store_true", help="print the table of all constants and end")
    chosen = parser.parse_args(arguments)
    if chosen.table:
        sys.stdout.write(constants_table())
        return 0
    if unknown := set(chosen.only) - {field.name for field in fields(RateConstants)}:
        parser.error(f"unknown constants: {', '.join(sorted(unknown))}")
    _run(search(QUICK if chosen.quick else FULL, chosen.only, chosen.trials, chosen.seed))
    return 0


def _run(trials: Iterator[Trial]) -> None:
    started, best = time.monotonic(), CONSTANTS
    sys.stdout.write(f"{'score':>8} {'used':>8} {'429s':>8}   change\n")
    for trial in trials:
        found, mark = trial.score, "  better" if trial.is_better else ""
        sys.stdout.write(f"{found.cost:8.4f} {found.used:8.2%} {found.refused:8.2%}   {trial.change}{mark}\n")
        sys.stdout.flush()
        best = trial.constants if trial.is_better else best
    names = [field.name for field in fields(RateConstants)]
    changed = [name for name in names if getattr(best, name) != getattr(CONSTANTS, name)]
    changes = ", ".join(f"{name} = {getattr(best, name):g}" for name in changed)
    sys.stdout.write(f"\nbest: {changes or 'the constants in use'} ({time.monotonic() - started:.0f} s)\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
