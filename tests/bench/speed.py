"""What a record costs on the machine that this runs on: `make bench`.

    python -m tests.bench.speed [--quick] [--write] [contest] [scaling] [startup]

Prints tables, each result beside its target; `--write` also puts them into docs/performance.md. The service is nginx
on loopback. The files lie in a folder of the project, so that the disk is the one of real use; they are removed at the
end.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean

from tests.bench import contest, credentials, records, scaling, startup, table
from tests.bench.contest import CONCURRENCY, LABELS, Arena, Effort
from tests.bench.process import ROOT
from tests.bench.sink import sink
from tests.bench.table import CHECK_COLUMNS, Check, Table

FULL = Effort(rounds=3, records=60_000, slow_records=5_000, trial_records=1_000)
QUICK = Effort(rounds=3, records=6_000, slow_records=1_000, trial_records=300)
FULL_COUNTS = (1_000, 10_000, 100_000, 1_000_000)
QUICK_COUNTS = (1_000, 10_000, 50_000)

PARTS = ("contest", "scaling", "startup")

_PACKAGES = ("aiohttp", "cryptography", "aidp-python-client", "mlflow")

Part = tuple[Table, list[Check]]


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and print it."""
    options = parse(words)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # exit handlers stop what was started
    load = os.getloadavg()[0]
    if load > 0.5:
        report(f"this machine is busy with other work (load average {load:.1f}): the results depend on it")
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as name, sink(Path(name) / "nginx") as url:
        arena = _arena(url, Path(name), _effort(options))
        conditions = [held_constant(arena), machine(load)]
        tables = _measure(arena, options)
    sys.stdout.write("\n".join(["", *(one.as_text() for one in tables), *conditions, ""]))
    if options.write:
        table.write("\n".join([*(one.as_markdown() for one in tables), " ".join(conditions)]))
    return 0


def _measure(arena: Arena, options: argparse.Namespace) -> list[Table]:
    """Measure the parts that are asked for; return their tables, and last the table of targets."""
    counts = QUICK_COUNTS if options.quick else FULL_COUNTS
    makers: dict[str, Callable[[], Part]] = {
        "contest": lambda: contest.contest(arena, options.only or LABELS, report),
        "scaling": lambda: scaling.scaling(arena.url, arena.folder, counts, report),
        "startup": lambda: startup.startup(arena.url, arena.folder, 3 * arena.effort.rounds, report),
    }
    parts = [makers[name]() for name in PARTS if name in (options.parts or PARTS)]
    checks = [check.row for _, found in parts for check in found]
    targets = [Table("Targets", CHECK_COLUMNS, checks)] if checks else []
    return [*(one for one, _ in parts), *targets]


def _effort(options: argparse.Namespace) -> Effort:
    effort = QUICK if options.quick else FULL
    if options.rounds is not None:
        effort = replace(effort, rounds=options.rounds)
    if options.records is not None:
        effort = replace(effort, records=options.records, slow_records=max(1, options.records // 4))
    return effort


def _arena(url: str, folder: Path, effort: Effort) -> Arena:
    file = records.write(folder / "records.jsonl", effort.records)
    return Arena(url, folder, file, credentials.write(folder), effort)


def held_constant(arena: Arena) -> str:
    """Describe what was the same for all contenders."""
    effort = arena.effort
    size = mean(len(request.body) for request in records.sent_requests(arena.file, 1000))
    return (
        "Held constant: the service (nginx with one worker on loopback, which answers each request with a new run); "
        f"the records ({effort.records:,} a turn for ingestor and the bare loop, the first {effort.slow_records:,} of "
        f"them for the slower clients; bodies of {size:,.0f} bytes on average, ten tags); "
        f"RSA-{credentials.KEY_BITS} signatures with API-key credentials, unless it says unsigned. Ingestor and the "
        f"bare loop have {CONCURRENCY} requests in flight. The other clients use the number of threads, of those "
        "tried, that they were fastest with."
    )


def machine(load: float) -> str:
    """Describe the machine; `load` is its load average before the measurement."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"Measured on {_cores()} cores ({platform.machine()}, {platform.system()}) with Python "
        f"{platform.python_version()}, {packages}; the load average before was {load:.1f}."
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.speed", description="Measures what a record costs on this machine."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all of them")
    parser.add_argument("--quick", action="store_true", help="some minutes instead of a quarter of an hour")
    parser.add_argument("--only", action="append", choices=LABELS, help="this contender; may be repeated")
    parser.add_argument("--records", type=_at_least(2), help="records a turn; a quarter of them for slow contenders")
    parser.add_argument("--rounds", type=_at_least(1), help="turns of each contender")
    parser.add_argument(
        "--write", action="store_true", help="write the results into docs/performance.md; full run only"
    )
    options = parser.parse_args(words)
    for part in set(options.parts) - set(PARTS):
        parser.error(f"{part}: no such part; there are {', '.join(PARTS)}")
    if options.write and (options.quick or options.only or options.records or options.rounds or options.parts):
        parser.error("--write: the page gets the results of a full run only; leave the other arguments out")
    return options


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)

    return number


def report(line: str) -> None:
    """Print progress on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
