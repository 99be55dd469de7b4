"""What it costs, on the machine that this runs on: `make bench`.

    python -m tests.bench.speed [--quick] [--write] [contest] [scaling] [startup]

Prints tables, each figure beside the value that it is to reach; `--write` puts them into README.md too. The service is
nginx on loopback. Files lie in a folder of the project, so that the disk is the one it will be used on, and are gone
at the end.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import conditions, contest, credentials, readme, records, scaling, startup
from tests.bench.contenders import LABELS, Arena, Effort
from tests.bench.figures import CHECKED, Check
from tests.bench.process import ROOT
from tests.bench.sink import sink
from tests.bench.table import Table

FULL = Effort(rounds=3, records=60_000, slow_records=5_000, trial_records=1_000)
QUICK = Effort(rounds=3, records=6_000, slow_records=1_000, trial_records=300)
FULL_COUNTS = (1_000, 10_000, 100_000, 1_000_000)
QUICK_COUNTS = (1_000, 10_000, 50_000)

PARTS = ("contest", "scaling", "startup")

Part = tuple[Table, list[Check]]


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and tell it."""
    asked = parse(words)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what was started is ended
    load = conditions.busy()
    if load > 0.5:
        say(f"this machine is busy with something else (load average {load:.1f}): the figures will show it")
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as name, sink(Path(name) / "nginx") as url:
        arena = _arena(url, Path(name), _effort(asked))
        words_about = [conditions.held_constant(arena), conditions.machine(load)]
        tables = _measure(arena, asked)
    sys.stdout.write("\n".join(["", *(table.as_text() for table in tables), *words_about, ""]))
    if asked.write:
        readme.write("\n".join([*(table.as_markdown() for table in tables), " ".join(words_about)]))
    return 0


def _measure(arena: Arena, asked: argparse.Namespace) -> list[Table]:
    """Measure the parts that are asked for; return their tables, and last the table of what is to be reached."""
    counts = QUICK_COUNTS if asked.quick else FULL_COUNTS
    makers: dict[str, Callable[[], Part]] = {
        "contest": lambda: contest.contest(arena, asked.only or LABELS, say),
        "scaling": lambda: scaling.scaling(arena.url, arena.folder, counts, say),
        "startup": lambda: startup.startup(arena.url, arena.folder, 3 * arena.effort.rounds, say),
    }
    parts = [makers[name]() for name in PARTS if name in (asked.parts or PARTS)]
    checks = [check.row for _, found in parts for check in found]
    reached = [Table("What is to be reached", CHECKED, checks)] if checks else []
    return [*(table for table, _ in parts), *reached]


def _effort(asked: argparse.Namespace) -> Effort:
    effort = QUICK if asked.quick else FULL
    if asked.rounds is not None:
        effort = replace(effort, rounds=asked.rounds)
    if asked.records is not None:
        effort = replace(effort, records=asked.records, slow_records=max(1, asked.records // 4))
    return effort


def _arena(url: str, folder: Path, effort: Effort) -> Arena:
    file = records.write(folder / "records.jsonl", effort.records)
    return Arena(url, folder, file, credentials.write(folder), effort)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description="What it costs on this machine.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="some minutes instead of a quarter of an hour")
    parser.add_argument("--only", action="append", choices=LABELS, help="these contenders alone")
    parser.add_argument("--records", type=_at_least(2), help="how many a contender brings in, slow ones a quarter")
    parser.add_argument("--rounds", type=_at_least(1), help="how often each contender has its turn")
    parser.add_argument("--write", action="store_true", help="write what came out into README.md; of a full run only")
    asked = parser.parse_args(words)
    for part in set(asked.parts) - set(PARTS):
        parser.error(f"{part}: no such part; there are {', '.join(PARTS)}")
    if asked.write and (asked.quick or asked.only or asked.records or asked.rounds or asked.parts):
        parser.error("--write: README.md gets the figures of a full run only; leave the other words out")
    return asked


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)

    return number


def say(line: str) -> None:
    """Tell how far it is, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
