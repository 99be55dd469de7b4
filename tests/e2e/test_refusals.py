"""A service that answers, and serves no record; and records that are refused although the setting is right."""

import pytest

from ingestor.simulator.options import InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run, states

WANTED = list(records(30))
QUOTA = "daily quota used up"


def always(fault: InjectedFault, **more: object) -> SimulatorOptions:
    return SimulatorOptions(faults={fault: 1.0}, fault_message=QUOTA, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [0, 20])
async def test_a_service_that_refuses_every_request_ends_the_batch_resumable_in_its_own_words(
    program: Program, after: int
) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator(always(InjectedFault.ERROR_429, faults_after=after)) as simulator:
        ended = await program.ingest(*aim(simulator), "--give-up-after", "3", source)

        assert (ended.code, ended.summary["counts"]["created"]) == (75, after)
        assert ended.summary["reason"].endswith(f"429 TooManyRequests: {QUOTA}")
        assert [paused["reason"] for paused in program.events("batch.paused")] == [
            "the service refuses all requests for now (429)",
            f"every request is refused (still trying): 429 TooManyRequests: {QUOTA}",
        ]
        assert program.counts()["failed"] == program.counts()["unresolved"] == 0

        simulator.clear_faults()
        assert (await program.ingest(*aim(simulator), source)).code == 0
        assert_each_is_one_run(simulator, WANTED, program.rows())


async def test_answers_with_the_same_run_are_unresolved_and_halt_until_nothing_caches_them(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator(always(InjectedFault.SAME_RUN)) as simulator:
        ended = await program.ingest(*aim(simulator), source)

        assert ended.code == 4
        assert "proxy" in ended.summary["halted"]["advice"]
        counts = program.counts()
        assert counts["created"] == 1
        assert counts["unresolved"] >= 5
        assert {row["run_id"] for row in program.rows("unresolved")} == {None}

        for _ in range(3):  # the comparison covers earlier executions
            assert (await program.ingest(*aim(simulator), source)).code == 4
            assert program.counts()["created"] == 1

        simulator.clear_faults()
        assert (await program.ingest(*aim(simulator), source)).code == 0
        assert_each_is_one_run(simulator, WANTED, program.rows())


async def test_malformed_answers_halt_and_name_the_proxy_in_between(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator(always(InjectedFault.MALFORMED)) as simulator:
        ended = await program.ingest(*aim(simulator), source)

        assert ended.code == 4
        assert ended.summary["halted"]["reason"].startswith("The service answers, but its answers are malformed")
        assert "proxy in between" in ended.summary["halted"]["advice"]
        assert program.counts()["failed"] == program.counts()["unresolved"] == 0

        simulator.clear_faults()
        assert (await program.ingest(*aim(simulator), source)).code == 0
        assert_each_is_one_run(simulator, WANTED, program.rows())


@pytest.mark.parametrize("fault", [InjectedFault.LARGE_HEADER, InjectedFault.MANY_HEADERS])
async def test_answers_with_large_headers_are_understood(program: Program, fault: InjectedFault) -> None:
    async with Simulator(always(fault)) as simulator:
        ended = await program.ingest(*aim(simulator), program.write("runs.jsonl", WANTED))
        assert ended.code == 0
        assert_each_is_one_run(simulator, WANTED, program.rows())


async def test_one_bad_record_ends_each_night_with_3_and_never_looks_like_a_bad_setting(program: Program) -> None:
    good: list[Document] = [record | {"experiment_id": "1"} for record in WANTED]
    source = program.write("runs.jsonl", [*good, {"job_id": "bad", "experiment_id": "9"}])
    options = SimulatorOptions(
        missing_experiments=frozenset({"9"}), forbidden=frozenset({"experiments/search"}), vague_refusals=True
    )
    async with Simulator(options) as simulator:
        for _ in range(2):
            ended = await program.ingest(*aim(simulator), source)
            assert ended.code == 3
            assert program.counts() == states(created=30, failed=1)


async def test_missing_experiments_that_the_service_does_not_name_fail_their_records(program: Program) -> None:
    lost: list[Document] = [{"job_id": str(number), "experiment_id": f"m{number}"} for number in range(30)]
    options = SimulatorOptions(experiments=frozenset({"1"}), vague_refusals=True)
    async with Simulator(options) as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines(lost))
        assert ended.code == 3
        assert program.counts() == states(failed=30)


async def test_a_missing_right_to_create_halts_and_fails_no_record(program: Program) -> None:
    wanted: list[Document] = [record | {"experiment_id": "1"} for record in WANTED]
    options = SimulatorOptions(experiments=frozenset({"1"}), forbidden=frozenset({"runs/create"}), vague_refusals=True)
    async with Simulator(options) as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines(wanted))
        assert ended.code == 4
        assert "create runs" in ended.summary["halted"]["advice"]
        assert program.counts()["failed"] == 0


async def test_a_right_to_create_that_is_lost_between_two_nights_halts_and_fails_no_record(program: Program) -> None:
    wanted: list[Document] = [record | {"experiment_id": "1"} for record in WANTED]
    new: list[Document] = [{"job_id": f"new {number}", "experiment_id": "1"} for number in range(50)]
    lost = SimulatorOptions(experiments=frozenset({"1"}), forbidden=frozenset({"runs/create"}), vague_refusals=True)
    async with Simulator(SimulatorOptions(experiments=frozenset({"1"}))) as simulator:
        assert (await program.ingest(*aim(simulator), stdin=to_lines(wanted))).code == 0
    async with Simulator(lost) as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines(new))
        assert ended.code == 4
        assert "still lets this principal create runs" in ended.summary["halted"]["advice"]
        assert program.counts()["failed"] == 0


async def test_several_bad_records_end_each_night_with_3_where_no_search_is_allowed(program: Program) -> None:
    good: list[Document] = [record | {"experiment_id": "1"} for record in WANTED]
    source = program.write("runs.jsonl", [*good, *({"job_id": f"bad {it}", "experiment_id": "9"} for it in range(6))])
    options = SimulatorOptions(
        missing_experiments=frozenset({"9"}), forbidden=frozenset({"experiments/search"}), vague_refusals=True
    )
    async with Simulator(options) as simulator:
        for _ in range(2):
            assert (await program.ingest(*aim(simulator), source)).code == 3
            assert program.counts() == states(created=30, failed=6)
