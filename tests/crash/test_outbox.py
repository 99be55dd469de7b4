"""The next run logs the outcomes that a kill kept from the log."""

import json
from pathlib import Path

from ingestor.journal.reader import results
from ingestor.model.record import State
from ingestor.simulator.server import Simulator
from tests.crash.driver import Point
from tests.crash.processes import run_program
from tests.e2e.program import aim, to_lines


def logged(folder: Path) -> list[tuple[str, str]]:
    """Return job and run of every run.created in the log."""
    events = map(json.loads, (folder / "state" / "log.jsonl").read_text().splitlines())
    return [(event["job_id"], event["run_id"]) for event in events if event["event"] == "run.created"]


def ended(folder: Path) -> list[tuple[str, str | None]]:
    return [(row.job_id, row.run_id) for row in results(folder / "state", outcome=State.CREATED)]


async def test_an_outcome_that_a_kill_kept_from_the_log_is_logged_once_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(to_lines({"job_id": str(number)} for number in range(30)))
    async with Simulator() as simulator:
        options = (*aim(simulator), "--senders", "0", "runs.jsonl")
        assert (
            await run_program(tmp_path, "tests.crash.driver", "plain", "run", Point.OUTCOME_DURABLE, "1", *options)
            == -9
        )
        lost = ended(tmp_path)
        assert lost
        assert logged(tmp_path) == []

        assert (
            await run_program(tmp_path, "tests.crash.driver", "plain", "run", Point.BEFORE_INTENT, "1", *options) == -9
        )
        assert await run_program(tmp_path, "ingestor", "run", *options) == 0
        assert sorted(logged(tmp_path)) == sorted(ended(tmp_path))
        before = logged(tmp_path)
        assert before[: len(lost)] == lost

        assert await run_program(tmp_path, "ingestor", "run", *options) == 0
        assert logged(tmp_path) == before, "an acknowledged outcome is not logged again"
