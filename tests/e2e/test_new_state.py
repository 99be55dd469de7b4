"""A state directory without a journal is a new memory: that is said, or refused."""

import pytest

import ingestor
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim


async def test_a_new_state_directory_is_named_once_with_its_absolute_path(
    program: Program, simulator: Simulator
) -> None:
    source = program.write("runs.jsonl", records(3))
    said = f"ingestor: {program.folder}/.ingestor is a new state directory: nothing is known yet"
    first, second = [await program.run("run", *aim(simulator), source) for _ in range(2)]
    assert (first.code, first.stderr.count(said)) == (0, 1)
    assert (second.code, "new state directory" in second.stderr) == (0, False)


async def test_a_state_directory_that_can_not_be_made_is_not_said_to_be_new(
    program: Program, simulator: Simulator
) -> None:
    (program.folder / "state").mkdir()
    (program.folder / "state" / "lock").mkdir()
    ended = await program.run("run", *aim(simulator), "--state", "state", program.write("runs.jsonl", records(1)))
    assert ended.code == 4
    assert "state/lock must be a regular file" in ended.stderr
    assert "new state directory" not in ended.stderr


@pytest.mark.parametrize("command", ["run", "resume", "reconcile"])
@pytest.mark.parametrize("exists", [False, True], ids=["no directory", "an empty mount point"])
async def test_without_new_state_a_missing_journal_is_an_error_and_nothing_is_created(
    program: Program, simulator: Simulator, command: str, exists: bool
) -> None:
    state = program.folder / "volume"
    if exists:
        state.mkdir()
    source = [program.write("runs.jsonl", records(3))] if command == "run" else []
    refused = await program.run(command, *aim(simulator), "--state", "volume", "--no-new-state", *source)
    assert refused.code == 2
    assert f"There is no journal in {state}" in refused.stderr
    assert "the volume is not mounted" in refused.stderr
    assert list(state.iterdir()) == [] if exists else not state.exists()
    assert simulator.statistics.requests == 0


async def test_without_new_state_an_existing_journal_is_used(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(3))
    assert (await program.run("run", *aim(simulator), source)).code == 0
    assert (await program.run("run", *aim(simulator), "--no-new-state", source)).code == 0


async def test_the_library_refuses_a_missing_journal_as_well(program: Program) -> None:
    target = ingestor.mlflow("http://127.0.0.1:9")
    for call in (
        ingestor.ingest(records(1), target, state=program.folder / "s", new_state=False),
        ingestor.reconcile(target, state=program.folder / "s", new_state=False),
    ):
        with pytest.raises(ingestor.UsageError, match="There is no journal in"):
            await call
    assert not (program.folder / "s").exists()
