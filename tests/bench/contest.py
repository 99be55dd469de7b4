"""Who brings in how many records a second: this tool and others, round after round, each once a round."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.figures import Check, median_ratio, spread
from tests.bench.program import Pass, Program, knows
from tests.bench.table import Table
from tests.bench.task import Task, carry_out

CONCURRENCY = 64
"""Requests at once of `ingestor` (its default) and of the bare loop."""

OFFICIAL_THREADS = (1, 2, 4, 8, 16)
MLFLOW_THREADS = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each contender has its turn.
        records: how many records a fast one brings in each time.
        slow_records: how many a slow one does: enough to tell its rate.
        trial_records: how many settle the best number of threads.
    """

    rounds: int
    records: int
    slow_records: int
    trial_records: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did once: records a second, microseconds of processor time each, and the start-up before."""

    rate: float
    cpu: float
    startup: float | None = None


@dataclass(slots=True)
class Contender:
    """Someone who brings records in, and the turns so far; `detail` is told beside the name."""

    name: str
    turn: Callable[[], Turn]
    detail: str = ""
    turns: list[Turn] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Records a second, by round."""
        return [turn.rate for turn in self.turns]

    @property
    def cpus(self) -> list[float]:
        """Microseconds of processor time a record, by round."""
        return [turn.cpu for turn in self.turns]

    @property
    def row(self) -> tuple[str, ...]:
        """What came of it."""
        starts = [turn.startup for turn in self.turns if turn.startup is not None]
        return (
            f"{LABELS[self.name]}{self.detail}",
            spread(self.rates),
            spread(self.cpus),
            f"{median(starts):.2f}" if starts else "",
        )


@dataclass(frozen=True, slots=True)
class Arena:
    """Where all meet: the service, a file of records for all, credentials, a folder to work in."""

    url: str
    folder: Path
    file: Path
    oci_config: Path
    effort: Effort


class Ours:
    """`ingestor run` with some flags."""

    def __init__(self, arena: Arena, *flags: str) -> None:
        self._arena = arena
        self._program = Program(arena.url, arena.folder, flags)
        self._states = (arena.folder / f"state-{number}" for number in count(1))
        self._one = records.write(arena.folder / "one.jsonl", 1)
        self._idle = median(self._bring_in(self._one, 1).ended.cpu for _ in range(3))

    def turn(self) -> Turn:
        """Bring all records in; what a run of one record costs counts as start-up, not as the cost of a record."""
        number = self._arena.effort.records
        made = self._bring_in(self._arena.file, number)
        cpu = (made.ended.cpu - self._idle) / (number - 1)
        return Turn(number / made.requesting, cpu * 1e6, made.first_request - made.ended.began)

    def _bring_in(self, file: Path, number: int) -> Pass:
        state = next(self._states)
        try:
            return self._program.bring_in(file, number, state)
        finally:
            shutil.rmtree(state, ignore_errors=True)


def other(arena: Arena, module: str, workers: int, number: int, *, signed: bool) -> Turn:
    """Let another client send the first `number` records."""
    config = str(arena.oci_config) if signed else None
    took = carry_out(module, Task(arena.url, str(arena.file), number, workers, config), arena.folder)
    return Turn(number / took.seconds, took.cpu / number * 1e6)


def best_threads(arena: Arena, module: str, threads: Sequence[int], *, signed: bool) -> int:
    """Return the number of threads that a client is fastest with."""
    number = arena.effort.trial_records
    return max(threads, key=lambda each: other(arena, module, each, number, signed=signed).rate)


ONE, TWO, PLAIN = "one", "two", "unsigned"
BARE, BARE_PLAIN = "bare", "bare-unsigned"
OFFICIAL, MLFLOW = "official", "mlflow"

LABELS = {
    ONE: "ingestor, 1 sender",
    BARE: "the bare loop",
    TWO: "ingestor, 2 senders",
    OFFICIAL: "aidp-python-client",
    PLAIN: "ingestor, unsigned",
    BARE_PLAIN: "the bare loop, unsigned",
    MLFLOW: "MLflow's client, unsigned",
}
"""The contenders by their names on the command line, in the order of their turns."""


def contenders(arena: Arena, chosen: Callable[[str], bool]) -> Iterator[Contender]:
    """Make the contenders whose names are chosen; those that need it find their best number of threads first."""
    signed = ("--oci-config", str(arena.oci_config))
    fast, slow = arena.effort.records, arena.effort.slow_records
    if chosen(ONE):
        yield Contender(ONE, Ours(arena, *signed).turn)
    if chosen(BARE):
        yield Contender(BARE, partial(other, arena, "bare", CONCURRENCY, fast, signed=True))
    if chosen(TWO) and knows("--senders", arena.folder):
        yield Contender(TWO, Ours(arena, *signed, "--senders", "2").turn)
    if chosen(OFFICIAL):
        threads = best_threads(arena, "official", OFFICIAL_THREADS, signed=True)
        turn = partial(other, arena, "official", threads, slow, signed=True)
        yield Contender(OFFICIAL, turn, _threads(threads))
    if chosen(PLAIN):
        yield Contender(PLAIN, Ours(arena, "--auth", "none").turn)
    if chosen(BARE_PLAIN):
        yield Contender(BARE_PLAIN, partial(other, arena, "bare", CONCURRENCY, fast, signed=False))
    if chosen(MLFLOW):
        threads = best_threads(arena, "mlflow_client", MLFLOW_THREADS, signed=False)
        turn = partial(other, arena, "mlflow_client", threads, slow, signed=False)
        yield Contender(MLFLOW, turn, _threads(threads))


def _threads(number: int) -> str:
    return f", {number} thread{'s' if number > 1 else ''}"


def contest(arena: Arena, say: Callable[[str], None], chosen: Callable[[str], bool]) -> tuple[Table, list[Check]]:
    """Let all have their turns; return what came out."""
    say("contest: finding the best number of threads")
    met = list(contenders(arena, chosen))
    for number in range(1, arena.effort.rounds + 1):
        for contender in met:
            turn = contender.turn()
            contender.turns.append(turn)
            say(f"contest: round {number}: {LABELS[contender.name]}: {turn.rate:,.0f}/s, {turn.cpu:,.0f} µs each")
    title = f"Records a second, {arena.effort.rounds} rounds: median (lowest-highest)"
    table = Table(title, ("", "records/s", "processor, µs/record", "start-up, s"), [one.row for one in met])
    return table, checks(met)


_RATES = (
    (ONE, BARE, 0.85),
    (ONE, OFFICIAL, 4.0),
    (TWO, ONE, 1.5),
    (TWO, OFFICIAL, 6.0),
    (PLAIN, BARE_PLAIN, 0.5),
)


def checks(met: Sequence[Contender]) -> list[Check]:
    """Hold those who took part against each other: medians of the ratios of each round.

    Beside the rates stands the ratio of the processor time a record, which other work on the machine moves less.
    """
    named = {one.name: one for one in met}
    return [
        Check(
            f"records/s, {LABELS[ours]} to {LABELS[theirs]}",
            median_ratio(named[ours].rates, named[theirs].rates),
            target,
            steady=median_ratio(named[theirs].cpus, named[ours].cpus),
        )
        for ours, theirs, target in _RATES
        if ours in named and theirs in named
    ]
