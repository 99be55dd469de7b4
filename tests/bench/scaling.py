"""Whether a record costs the same among a thousand and among a million: time and memory, first and second pass."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.figures import Check
from tests.bench.program import Program
from tests.bench.table import Table

FEW = 10_000
"""The number of records whose peak memory larger numbers are held against."""

_NOTE = "The wall-clock time of a first pass holds the search for the rate that the service allows: most for few."

_MIB = 1024 * 1024
_SHORT = 20_000  # up to so many records, a run is repeated: what it takes is little beside the noise
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """What a pass over some records took: microseconds a record, and bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Size:
    """A number of records: the pass that creates their runs, and the one that finds them all done."""

    count: int
    first: Cost
    second: Cost

    @property
    def row(self) -> tuple[str, ...]:
        """What came of it."""
        cells = [f"{self.count:,}"]
        for cost in (self.first, self.second):
            cells += [f"{cost.wall:,.0f}", f"{cost.cpu:,.0f}", f"{cost.peak / _MIB:,.0f}"]
        return tuple(cells)


_COLUMNS = ("records", "wall, µs", "processor, µs", "peak, MiB", "again: wall, µs", "processor, µs", "peak, MiB")


def scaling(url: str, folder: Path, counts: Sequence[int], say: Callable[[str], None]) -> tuple[Table, list[Check]]:
    """Bring in each number of records, unsigned, twice; return what came out."""
    program = Program(url, folder)
    idle = measure(program, folder, 1, (0.0, 0.0))
    still = (idle.first.cpu / 1e6, idle.second.cpu / 1e6)
    sizes = []
    for count in counts:
        sizes.append(measure(program, folder, count, still))
        say(f"scaling: {' | '.join(sizes[-1].row)}")
    title = "What a record costs, unsigned: first pass (creates the runs), and again (all are duplicates)"
    return Table(title, _COLUMNS, [size.row for size in sizes], _NOTE), checks(sizes)


def measure(program: Program, folder: Path, count: int, idle: tuple[float, float]) -> Size:
    """Bring in `count` records, and again, each into a new state directory; small numbers several times.

    `idle` are the seconds of processor time that the passes take over a single record: they are left out.
    """
    file = records.write(folder / "scaling.jsonl", count)
    repeats = _REPEATS if count <= _SHORT else 1
    passes = [_both(program, folder, file, count, idle) for _ in range(repeats)]
    file.unlink()
    first, second = (tuple(one) for one in zip(*passes, strict=True))
    return Size(count, _middle(first), _middle(second))


def _both(program: Program, folder: Path, file: Path, count: int, idle: tuple[float, float]) -> tuple[Cost, Cost]:
    state = folder / "scaling"
    try:
        first = program.bring_in(file, count, state)
        second = program.bring_in(file, count, state, again=True)
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
    """Hold the largest number of records against a small one."""
    most = sizes[-1]
    few = next(size for size in sizes if size.count == FEW)
    growth = partial(Check, target=1.10, at_least=False)
    against = f"{most.count:,} records to {few.count:,}"
    rate = Check(
        f"again, {most.count:,} records", 1e6 / most.second.wall, 50_000, unit="/s", steady=1e6 / most.second.cpu
    )
    return [
        growth(f"peak memory, {against}", most.first.peak / few.first.peak),
        growth(f"peak memory, again, {against}", most.second.peak / few.second.peak),
        Check(f"peak memory, {most.count:,} records", most.first.peak / _MIB, 150, at_least=False, unit=" MiB"),
        rate,
        growth(f"processor time a record, {against}", most.first.cpu / few.first.cpu),
        growth(f"processor time a record, again, {against}", most.second.cpu / few.second.cpu),
    ]
