"""Every fault of network and service at once, and never a run too many or too few."""

from ingestor.simulator.options import PLATFORM_ID, SURVIVABLE, WORKSPACE_KEY, InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run


async def test_every_record_is_exactly_one_run_with_every_fault(program: Program) -> None:
    wanted = list(records(200))
    options = SimulatorOptions(
        faults=dict.fromkeys(sorted(SURVIVABLE), 0.02),
        slow=0.1,
        rate=60,
        burst=0.1,
        seed=17,  # every fault is among the first 150 draws
    )
    async with Simulator(options) as simulator:
        ended = await program.ingest(*aim(simulator), "--timeout", "1", program.write("runs.jsonl", wanted))

        assert ended.code == 0, ended.stdout
        rows = program.rows()
        assert_each_is_one_run(simulator, wanted, rows)
        statistics = simulator.statistics
        assert set(statistics.faults) == SURVIVABLE, "the test needs every fault"
        assert statistics.throttled > 0, "the test needs the limit"
        assert statistics.replays > 0, "the test needs lost answers"
        assert ended.summary["throttled"] == statistics.throttled
        sent = statistics.requests_by_operation["runs/create"]
        assert ended.summary["attempts"] == sent == sum(row["attempts"] for row in rows)
        assert len(program.events("run.retried")) == sent - len(wanted)


async def test_without_token_and_stamp_a_lost_answer_is_unresolved_and_its_record_is_never_sent_again(
    program: Program,
) -> None:
    wanted = list(records(60))
    faults = dict.fromkeys((InjectedFault.RESET_AFTER, InjectedFault.TRUNCATED, InjectedFault.HTML_OK), 0.1)
    async with Simulator(SimulatorOptions(faults=faults, retry_tokens=False)) as simulator:
        mlflow = f"{simulator.url}/20260430/aiDataPlatforms/{PLATFORM_ID}/workspaces/{WORKSPACE_KEY}/mlops"
        source = program.write("runs.jsonl", wanted)
        for _ in range(2):
            ended = await program.ingest("--tracking-uri", mlflow, "--no-stamp", source)
            assert ended.code == 3

        counts = program.counts()
        assert counts["unresolved"] > 0, "the test needs lost answers"
        assert counts["created"] + counts["unresolved"] == 60
        assert simulator.statistics.run_count == simulator.statistics.requests_by_operation["runs/create"] == 60


async def test_a_record_that_the_service_can_not_process_costs_only_itself(program: Program) -> None:
    wanted = [{"job_id": str(number), "run_name": f"run {number}"} for number in range(40)]
    async with Simulator(SimulatorOptions(poison=frozenset({"run 5"}))) as simulator:
        ended = await program.ingest(*aim(simulator), "--max-attempts", "3", stdin=to_lines(wanted))

        assert ended.code == 3
        (unresolved,) = program.rows("unresolved")
        assert (unresolved["job_id"], unresolved["attempts"], unresolved["http_status"]) == ("5", 3, 500)
        rest = [record for record in wanted if record["job_id"] != "5"]
        assert_each_is_one_run(simulator, rest, program.rows("created"))


async def test_a_service_that_is_down_for_some_time_costs_only_time(program: Program) -> None:
    wanted = list(records(20))
    async with Simulator(SimulatorOptions(unavailable=True)) as simulator:
        running = await program.start("run", "--output", "json", *aim(simulator), program.write("runs.jsonl", wanted))
        await running.until(lambda: simulator.statistics.statuses[503] >= 4)
        simulator.set_available(True)
        ended = await running.end()

        assert ended.code == 0
        assert_each_is_one_run(simulator, wanted, program.rows())
