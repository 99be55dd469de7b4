"""In every state of a batch, a signal or its time budget ends it soon, and the same command finishes it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGTERM

import pytest

from ingestor.simulator.options import InjectedFault, RetryAfter, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

WANTED = list(records(12))
SOON = 10.0
"""Seconds: far less than any of these states lasts, and more than a busy machine needs."""


@dataclass(frozen=True)
class State:
    """What holds a batch up, how a test sees it, and how it ends."""

    service: SimulatorOptions
    is_reached: Callable[[Simulator, str], bool]
    fix: Callable[[Simulator], None]
    options: tuple[str, ...] = ()
    open_end: bool = False


def leave_alone(simulator: Simulator) -> None:
    """Nothing is wrong with the service."""


STATES = {
    "paused by the service": State(
        SimulatorOptions(rate=1 / 120, retry_after=RetryAfter.SECONDS),
        lambda simulator, log: "batch.paused" in log and simulator.statistics.in_flight == 0,
        lambda simulator: simulator.set_rate(None),
    ),
    "waiting for a service that is down": State(
        SimulatorOptions(unavailable=True),
        lambda simulator, log: "batch.paused" in log,
        lambda simulator: simulator.set_available(True),
    ),
    "backing off": State(
        SimulatorOptions(faults={InjectedFault.ERROR_409: 1.0}),
        lambda simulator, log: "run.retried" in log,
        lambda simulator: simulator.clear_faults(),
    ),
    "waiting for slow answers": State(
        SimulatorOptions(faults={InjectedFault.HANG: 1.0}),
        lambda simulator, log: simulator.statistics.in_flight > 0,
        lambda simulator: simulator.clear_faults(),
        ("--timeout", "600", "--drain-timeout", "0.1"),
    ),
    "reading a silent standard input": State(
        SimulatorOptions(),
        lambda simulator, log: simulator.statistics.run_count == len(WANTED) // 2,
        leave_alone,
        open_end=True,
    ),
}
states = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


@states
@pytest.mark.parametrize("how", ["a signal", "the time budget"])
async def test_a_batch_is_stopped_and_finished(program: Program, state: State, how: str) -> None:
    log = program.folder / ".ingestor" / "log.jsonl"
    async with Simulator(state.service) as simulator:
        source = "-" if state.open_end else program.write("runs.jsonl", WANTED)
        command = ("run", "--output", "json", *aim(simulator), *state.options, source)
        budget = ("--time-budget", "2") if how == "the time budget" else ()
        running = await program.start(*command, *budget)
        if state.open_end:
            await running.write(to_lines(WANTED[: len(WANTED) // 2]))
        await running.until(lambda: log.exists() and state.is_reached(simulator, log.read_text()))
        if how == "a signal":
            running.send(SIGTERM)
        began = time.monotonic()
        stopped = await running.leave_input_open_and_end()

        assert (stopped.code, stopped.summary["exhausted"]) == (75, not state.open_end)
        assert stopped.summary["reason"] == (
            "stopped by SIGTERM" if how == "a signal" else "the time budget is used up"
        )
        assert time.monotonic() - began < SOON
        assert program.counts()["failed"] == program.counts()["unresolved"] == 0

        state.fix(simulator)
        finished = await program.run(*command, stdin=to_lines(WANTED) if state.open_end else b"")
        assert finished.code == 0, finished.stdout
        assert_each_is_one_run(simulator, WANTED, program.rows())


@states
async def test_two_signals_end_a_batch_at_once(program: Program, state: State) -> None:
    log = program.folder / ".ingestor" / "log.jsonl"
    async with Simulator(state.service) as simulator:
        source = "-" if state.open_end else program.write("runs.jsonl", WANTED)
        own = state.options[: state.options.index("--drain-timeout")] if "--drain-timeout" in state.options else ()
        command = ("run", *aim(simulator), source, *(own or state.options), "--drain-timeout", "600")
        running = await program.start(*command)
        if state.open_end:
            await running.write(to_lines(WANTED[: len(WANTED) // 2]))
        await running.until(lambda: log.exists() and state.is_reached(simulator, log.read_text()))
        running.send(SIGTERM)
        await running.until_it_prints("stopping")
        while not await running.is_over(0.1):  # within a second, all signals count as one
            running.send(SIGTERM)
        assert (await running.leave_input_open_and_end()).code == 75

        state.fix(simulator)
        finished = await program.run(*command, stdin=to_lines(WANTED) if state.open_end else b"")
        assert finished.code == 0, finished.stdout
        assert_each_is_one_run(simulator, WANTED, program.rows())
