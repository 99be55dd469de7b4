"""One batch whose processes are killed one after another, and what must hold at the end."""

import json
import sqlite3
from asyncio.subprocess import DEVNULL
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ingestor.journal.reader import results
from ingestor.simulator.options import SURVIVABLE, RetryAfter, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.crash.driver import OFTEN, POINTS, Point
from tests.crash.feed import Feed
from tests.crash.files import Files
from tests.crash.plan import ADDED_TAGS, assert_complete
from tests.crash.processes import KILLED, end, kill_when, run_program, start
from tests.e2e.program import aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, runs_of

RECORDS = 150
PLANNED_RECORDS = 60
KINDS = frozenset((command, point) for command, points in POINTS.items() for point in (None, *points))
"""What is killed where; each must happen. None is a random moment."""

_SENDERS = ("0", "0", "1")  # mostly one process for all: a second one costs as long to start as the first
_FEW, _MANY = "2", "8"  # slots: few leave most of a file unread
_INCOMPLETE = 3
_STOPPED = 75
_RECONCILIATIONS = 5
_AGED = 25 * 3600.0
_ROUND = (("run", True), ("run", False), ("reconcile", True), ("run", True), ("run", False), ("reconcile", False))


@dataclass(frozen=True)
class Step:
    """A process and the point where it dies, None for a random moment."""

    command: str
    point: Point | None


class Campaign:
    """A batch, its service and a seed for all that happens to them. `killed` counts kills per kind.

    Every second batch comes through a pipe, piece by piece. The others come in files, and a run is given some of them.
    Every third one has jobs of several requests. Some batches grow old in the middle: what may exist then is not sent
    again until a reconciliation has settled it.
    """

    def __init__(self, folder: Path, seed: int, number: int) -> None:
        self.killed = Counter[tuple[str, Point | None]]()
        self._folder = folder
        self._random = Random(seed + number)
        self._is_planned = number % 3 == 2
        self._records = list(records(PLANNED_RECORDS if self._is_planned else RECORDS))
        self._steps = _steps(self._random, number)
        self._ages_after = self._random.choice((None, self._random.randint(2, 8)))
        self._is_aged = self._is_sent = False
        self._simulator = Simulator(_service(seed + number))
        self._feed = Feed(to_lines(self._records), self._random) if number % 2 else None
        self._files = Files(folder, self._records, self._random)

    async def run(self, kills: int) -> None:
        """Kill `kills` processes, fewer where the batch is done before; let the last ones finish; check everything."""
        async with AsyncExitStack() as world:
            await world.enter_async_context(self._simulator)
            if self._feed is not None:
                await world.enter_async_context(self._feed)
            ended = False
            while self.killed.total() < kills and not ended:
                ended = await self._suffer(self._next())
                self._age()
            await self._finish()
            self._check()

    def _next(self) -> Step:
        """Return what to kill next. Where all is sent and something may exist, only a reconciliation has work."""
        return next(step for step in self._steps if step.command == "reconcile" or not self._is_sent)

    async def _suffer(self, step: Step) -> bool:
        """Start a process and kill it. Return whether the batch was done before."""
        step = self._instead(step)
        command = "resume" if step.command == "run" and self._resumes() else step.command
        sources, stdin = self._sources(command), self._stdin(command)
        arguments = (*self._aim(), *sources)
        if step.point is not None:
            number = self._random.randint(1, 10 if step.point in OFTEN else 2)
            process = await start(self._folder, *self._driver(command, step.point, number), *arguments, stdin=stdin)
        else:
            process = await start(self._folder, *self._driver(command), *arguments, stdin=stdin)
            requests = self._simulator.statistics.requests + self._random.randint(0, 40)
            await kill_when(process, partial(self._has_had, requests))
        code = await end(process, may=self._may(command))
        if code == KILLED:
            self.killed[step.command, step.point] += 1
        if self._is_begun():
            self._files.look(done=sources if code in {0, _INCOMPLETE} else ())
        is_all = self._is_all(command, sources)
        self._is_sent = (code == _INCOMPLETE and is_all) or (self._is_sent and code == KILLED)
        return code == 0 and is_all

    def _is_all(self, command: str, sources: tuple[str, ...]) -> bool:
        """Whether a process had all records to read."""
        if self._feed is not None:
            return command != "reconcile"
        return len(sources) == len(self._files.names) or (command == "resume" and not self._files.unknown)

    def _instead(self, step: Step) -> Step:
        """Return a run in place of a reconciliation where nothing was begun."""
        return step if step.command == "run" or self._is_begun() else Step("run", None)

    def _resumes(self) -> bool:
        """Return whether to resume in place of a run: the batch was begun and gets no more input."""
        is_wanted = self._random.random() < 0.5
        return is_wanted and self._is_begun() and (self._feed is None or self._feed.is_dry)

    def _is_begun(self) -> bool:
        return (self._folder / "state" / "journal.db").exists()

    async def _finish(self) -> None:
        """Finish the batch: files by `resume`, a pipe by `resume` or `run`. What grew old is reconciled before."""
        if self._is_aged:
            await self._reconcile()
        if self._feed is not None and not self._feed.is_dry:
            await self._complete("run")
        if self._feed is None and self._files.unknown:
            await self._complete("run", sources=tuple(self._files.unknown))
        last = "resume" if self._feed is None else self._random.choice(("run", "resume"))
        if await self._complete(last, may=self._may(last) - {_INCOMPLETE}) == _STOPPED:
            await self._complete("run")  # as its message says

    async def _reconcile(self) -> None:
        """Settle what grew old. A job whose look-up fails ten times in a row is left to the next reconciliation."""
        for _ in range(_RECONCILIATIONS):
            if await self._complete("reconcile", may={_INCOMPLETE}) == 0:
                return

    async def _complete(self, command: str, may: Collection[int] = (), sources: tuple[str, ...] | None = None) -> int:
        if sources is None:
            sources = self._files.names if command == "run" and self._feed is None else self._sources(command)
        words, stdin = (*self._aim(), *sources), self._stdin(command)
        return await run_program(self._folder, *self._driver(command), *words, stdin=stdin, may=may)

    def _driver(self, command: str, point: Point = Point.NEVER, number: int = 1) -> tuple[str, ...]:
        """Return the words that start a process; without a point, a plain one is the program itself."""
        if point is Point.NEVER and not self._is_planned:
            return ("ingestor", command)
        return ("tests.crash.driver", "planned" if self._is_planned else "plain", command, point, str(number))

    def _aim(self) -> tuple[str, ...]:
        slots = _FEW if self._feed is None else _MANY
        return (*aim(self._simulator), "--senders", self._random.choice(_SENDERS), "--concurrency", slots)

    def _sources(self, command: str) -> tuple[str, ...]:
        """Return what a process that is to be killed reads."""
        if command != "run":
            return ()
        return ("-",) if self._feed is not None else self._files.choose()

    def _stdin(self, command: str) -> int:
        return self._feed.descriptor if self._feed is not None and command == "run" else DEVNULL

    def _may(self, command: str) -> set[int]:
        """Return how a process may end that is not killed: with something unresolved, or a pipe that is not kept."""
        unresolved = {_INCOMPLETE} if command == "reconcile" or self._is_aged else set()
        return unresolved | ({_STOPPED} if command == "resume" and self._feed is not None else set())

    def _has_had(self, requests: int) -> bool:
        """Whether the service has had this many requests."""
        return self._simulator.statistics.requests >= requests

    def _age(self) -> None:
        """Make the journal's tokens older, as if a day had passed, once enough processes were killed."""
        if self.killed.total() != self._ages_after or self._is_aged:
            return
        self._is_aged = True
        with closing(sqlite3.connect(self._folder / "state" / "journal.db")) as journal, journal:
            journal.execute("UPDATE job SET first_sent_at = first_sent_at - ?", (_AGED,))

    def _check(self) -> None:
        state = self._folder / "state"
        rows = [asdict(row) for row in results(state)]
        assert_each_is_one_run(self._simulator, self._records, rows, added=ADDED_TAGS if self._is_planned else {})
        run_ids = {row["job_id"]: row["run_id"] for row in rows}
        if self._is_planned:
            runs = runs_of(self._simulator)
            for key, run_id in run_ids.items():
                assert_complete(runs[run_id], key)
        self._check_log(state / "log.jsonl", run_ids)
        assert not list(state.rglob("stdin-*")), "finished records are still kept"

    def _check_log(self, log: Path, run_ids: dict[str, str]) -> None:
        created = {}
        for event in _events(log):
            if event["event"] in {"run.created", "run.duplicate"}:
                assert event["run_id"] == run_ids[event["job_id"]], f"the log has a run that does not exist: {event}"
            if event["event"] == "run.created":
                created[event["job_id"]] = event["run_id"]
            assert event["event"] != "run.failed" or (self._is_aged and event["error_code"] == "NotCreated"), (
                f"the log has a failure that did not happen: {event}"
            )
            assert event["event"] != "run.rejected", f"the log rejects a good record: {event}"
        assert created == run_ids, f"the log lacks {run_ids.keys() - created.keys()}"


def _steps(random: Random, number: int) -> Iterator[Step]:
    """Yield what to kill where, without end. Each batch begins at other points."""
    points = {command: deque(some) for command, some in POINTS.items()}
    for command, some in points.items():
        some.rotate(-number * len(some) // 2 - random.randint(0, 1))
        points[command] = some
    for command, is_named in cycle(_ROUND):
        yield Step(command, points[command][0] if is_named else None)
        if is_named:
            points[command].rotate(-1)


def _service(seed: int) -> SimulatorOptions:
    return SimulatorOptions(
        faults=dict.fromkeys(sorted(SURVIVABLE), 0.02),
        slow=0.1,
        jitter=0.01,
        rate=150,
        burst=0.1,
        retry_after=list(RetryAfter)[seed % 3],
        seed=seed,
    )


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """Read the log without the lines that a kill cut."""
    for line in log.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
