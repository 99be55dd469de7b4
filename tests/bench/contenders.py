"""Who brings records in: this tool, the bare loop, the official client and MLflow's own."""

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.program import Execution, Program
from tests.bench.task import Task, carry_out

CONCURRENCY = 64
"""Requests at once of `ingestor` (its default) and of the bare loop."""

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

_OFFICIAL_THREADS = (1, 2, 4, 8, 16)
_MLFLOW_THREADS = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each contender has its turn.
        records: how many records a fast one brings in each time, at least 2.
        slow_records: how many a slow one does: enough to tell its rate.
        trial_records: how many settle the best number of threads.
    """

    rounds: int
    records: int
    slow_records: int
    trial_records: int


@dataclass(frozen=True, slots=True)
class Arena:
    """Where all meet: the service, a folder to work in, a file of records for all, credentials."""

    url: str
    folder: Path
    file: Path
    oci_config: Path
    effort: Effort


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did once: records a second, microseconds of processor time each, seconds of start-up."""

    rate: float
    cpu: float
    startup: float | None = None


@dataclass(slots=True)
class Contender:
    """Someone who brings records in, and the turns so far; `detail` is told beside the label."""

    name: str
    turn: Callable[[], Turn]
    detail: str = ""
    turns: list[Turn] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What it is called in a table."""
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
        """Seconds from the start to the first request, where that is known: the median."""
        seconds = [turn.startup for turn in self.turns if turn.startup is not None]
        return median(seconds) if seconds else None


def contenders(arena: Arena, names: Collection[str]) -> list[Contender]:
    """Make those who are named, in their order."""
    signed = ("--oci-config", str(arena.oci_config))
    makers: dict[str, Callable[[], Contender]] = {
        ONE: lambda: _ours(ONE, arena, *signed, "--senders", "1"),
        BARE: lambda: _bare(BARE, arena, signed=True),
        TWO: lambda: _ours(TWO, arena, *signed, "--senders", "2"),
        NONE: lambda: _ours(NONE, arena, *signed, "--senders", "0"),
        OFFICIAL: lambda: _threaded(OFFICIAL, arena, "official", _OFFICIAL_THREADS, signed=True),
        PLAIN: lambda: _ours(PLAIN, arena, "--auth", "none", "--senders", "1"),
        BARE_PLAIN: lambda: _bare(BARE_PLAIN, arena, signed=False),
        MLFLOW: lambda: _threaded(MLFLOW, arena, "mlflow_client", _MLFLOW_THREADS, signed=False),
    }
    return [makers[name]() for name in LABELS if name in names]


def _ours(name: str, arena: Arena, *flags: str) -> Contender:
    return Contender(name, _Ours(arena, flags).turn)


class _Ours:
    """`ingestor run` with some flags; each turn has a new state directory."""

    def __init__(self, arena: Arena, flags: tuple[str, ...]) -> None:
        self._arena = arena
        self._program = Program(arena.url, arena.folder, flags)
        self._states = (arena.folder / f"state-{number}" for number in count(1))
        one = records.write(arena.folder / "one.jsonl", 1)
        self._idle = median(self._bring_in(one, 1).ended.cpu for _ in range(3))

    def turn(self) -> Turn:
        """Bring all records in; what a run of one record costs is start-up, not the cost of a record."""
        number = self._arena.effort.records
        made = self._bring_in(self._arena.file, number)
        cpu = (made.ended.cpu - self._idle) / (number - 1)
        return Turn(number / made.requesting, cpu * 1e6, made.first_request - made.ended.began)

    def _bring_in(self, file: Path, number: int) -> Execution:
        state = next(self._states)
        try:
            return self._program.bring_in(file, number, state)
        finally:
            shutil.rmtree(state, ignore_errors=True)


def _bare(name: str, arena: Arena, *, signed: bool) -> Contender:
    return Contender(name, partial(_send, arena, "bare", CONCURRENCY, arena.effort.records, signed=signed))


def _threaded(name: str, arena: Arena, module: str, threads: Sequence[int], *, signed: bool) -> Contender:
    """Make a client that works with threads, with as many as it is fastest with."""
    trial = partial(_send, arena, module, number=arena.effort.trial_records, signed=signed)
    best = max(threads, key=lambda each: trial(each).rate)
    turn = partial(_send, arena, module, best, arena.effort.slow_records, signed=signed)
    return Contender(name, turn, f", {best} thread{'s' if best > 1 else ''}")


def _send(arena: Arena, module: str, workers: int, number: int, *, signed: bool) -> Turn:
    """Let a client of this package send the first `number` records."""
    config = str(arena.oci_config) if signed else None
    took = carry_out(module, Task(arena.url, str(arena.file), number, workers, config), arena.folder)
    return Turn(number / took.seconds, took.cpu / number * 1e6)
