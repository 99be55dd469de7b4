"""`ingestor check --online` asks the service and creates nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ingestor.cli.main import main
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.server import Simulator

RECORDS = [{"experiment_id": "7", "run_name": f"run {n}"} for n in range(3)] + [{"experiment_id": "9"}]

Check = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))

    async def run(url: str, *flags: str) -> tuple[int, str]:
        target = ("--endpoint", url, "--auth", "none", "--platform-id", PLATFORM_ID)
        workspace = () if "--workspace" in flags else ("--workspace", WORKSPACE_KEY)
        argv = ["check", "--online", *target, *workspace, *flags, "runs.jsonl"]
        return await asyncio.to_thread(main, argv), capsys.readouterr().out

    return run


async def test_missing_experiments_are_listed_with_the_number_of_their_records(check: Check) -> None:
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"9"}))) as simulator:
        code, out = await check(simulator.url)
        assert (code, simulator.statistics.run_count) == (3, 0)
    assert "Of 2 experiments in the records, 1 can take runs.\nMissing:\n  9: 1 record\n" in out


async def test_a_target_that_can_take_all_records_ends_with_0(check: Check) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        code, out = await check(simulator.url, "--output", "json")
    service = json.loads(out)["service"]
    assert code == 0
    assert service["missing"] == service["deleted"] == {}
    assert service["target"].startswith(simulator.url)


async def test_a_wrong_workspace_halts_before_the_records_are_read(check: Check) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        code, out = await check(simulator.url, "--workspace", "another")
    assert code == 4
    assert "404 NotAuthorizedOrNotFound" in out
    assert "Check --platform-id, --workspace" in out
    assert "Records read" not in out


async def test_a_service_that_is_not_there_is_named_in_both_forms(check: Check) -> None:
    code, out = await check("http://127.0.0.1:1", "--output", "json")
    halted = json.loads(out)
    assert (code, halted["event"]) == (4, "check.halted")
    assert "connection refused" in halted["reason"]


def test_the_options_of_the_target_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--online", str(tmp_path)]) == 2
    assert "the target is missing" in capsys.readouterr().err
