"""What happens in one simulated life of a batch, drawn from a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from ingestor.model.record import Job, Origin, Reject
from ingestor.policy.retry import RetryBudget
from tests.support.records import STEPS, job, with_steps

HOUR = 3600.0
DAY = 24 * HOUR
LONG_ENOUGH = 50 * HOUR
"""Seconds after which every token has expired, wherever the clocks were set."""
MOST_SET_BACK = 20 * 60.0
"""Seconds that a wall clock is set back in all where no process can see it: between two processes, by less than the
time that passed. What the margin of a token's life can't cover voids the promise. Steps that a process sees may be any.
"""


BUDGETS = (
    RetryBudget(),
    RetryBudget(max_attempts=2),
    RetryBudget(max_attempts=10**6, max_seconds=48 * HOUR, base=10.0, cap=8 * HOUR),
)


class Mishap(StrEnum):
    """What goes wrong with one request. Whether it was carried out is said in brackets."""

    REFUSED = "no connection [no]"
    RESET_BEFORE = "reset on its way [no]"
    RESET_AFTER = "reset on the way back [yes]"
    STRAGGLES = "reset, and carried out later all the same [yes]"
    HANGS = "no answer ever [yes]"
    GARBLED = "the answer breaks off [yes]"
    PROXY_PAGE = "a proxy's 200 without a run [yes]"
    ERROR_BEFORE = "500 [no]"
    ERROR_AFTER = "500 after the fact [yes]"
    UNAVAILABLE = "503, with Retry-After [no]"
    LOCKED = "409 IncorrectState [no]"
    QUOTA = "400 LimitExceeded [no]"
    FORBIDDEN = "403 [no]"
    NO_SUCH_PATH = "404 from something else [no]"
    INVALIDATED = "409 InvalidatedRetryToken [no]"


OUTAGES = (
    Mishap.REFUSED,
    Mishap.RESET_BEFORE,
    Mishap.STRAGGLES,
    Mishap.HANGS,
    Mishap.ERROR_BEFORE,
    Mishap.UNAVAILABLE,
)


class End(StrEnum):
    """How a process ends."""

    DONE = "done"
    STOPPED = "stopped"
    CRASHED = "crashed"


class Work(StrEnum):
    """What a process does."""

    RUN = "run"
    """Reads the source from its beginning."""
    RESUME = "resume"
    """Reads the source from its checkpoint."""
    RECONCILIATION = "reconcile"


@dataclass(frozen=True, kw_only=True)
class Process:
    """One execution of a command; nothing goes wrong in it unless its fields say so.

    Times are seconds from its start; `after` is when it is stopped or crashes. The wall clock is set by `clock_step`
    (when, by how much) while it is at work, and by `step_at_rest` in the `rest` after it.
    """

    work: Work
    end: End = End.DONE
    after: float = 0.0
    commits_survive: bool = True
    outage: tuple[float, float, Mishap] | None = None
    credentials_expire: float | None = None
    clock_step: tuple[float, float] | None = None
    step_at_rest: float = 0.0
    rest: float = 0.0

    @property
    def leaps(self) -> bool:
        """Whether the wall clock is set forward so far that what is under way may seem to have expired."""
        return max(self.step_at_rest, self.clock_step[1] if self.clock_step else 0.0) >= HOUR


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A life of a batch: its input, its service, and the processes that work on it one after another.

    After them comes a calm process that does `last_work`, and where the batch `is_reconciled`, a calm reconciliation
    once every token has expired, and that process again. `chunk` is how many records are read together.
    """

    seed: int
    records: Sequence[Job | Reject]
    refused: frozenset[str]
    poison: frozenset[str]
    processes: Sequence[Process]
    last_work: Work
    is_reconciled: bool
    chunk: int
    mishaps: Mapping[Mishap, float]
    concurrency: int
    idempotent: bool
    stamped: bool
    renewable: bool
    limit: float | None
    retry_after: bool
    latency: float
    straggle: float
    timeout: float
    drain_timeout: float
    give_up_after: float
    budget: RetryBudget


def draw(seed: int) -> Schedule:
    """Draw a life: the same seed is the same life."""
    random = Random(seed)
    idempotent = random.random() < 0.75
    processes = _processes(random)
    slow = idempotent and not any(process.leaps for process in processes)
    keys = [f"job-{number}" for number in range(1, 31)]
    return Schedule(
        seed=seed,
        records=_records(random),
        refused=frozenset(random.sample(keys, random.choice((0, 0, 2)))),
        poison=frozenset(random.sample(keys, random.choice((0, 0, 0, 2)))),
        processes=processes,
        last_work=random.choice((Work.RUN, Work.RESUME)),
        is_reconciled=random.random() < 0.5,
        chunk=random.choice((1, 3, 7, 50)),
        mishaps=_mishaps(random),
        concurrency=random.choice((1, 2, 4, 8)),
        idempotent=idempotent,
        stamped=idempotent or random.random() < 0.8,
        renewable=random.random() < 0.8,
        limit=random.choice((None, None, 3.0, 20.0)),
        retry_after=random.random() < 0.5,
        latency=random.choice((0.001, 0.05, 1.0, 20.0)[: 4 if slow else 3]),
        straggle=random.choice((1.0, 500.0)) if slow else random.uniform(0.1, 4.0),
        timeout=random.choice((5.0, 60.0)),
        drain_timeout=random.choice((0.0, 1.0, 25.0)),
        give_up_after=random.choice((0.0, 60.0, HOUR, 48 * HOUR)),
        budget=random.choice(BUDGETS),
    )


def _records(random: Random) -> list[Job | Reject]:
    count = random.choice((1, 3, 12, 12, 30))
    planned = random.choice((0.0, 0.0, 0.3, 1.0))
    jobs = [
        with_steps(job(number), STEPS) if random.random() < planned else job(number) for number in range(1, count + 1)
    ]
    records: list[Job | Reject] = [*jobs]
    for line in range(count + 1, count + 1 + random.choice((0, 0, 1, 6))):
        kind, number = random.choice(("double", "conflict", "reject")), random.randint(1, count)
        again: Job | Reject = jobs[number - 1]
        if kind == "conflict":
            again = job(line, key=f"job-{number}")
        elif kind == "reject":
            again = Reject(Origin("runs.jsonl", line), "not JSON", "{")
        records.insert(random.randint(number, len(records)), again)
    return records


def _mishaps(random: Random) -> dict[Mishap, float]:
    if random.random() < 0.1:
        return {}
    share = random.choice((0.05, 0.3, 0.6))
    some = random.sample(list(Mishap), random.randint(1, len(Mishap)))
    return {mishap: share / len(some) for mishap in some}


def _processes(random: Random) -> list[Process]:
    processes = []
    for _ in range(random.choice((0, 1, 2, 3, 5))):
        step = _clock_step(random)
        processes.append(
            Process(
                work=random.choice((Work.RUN, Work.RESUME, Work.RESUME, Work.RECONCILIATION)),
                end=random.choice(list(End)),
                after=10 ** random.uniform(-3.0, 3.0),
                commits_survive=random.random() < 0.5,
                outage=_outage(random),
                credentials_expire=random.choice((None, None, 10 ** random.uniform(-2.0, 2.0))),
                clock_step=(random.choice((0.0, 10 ** random.uniform(-2.0, 2.0))), step) if step else None,
                step_at_rest=_clock_step(random),
                rest=random.choice((0.0, 0.0, 2.0, 100.0, 12 * HOUR, 23.4 * HOUR, 23.7 * HOUR, 24.3 * HOUR, 25 * HOUR)),
            )
        )
    return processes


def _clock_step(random: Random) -> float:
    forward = random.choice((1.0, 600.0, HOUR, 30 * HOUR, 30 * DAY))
    back = random.choice((1.0, 600.0, random.uniform(0.0, 48 * HOUR), 30 * DAY))
    return random.choice((0.0, 0.0, forward, -back))


def _outage(random: Random) -> tuple[float, float, Mishap] | None:
    if random.random() < 0.6:
        return None
    return 10 ** random.uniform(-2.0, 2.0), 10 ** random.uniform(0.0, 5.0), random.choice(OUTAGES)
