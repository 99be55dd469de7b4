"""Requests that are never answered: the real program with its sender, and what the service has in the end."""

from signal import SIGINT, SIGKILL

import pytest

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim
from tests.e2e.proof import assert_each_is_one_run


def service(share: float, *, retry_tokens: bool = True) -> SimulatorOptions:
    return SimulatorOptions(
        faults={InjectedFault.HANG: share}, faults_after=60, latency=0.01, seed=1, retry_tokens=retry_tokens
    )


async def test_hung_requests_are_given_up_and_leave_no_connection_open(program: Program) -> None:
    """A sender has nine connections here: with those of the requests that were given up, it would have none left."""
    wanted = list(records(400))
    limits = ("--timeout", "600", "--time-budget", "60", "--concurrency", "8", "--senders", "1")
    async with Simulator(service(0.05)) as simulator:
        source = program.write("runs.jsonl", wanted)
        ended = await program.ingest(*aim(simulator), *limits, source)

        assert ended.code == 0, ended.stdout
        assert_each_is_one_run(simulator, wanted, program.rows())
        retried = program.events("run.retried")
        hung = simulator.statistics.faults[InjectedFault.HANG]
        assert len(retried) == hung > 10
        assert {event["reason"][:14] for event in retried} == {"given up after"}
        assert {event["error_code"] for event in retried} == {"timeout"}
        assert ended.summary["attempts"] == 400 + hung


async def test_hung_requests_without_tokens_do_not_keep_their_slots_and_are_looked_up(program: Program) -> None:
    wanted = list(records(300))
    async with Simulator(service(0.1, retry_tokens=False)) as simulator:
        mlflow = f"{simulator.url}/20260430/aiDataPlatforms/{PLATFORM_ID}/workspaces/{WORKSPACE_KEY}/mlops"
        words = ("--tracking-uri", mlflow, "--timeout", "5", "--concurrency", "4", program.write("runs.jsonl", wanted))
        running = await program.start("run", *words)
        statistics = simulator.statistics
        await running.until(lambda: statistics.in_flight > 4)
        simulator.clear_faults()
        ended = await running.end()

        assert ended.code == 0, ended.stdout
        assert {row["outcome"] for row in program.rows()} == {"created"}
        assert statistics.run_count == statistics.requests_by_operation["runs/create"] == 300
        assert statistics.requests_by_operation["runs/search"] > 4


@pytest.mark.parametrize("number", [SIGINT, SIGKILL], ids=["interrupted", "killed"])
@pytest.mark.parametrize("retry_tokens", [True, False], ids=["tokens", "no tokens"])
async def test_a_batch_that_ends_while_requests_hang_is_continued_and_creates_nothing_twice(
    program: Program, number: int, retry_tokens: bool
) -> None:
    wanted = list(records(300))
    tokens = () if retry_tokens else ("--no-retry-tokens",)
    async with Simulator(service(0.1, retry_tokens=retry_tokens)) as simulator:
        words = (
            *aim(simulator),
            *tokens,
            "--timeout",
            "5",
            "--drain-timeout",
            "1",
            program.write("runs.jsonl", wanted),
        )
        running = await program.start("run", "--output", "json", *words)
        await running.until(lambda: simulator.statistics.faults[InjectedFault.HANG] >= 8)
        running.send(number)
        if number == SIGINT:
            assert (await running.end()).code == 75
        else:
            await running.die()
        simulator.clear_faults()
        ended = await program.ingest(*words)

        assert ended.code == 0, ended.stdout
        assert simulator.statistics.run_count == 300
        assert {row["outcome"] for row in program.rows()} == {"created"}
        assert len({row["run_id"] for row in program.rows()}) == 300
