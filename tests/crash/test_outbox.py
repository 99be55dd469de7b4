"""What a kill kept from the log, the next run tells."""

import json
from pathlib import Path

from ingestor.journal.reader import results
from ingestor.journal.schema import State
from ingestor.simulator.server import Simulator
from tests.crash.driver import Point
from tests.crash.processes import run_program
from tests.e2e.program import aim, to_lines


def told(folder: Path) -> list[tuple[str, str]]:
    """Return job and run of every run.created in the log."""
    events = map(json.loads, (folder / "state" / "log.jsonl").read_text().splitlines())
    return [(event["job_id"], event["run_id"]) for event in events if event["event"] == "run.created"]


def settled(folder: Path) -> list[tuple[str, str | None]]:
    return [(row.job_id, row.run_id) for row in results(folder / "state", outcome=State.CREATED)]


async def test_an_outcome_that_a_kill_kept_from_the_log_is_told_once_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(to_lines({"job_id": str(number)} for number in range(30)))
    async with Simulator() as simulator:
        options = (*aim(simulator), "runs.jsonl")
        assert await run_program(tmp_path, "tests.crash.driver", "run", Point.OUTCOME_DURABLE, "1", *options) == -9
        lost = settled(tmp_path)
        assert lost
        assert told(tmp_path) == []

        assert await run_program(tmp_path, "tests.crash.driver", "run", Point.BEFORE_INTENT, "1", *options) == -9
        assert await run_program(tmp_path, "ingestor", "run", *options) == 0
        assert sorted(told(tmp_path)) == sorted(settled(tmp_path))
        before = told(tmp_path)
        assert before[: len(lost)] == lost

        assert await run_program(tmp_path, "ingestor", "run", *options) == 0
        assert told(tmp_path) == before, "what is told is not told again"
