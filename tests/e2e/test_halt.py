"""One bad setting costs a few requests, marks no record as failed, and the message says what to check."""

import sys

import pytest

from ingestor.simulator.options import WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Ended, Program, aim, at, to_lines
from tests.e2e.proof import assert_each_is_one_run, states

MAX_REFUSALS = 10
"""The most requests that a wrong setting may cost, including the probe."""

WANTED = list(records(30))


async def assert_nothing_failed(program: Program, ended: Ended) -> None:
    """Assert that the batch halted before any record had an outcome."""
    assert ended.code == 4, ended.stderr
    assert ended.summary["counts"] == dict.fromkeys(ended.summary["counts"], 0)
    counts = program.counts()
    assert counts["created"] == counts["failed"] == counts["unresolved"] == 0


async def assert_fixed(program: Program, simulator: Simulator, *command: str) -> None:
    """Assert that the command now creates every run."""
    ended = await program.ingest(*command)
    assert ended.code == 0, ended.stdout + ended.stderr
    assert_each_is_one_run(simulator, WANTED, program.rows("created"))


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"workspace": "another"}, "--workspace"),
        ({"platform": "ocid1.aidataplatform.oc1.simulated.another"}, "--platform-id"),
    ],
    ids=["workspace", "platform"],
)
async def test_a_wrong_place_halts_the_batch(
    program: Program, simulator: Simulator, wrong: dict[str, str], advice: str
) -> None:
    source = program.write("runs.jsonl", WANTED)

    ended = await program.ingest(*at(simulator, **wrong), "--auth", "none", source)

    await assert_nothing_failed(program, ended)
    assert simulator.statistics.requests <= MAX_REFUSALS
    assert "404 NotAuthorizedOrNotFound" in ended.summary["halted"]["reason"]
    assert advice in ended.summary["halted"]["advice"]
    await assert_fixed(program, simulator, *aim(simulator), source)


async def test_a_wrong_token_halts_the_batch_and_is_never_written(program: Program) -> None:
    source, token = program.write("runs.jsonl", WANTED), program.write("token", b"the-wrong-token")
    async with Simulator(SimulatorOptions(bearer_token="the-right-token")) as simulator:
        command = (*at(simulator), "--auth", "bearer", "--bearer-token-file", token, source)

        ended = await program.ingest(*command)

        await assert_nothing_failed(program, ended)
        assert simulator.statistics.requests <= MAX_REFUSALS
        assert simulator.statistics.statuses.keys() == {401}
        assert "--auth" in ended.summary["halted"]["advice"]
        program.write("token", b"the-right-token\n")
        await assert_fixed(program, simulator, *command)
    written = [path.read_bytes() for path in (program.folder / ".ingestor").iterdir()]
    assert not any(secret in data for secret in (b"the-wrong-token", b"the-right-token") for data in written)


async def test_a_closed_port_halts_the_batch(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as gone:
        pass

    ended = await program.ingest(*aim(gone), source)

    await assert_nothing_failed(program, ended)
    assert ended.summary["attempts"] <= MAX_REFUSALS
    assert "refused" in ended.summary["halted"]["reason"]
    assert "--endpoint" in ended.summary["halted"]["advice"]
    async with Simulator(port=int(gone.url.rpartition(":")[2])) as simulator:
        await assert_fixed(program, simulator, *aim(simulator), source)


async def test_an_unknown_host_halts_the_batch(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", WANTED)
    place = at(simulator)[2:]

    ended = await program.ingest("--endpoint", "http://aidp.invalid", *place, "--auth", "none", source)

    await assert_nothing_failed(program, ended)
    assert ended.summary["attempts"] <= MAX_REFUSALS
    assert "does not resolve" in ended.summary["halted"]["advice"]
    await assert_fixed(program, simulator, *aim(simulator), source)


async def test_an_experiment_that_does_not_exist_costs_its_records_only(program: Program) -> None:
    wanted = [record | {"experiment_id": "1"} for record in WANTED]
    lost: Document = {"job_id": "lost", "experiment_id": "missing"}
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"missing"}))) as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines([lost, *wanted]))

        assert ended.code == 3
        (failed,) = program.rows("failed")
        assert (failed["job_id"], failed["http_status"], failed["attempts"]) == ("lost", 404, 1)
        assert "experiment missing" in failed["error_message"]
        assert_each_is_one_run(simulator, wanted, program.rows("created"))


async def test_an_experiment_that_does_not_exist_is_no_halt_even_where_no_record_has_another(program: Program) -> None:
    lost: list[Document] = [{"job_id": str(number), "experiment_id": "missing"} for number in range(12)]
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"missing"}))) as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines(lost))

        assert ended.code == 3
        assert program.counts() == states(failed=12)

    async with Simulator() as simulator:
        ended = await program.ingest(*aim(simulator), stdin=to_lines(lost))
        assert (ended.code, simulator.statistics.run_count) == (0, 12)


@pytest.mark.parametrize("command", [("run", "runs.jsonl"), ("resume",)], ids=["run", "resume"])
async def test_a_batch_that_follows_the_service_waits_until_it_starts(
    program: Program, command: tuple[str, ...]
) -> None:
    program.write("runs.jsonl", WANTED)
    async with Simulator() as gone:
        pass
    if command == ("resume",):
        assert (await program.ingest(*aim(gone), "runs.jsonl")).code == 4
        await program.run("run", *aim(gone), "--wait-for-service", "--give-up-after", "0", stdin=to_lines(WANTED))

    running = await program.start(*command, *aim(gone), "--wait-for-service", "--output", "json")
    log = program.folder / ".ingestor" / "log.jsonl"
    before = log.read_text().count("batch.paused") if log.exists() else 0
    await running.until(lambda: log.exists() and log.read_text().count("batch.paused") > before)
    async with Simulator(port=int(gone.url.rpartition(":")[2])) as simulator:
        ended = await running.end()
        assert ended.code == 0, ended.stdout
        assert_each_is_one_run(simulator, WANTED, program.rows("created"))
    assert "batch.resumed" in log.read_text()


async def test_a_batch_that_follows_a_service_which_never_starts_ends_resumable(program: Program) -> None:
    async with Simulator() as gone:
        pass
    ended = await program.ingest(
        *aim(gone), "--wait-for-service", "--give-up-after", "0.5", program.write("runs.jsonl", WANTED)
    )
    assert ended.code == 75
    assert "--give-up-after" in ended.summary["reason"]
    counts = program.counts()
    assert counts["created"] == counts["failed"] == counts["unresolved"] == 0


CLOSED = ("sh", "-c", 'exec "$0" -m ingestor "$@" >&- 2>&-', sys.executable)
"""The command with closed standard output and standard error, as some schedulers start it."""


@pytest.mark.parametrize("workspace", ["another", WORKSPACE_KEY], ids=["halted", "finished"])
async def test_closed_outputs_change_no_exit_code_of_work_and_fail_what_only_prints(
    program: Program, simulator: Simulator, workspace: str
) -> None:
    source = program.write("runs.jsonl", WANTED)
    expected = 0 if workspace == WORKSPACE_KEY else 4
    place = aim(simulator, workspace=workspace)
    assert (await program.spawn("run", *place, source, command=CLOSED)).code == expected
    assert (await program.spawn("reconcile", *place, command=CLOSED)).code == 0
    assert (await program.spawn("resume", *place, command=CLOSED)).code == expected
    assert (await program.spawn("status", command=CLOSED)).code == 4
    assert (await program.spawn("run", *place, source, command=CLOSED)).code == expected  # the journal is intact
