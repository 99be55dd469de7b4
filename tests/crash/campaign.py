"""One batch brought in by processes that are killed one after another, and what must hold in the end."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ingestor.journal.reader import results
from ingestor.simulator.faults import InjectedFault
from ingestor.simulator.options import RetryAfter, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.crash.driver import Point
from tests.e2e.accounts import assert_each_is_one_run
from tests.e2e.program import aim, to_lines

ROOT = Path(__file__).parents[2]
RECORDS = 150
PATIENCE = 60.0
"""Seconds for one process: far more than any takes."""

_OPTIONS = ("--timeout", "1", "--state", "state", "--concurrency", "16", "--progress", "off")


class Campaign:
    """A batch, its service and a seed for all that befalls them. `killed` counts kills per kind."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.killed = Counter[str]()
        self._folder = folder
        self._random = Random(seed)
        self._records = list(records(RECORDS))
        self._points = cycle(self._random.sample(list(Point), len(Point)))
        self._at_a_point = False
        self._simulator = Simulator(_service(seed))
        (folder / "runs.jsonl").write_bytes(to_lines(self._records))

    async def run(self, kills: int) -> None:
        """Kill `kills` processes, fewer where the batch is done before; let the last one finish; check everything."""
        async with self._simulator:
            ended = False
            while self.killed.total() < kills and not ended:
                ended = await self._suffer()
            assert await run_program(self._folder, "ingestor", "run", *aim(self._simulator)) == 0
            self._check()

    async def _suffer(self) -> bool:
        """Start a process and kill it; say whether it was done before."""
        self._at_a_point = not self._at_a_point
        if self._at_a_point:
            point = next(self._points)
            most = 10 if "send" in point or "answer" in point or "told" in point else 4
            process = await self._start("tests.crash.driver", point, str(self._random.randint(1, most)))
        else:
            point = None
            process = await self._start("ingestor", "run")
            requests = self._simulator.account.requests + self._random.randint(0, 40)
            await _kill_when(process, partial(self._has_had, requests))
        code = await _end(process)
        if code == -9:
            self.killed[point or "at random"] += 1
        return code != -9

    async def _start(self, module: str, *words: str) -> Process:
        return await _start(self._folder, module, *words, *aim(self._simulator))

    def _has_had(self, requests: int) -> bool:
        """Whether the service has had this many requests."""
        return self._simulator.account.requests >= requests

    def _check(self) -> None:
        state = self._folder / "state"
        rows = [asdict(row) for row in results(state)]
        assert_each_is_one_run(self._simulator, self._records, rows)
        run_ids = {row["job_id"]: row["run_id"] for row in rows}
        told = {}
        for event in _events(state / "log.jsonl"):
            if event["event"] in {"run.created", "run.duplicate"}:
                assert event["run_id"] == run_ids[event["job_id"]], f"the log tells of a run that is not: {event}"
            if event["event"] == "run.created":
                told[event["job_id"]] = event["run_id"]
            assert event["event"] != "run.failed", f"the log tells of a failure that was none: {event}"
        assert told == run_ids, f"the log lacks {run_ids.keys() - told.keys()}"


def _service(seed: int) -> SimulatorOptions:
    return SimulatorOptions(
        faults=dict.fromkeys(InjectedFault, 0.02),
        slow=0.1,
        jitter=0.01,
        rate=150,
        burst=0.1,
        retry_after=list(RetryAfter)[seed % 3],
        seed=seed,
    )


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """Read the log; a line that a kill tore is told of by nobody."""
    for line in log.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


async def run_program(folder: Path, module: str, *words: str) -> int:
    """Run a module over runs.jsonl in `folder`; return how it ended: 0, or -9 for a kill."""
    return await _end(await _start(folder, module, *words))


async def _start(folder: Path, module: str, *words: str) -> Process:
    command = (sys.executable, "-m", module, *words, *_OPTIONS, "runs.jsonl")
    env = {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return await asyncio.create_subprocess_exec(*command, cwd=folder, env=env, stdout=DEVNULL, stderr=PIPE)


async def _kill_when(process: Process, due: Callable[[], bool]) -> None:
    """Kill a process when it is due, if it still is there."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not due() and process.returncode is None:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0.001)
    finally:
        if process.returncode is None:
            process.kill()


async def _end(process: Process) -> int:
    """Return how a process ended: 0, or -9 for a kill."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode in {0, -9}, f"exit code {process.returncode}: {errors.decode()}"
    return process.returncode
