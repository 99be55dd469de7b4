"""What it costs, on the machine that this runs on: `make bench`.

    python -m tests.bench.speed [--quick] [--only NAME ...] [--write] [contest] [scaling] [startup]

Prints tables, each figure beside the value that it is to reach; `--write` puts them into README.md too.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import contest, credentials, records, scaling, startup
from tests.bench.contest import Arena, Effort
from tests.bench.figures import CHECKED, Check
from tests.bench.sink import sink
from tests.bench.table import Table

FULL = Effort(rounds=5, records=20_000, slow_records=5_000, trial_records=1_000)
QUICK = Effort(rounds=3, records=6_000, slow_records=1_000, trial_records=300)
FULL_COUNTS = (1_000, 10_000, 100_000, 1_000_000)
QUICK_COUNTS = (1_000, 10_000, 50_000)

Part = tuple[Table, list[Check]]


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and print it."""
    asked = _parser().parse_args(words)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as name:
        parts = measure(Path(name), asked)
    tables = [table for table, _ in parts]
    found = [check.row for _, checks in parts for check in checks]
    tables.append(Table("What is to be reached", CHECKED, found))
    sys.stdout.write("\n" + "\n".join(table.as_text() for table in tables))
    return 0


def measure(folder: Path, asked: argparse.Namespace) -> list[Part]:
    """Measure the parts that are asked for, all against one service."""
    effort = _effort(asked)
    counts = QUICK_COUNTS if asked.quick else FULL_COUNTS
    with sink(folder / "nginx") as url:
        makers: dict[str, Callable[[], Part]] = {
            "contest": lambda: contest.contest(_arena(url, folder, effort), say, _chooser(asked.only)),
            "scaling": lambda: scaling.scaling(url, folder, counts, say),
            "startup": lambda: startup.startup(url, folder, 3 * effort.rounds, say),
        }
        return [make() for name, make in makers.items() if name in (asked.parts or makers)]


def _effort(asked: argparse.Namespace) -> Effort:
    effort = QUICK if asked.quick else FULL
    if asked.rounds:
        effort = replace(effort, rounds=asked.rounds)
    if asked.records:
        effort = replace(effort, records=asked.records, slow_records=max(1, asked.records // 4))
    return effort


def _arena(url: str, folder: Path, effort: Effort) -> Arena:
    file = records.write(folder / "records.jsonl", max(effort.records, effort.slow_records))
    return Arena(url, folder, file, credentials.write(folder), effort)


def _chooser(names: Sequence[str] | None) -> Callable[[str], bool]:
    return lambda name: not names or name in names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["contest", "scaling", "startup"])
    parser.add_argument("--quick", action="store_true", help="two minutes instead of a quarter of an hour")
    parser.add_argument("--only", action="append", choices=contest.LABELS, help="these contenders alone")
    parser.add_argument("--records", type=int, help="how many each contender brings in, slow ones a quarter of it")
    parser.add_argument("--rounds", type=int, help="how often each has its turn")
    return parser


def say(line: str) -> None:
    """Tell how far it is, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
