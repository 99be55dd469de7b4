"""Holding what the program says of a batch against what the service did."""

from collections.abc import Sequence

from ingestor.policy.identity import STAMP
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document


def assert_each_is_one_run(simulator: Simulator, records: Sequence[Document], rows: Sequence[Document]) -> None:
    """Hold that every record (each with a `job_id`) is exactly one run, the one that its row of the results names."""
    totals = simulator.account.totals()
    assert totals["tokens_with_several_runs"] == 0
    assert totals["token_conflicts"] == 0
    assert totals["repeated_request_ids"] == 0
    assert {row["outcome"] for row in rows} <= {"created"}
    runs = runs_of(simulator)
    assert len(runs) == len(rows) == len(records)
    said = {row["job_id"]: runs[row["run_id"]] for row in rows}
    assert {name: content(run) for name, run in said.items()} == {r["job_id"]: content(r) for r in records}
    assert {row["run_id"]: row["retry_token"] for row in rows} == {run_id: runs[run_id]["token"] for run_id in runs}


def runs_of(simulator: Simulator) -> dict[str, Document]:
    """Return the runs that the service has, by their ids."""
    return {str(run["run_id"]): run for run in simulator.account.runs()}


def content(document: Document) -> Document:
    """Return what a record asks for, or what a run has of that: the stamp is no part of it."""
    tags = document.get("tags", [])
    pairs = tags.items() if isinstance(tags, dict) else ((tag["key"], tag["value"]) for tag in tags)
    return {
        "experiment_id": document.get("experiment_id", "0"),
        "run_name": document.get("run_name"),
        "start_time": document.get("start_time"),
        "tags": {key: value for key, value in pairs if key != STAMP},
    }
