"""Processes are killed again and again: nothing is lost, created twice or missing in the log."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.campaign import KINDS, Campaign
from tests.crash.driver import Point

AT_ONCE = 4
"""Batches at the same time: each of them waits most of the time."""
KILLS_PER_BATCH = 13
LEAST_FOR_ALL_KINDS = 50


@pytest.mark.timeout(7200)
async def test_whenever_processes_are_killed_every_record_is_one_run_and_log_and_results_agree(
    tmp_path: Path, seed: int, pytestconfig: pytest.Config
) -> None:
    wanted = pytestconfig.getoption("--kills")
    killed = Counter[tuple[str, Point | None]]()
    numbers = iter(range(10**6))

    async def run_batches() -> None:
        while killed.total() < wanted or (wanted >= LEAST_FOR_ALL_KINDS and not killed.keys() >= KINDS):
            number = next(numbers)
            folder = tmp_path / str(number)
            folder.mkdir()
            campaign = Campaign(folder, seed, number)
            try:
                await campaign.run(KILLS_PER_BATCH)
            except BaseException as error:
                error.add_note(f"in batch {number} of seed {seed}, after {dict(campaign.killed)}")
                raise
            killed.update(campaign.killed)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(run_batches())
    assert killed.total() >= wanted
