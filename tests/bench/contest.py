"""How many records a second each client ingests: this program, the bare loop, the official client and MLflow's.

The clients take turns, round after round, so that other load on the machine meets all of them.
"""

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.process import Task, carry_out
from tests.bench.program import Execution, Program
from tests.bench.table import Check, Table, median_ratio, spread

CONCURRENCY = 64
"""Requests in flight of `ingestor` (its default) and of the bare loop."""

NONE, ONE, TWO, PLAIN = "none", "one", "two", "unsigned"
BARE, BARE_PLAIN = "bare", "bare-unsigned"
OFFICIAL, MLFLOW = "official", "mlflow"

LABELS = {
    ONE: "ingestor, 1 sender",
    BARE: "the bare loop",
    TWO: "ingestor, 2 senders",
    NONE: "ingestor, no sender (one process)",
    OFFICIAL: "aidp-python-client",
    PLAIN: "ingestor, 1 sender, unsigned",
    BARE_PLAIN: "the bare loop, unsigned",
    MLFLOW: "MLflow's client, unsigned",
}
"""The contenders by their names on the command line, in the order of their turns."""

_TARGETS = (
    (ONE, BARE, 0.85),
    (ONE, OFFICIAL, 4.0),
    (TWO, ONE, 1.5),
    (TWO, OFFICIAL, 6.0),
    (PLAIN, BARE_PLAIN, 0.5),
)
_COLUMNS = ("", "records/s", "processor, µs/record", "start-up, s")
_OFFICIAL_THREADS = (1, 2, 4, 8, 16)
_MLFLOW_THREADS = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: turns of each contender.
        records: records that a fast contender sends in a turn, at least 2.
        slow_records: records that a slow one sends: enough to know its rate.
        trial_records: records that each number of threads is tried with.
    """

    rounds: int
    records: int
    slow_records: int
    trial_records: int


@dataclass(frozen=True, slots=True)
class Arena:
    """What is the same for all contenders: the service, a folder to work in, a file of records, credentials."""

    url: str
    folder: Path
    file: Path
    oci_config: Path
    effort: Effort


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: records a second, microseconds of processor time a record, seconds of start-up."""

    rate: float
    cpu: float
    startup: float | None = None


@dataclass(slots=True)
class Contender:
    """A client that takes part, and its turns so far. The label is followed by `detail`."""

    name: str
    turn: Callable[[], Turn]
    detail: str = ""
    turns: list[Turn] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Its name in a table."""
        return f"{LABELS[self.name]}{self.detail}"

    @property
    def rates(self) -> list[float]:
        """Records a second, by round."""
        return [turn.rate for turn in self.turns]

    @property
    def cpus(self) -> list[float]:
        """Microseconds of processor time a record, by round."""
        return [turn.cpu for turn in self.turns]

    @property
    def startup(self) -> float | None:
        """Seconds from the start to the first request, the median; None where it is not known."""
        seconds = [turn.startup for turn in self.turns if turn.startup is not None]
        return median(seconds) if seconds else None


def contest(arena: Arena, names: Collection[str], report: Callable[[str], None]) -> tuple[Table, list[Check]]:
    """Give each of the named contenders its turns; return the results."""
    report("contest: trying numbers of threads")
    all_of_them = contenders(arena, names)
    for number in range(1, arena.effort.rounds + 1):
        for contender in all_of_them:
            turn = contender.turn()
            contender.turns.append(turn)
            report(f"contest: round {number}: {contender.label}: {turn.rate:,.0f}/s, {turn.cpu:,.0f} µs each")
    title = f"Records a second: median (lowest-highest) of {arena.effort.rounds} turns each"
    return Table(title, _COLUMNS, [_row(contender) for contender in all_of_them]), checks(all_of_them)


def _row(contender: Contender) -> tuple[str, ...]:
    startup = "" if contender.startup is None else f"{contender.startup:.2f}"
    return (contender.label, spread(contender.rates), spread(contender.cpus), startup)


def checks(contenders: Sequence[Contender]) -> list[Check]:
    """Compare the contenders that took part: medians of the ratios of each round.

    The ratio by processor time, beside it, depends less on other load on the machine.
    """
    named = {contender.name: contender for contender in contenders}
    return [
        Check(
            f"records/s, {LABELS[ours]} to {LABELS[theirs]}",
            median_ratio(named[ours].rates, named[theirs].rates),
            target,
            by_cpu=median_ratio(named[theirs].cpus, named[ours].cpus),
        )
        for ours, theirs, target in _TARGETS
        if ours in named and theirs in named
    ]


def contenders(arena: Arena, names: Collection[str]) -> list[Contender]:
    """Make the named contenders, in the order of LABELS."""
    signed = ("--oci-config", str(arena.oci_config))
    makers: dict[str, Callable[[], Contender]] = {
        ONE: lambda: _program(ONE, arena, *signed, "--senders", "1"),
        BARE: lambda: _bare(BARE, arena, signed=True),
        TWO: lambda: _program(TWO, arena, *signed, "--senders", "2"),
        NONE: lambda: _program(NONE, arena, *signed, "--senders", "0"),
        OFFICIAL: lambda: _threaded(OFFICIAL, arena, "official", _OFFICIAL_THREADS, signed=True),
        PLAIN: lambda: _program(PLAIN, arena, "--auth", "none", "--senders", "1"),
        BARE_PLAIN: lambda: _bare(BARE_PLAIN, arena, signed=False),
        MLFLOW: lambda: _threaded(MLFLOW, arena, "mlflow_client", _MLFLOW_THREADS, signed=False),
    }
    return [makers[name]() for name in LABELS if name in names]


def _program(name: str, arena: Arena, *flags: str) -> Contender:
    return Contender(name, _ProgramTurns(arena, flags).turn)


class _ProgramTurns:
    """`ingestor run` with some flags; each turn has a new state directory."""

    def __init__(self, arena: Arena, flags: tuple[str, ...]) -> None:
        self._arena = arena
        self._program = Program(arena.url, arena.folder, flags)
        self._states = (arena.folder / f"state-{number}" for number in count(1))
        one = records.write(arena.folder / "one.jsonl", 1)
        self._idle = median(self._ingest(one, 1).ended.cpu for _ in range(3))

    def turn(self) -> Turn:
        """Ingest all records. The processor time of a run of one record is start-up, and does not count."""
        number = self._arena.effort.records
        execution = self._ingest(self._arena.file, number)
        cpu = (execution.ended.cpu - self._idle) / (number - 1)
        return Turn(number / execution.requesting, cpu * 1e6, execution.first_request - execution.ended.began)

    def _ingest(self, file: Path, number: int) -> Execution:
        state = next(self._states)
        try:
            return self._program.ingest(file, number, state)
        finally:
            shutil.rmtree(state, ignore_errors=True)


def _bare(name: str, arena: Arena, *, signed: bool) -> Contender:
    return Contender(name, partial(_send, arena, "bare", CONCURRENCY, arena.effort.records, signed=signed))


def _threaded(name: str, arena: Arena, module: str, threads: Sequence[int], *, signed: bool) -> Contender:
    """Make a client that uses threads, with the number of them that it is fastest with."""
    trial = partial(_send, arena, module, number=arena.effort.trial_records, signed=signed)
    best = max(threads, key=lambda each: trial(each).rate)
    turn = partial(_send, arena, module, best, arena.effort.slow_records, signed=signed)
    return Contender(name, turn, f", {best} thread{'s' if best > 1 else ''}")


def _send(arena: Arena, module: str, workers: int, number: int, *, signed: bool) -> Turn:
    """Send the first `number` records with a client of this package."""
    config = str(arena.oci_config) if signed else None
    took = carry_out(module, Task(arena.url, str(arena.file), number, workers, config), arena.folder)
    return Turn(number / took.seconds, took.cpu / number * 1e6)
