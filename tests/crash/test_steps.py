"""A process is killed between any two requests of a job's plan: the next one finishes the run, and creates no other."""

from pathlib import Path

import pytest

from ingestor.journal.reader import results
from ingestor.model.record import State
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.crash.driver import STEPS, Point
from tests.crash.plan import assert_complete
from tests.crash.processes import KILLED, run_program
from tests.e2e.program import aim, to_lines

COUNT = 12
BETWEEN = [point for points in STEPS.values() for point in points] + [Point.BEFORE_OUTCOME, Point.OUTCOME_DURABLE]


@pytest.mark.parametrize(("number", "point"), list(enumerate(BETWEEN)), ids=BETWEEN)
async def test_a_run_is_created_once_and_finished(tmp_path: Path, number: int, point: Point) -> None:
    wanted = list(records(COUNT))
    (tmp_path / "runs.jsonl").write_bytes(to_lines(wanted))
    async with Simulator() as simulator:
        options = (*aim(simulator), "--senders", "0", "--concurrency", "4")
        planned = ("tests.crash.driver", "planned")
        times = "2" if point is Point.OUTCOME_DURABLE else "1"  # the first commit may hold no outcome
        for reached in (times, "1"):
            killed = await run_program(tmp_path, *planned, "run", point, reached, *options, "runs.jsonl")
            assert killed == KILLED
        last = ("resume",) if number % 2 else ("run",)
        source = ("runs.jsonl",) if last == ("run",) else ()
        assert await run_program(tmp_path, *planned, *last, Point.NEVER, "1", *options, *source) == 0

        runs = {str(run["run_id"]): run for run in simulator.statistics.runs()}
        rows = list(results(tmp_path / "state"))
        assert {row.outcome for row in rows} == {State.CREATED}
        assert len(runs) == len(rows) == COUNT
        for row in rows:
            assert_complete(runs[str(row.run_id)], row.job_id)
        assert simulator.statistics.token_conflicts == 0
