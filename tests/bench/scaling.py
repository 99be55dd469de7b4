"""Whether a record costs the same among a thousand and among a million: time and memory, first and second run."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.program import Program
from tests.bench.table import Check, Table

FEW = 10_000
"""The number of records that the largest is compared with."""

_NOTE = (
    "The wall-clock time of the first execution contains the search for the rate that the service allows, which weighs "
    "most for few records."
)

_MIB = 1024 * 1024
_SHORT = 20_000  # up to this number of records, a run is repeated: it takes so little that noise matters
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """What an execution took: microseconds a record of wall-clock and processor time, and bytes of memory."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Size:
    """A number of records: the execution that creates their runs, and the next, which finds them all done."""

    count: int
    first: Cost
    second: Cost

    @property
    def row(self) -> tuple[str, ...]:
        """The results as a row."""
        cells = [f"{self.count:,}"]
        for cost in (self.first, self.second):
            cells += [f"{cost.wall:,.0f}", f"{cost.cpu:,.0f}", f"{cost.peak / _MIB:,.0f}"]
        return tuple(cells)


_COLUMNS = ("records", "wall, µs", "processor, µs", "peak, MiB", "again: wall, µs", "processor, µs", "peak, MiB")


def scaling(url: str, folder: Path, counts: Sequence[int], report: Callable[[str], None]) -> tuple[Table, list[Check]]:
    """Ingest each number of records, unsigned, twice; return the results."""
    program = Program(url, folder)
    idle = measure(program, folder, 1, (0.0, 0.0))
    still = (idle.first.cpu / 1e6, idle.second.cpu / 1e6)
    sizes = []
    for count in counts:
        sizes.append(measure(program, folder, count, still))
        report(f"scaling: {' | '.join(sizes[-1].row)}")
    title = "What a record costs, unsigned: first execution (creates the runs), and again (all are done already)"
    return Table(title, _COLUMNS, [size.row for size in sizes], _NOTE), checks(sizes)


def measure(program: Program, folder: Path, count: int, idle: tuple[float, float]) -> Size:
    """Ingest `count` records twice, in a new state directory; repeat that for small numbers.

    `idle` are the seconds of processor time that the two executions take for a single record: they do not count.
    """
    file = records.write(folder / "scaling.jsonl", count)
    repeats = _REPEATS if count <= _SHORT else 1
    measured = [_both(program, folder, file, count, idle) for _ in range(repeats)]
    file.unlink()
    first, second = (tuple(one) for one in zip(*measured, strict=True))
    return Size(count, _middle(first), _middle(second))


def _both(program: Program, folder: Path, file: Path, count: int, idle: tuple[float, float]) -> tuple[Cost, Cost]:
    state = folder / "scaling"
    try:
        first = program.ingest(file, count, state)
        second = program.ingest(file, count, state, again=True)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return (
        _cost(first.requesting, first.ended.cpu - idle[0], first.ended.peak, count),
        _cost(second.working, second.ended.cpu - idle[1], second.ended.peak, count),
    )


def _cost(wall: float, cpu: float, peak: int, count: int) -> Cost:
    return Cost(wall / count * 1e6, cpu / count * 1e6, peak)


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(
        median(cost.wall for cost in costs), median(cost.cpu for cost in costs), max(cost.peak for cost in costs)
    )


def checks(sizes: Sequence[Size]) -> list[Check]:
    """Compare the largest number of records with FEW."""
    most = sizes[-1]
    few = next(size for size in sizes if size.count == FEW)
    growth = partial(Check, target=1.10, at_least=False)
    against = f"{most.count:,} records to {few.count:,}"
    rate = Check(
        f"again, {most.count:,} records", 1e6 / most.second.wall, 50_000, unit="/s", by_cpu=1e6 / most.second.cpu
    )
    return [
        growth(f"peak memory, {against}", most.first.peak / few.first.peak),
        growth(f"peak memory, again, {against}", most.second.peak / few.second.peak),
        Check(f"peak memory, {most.count:,} records", most.first.peak / _MIB, 150, at_least=False, unit=" MiB"),
        rate,
        growth(f"processor time a record, {against}", most.first.cpu / few.first.cpu),
        growth(f"processor time a record, again, {against}", most.second.cpu / few.second.cpu),
    ]
