"""Compares what the program says about a batch with what the service did."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ingestor.policy.identity import STAMP
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document

NO_TAGS: Mapping[str, str] = MappingProxyType({})


def assert_each_is_one_run(
    simulator: Simulator,
    records: Sequence[Document],
    rows: Sequence[Document],
    *,
    added: Mapping[str, str] = NO_TAGS,
) -> None:
    """Assert that every record (each with a `job_id`) is exactly one run: the one that its row of the results names.

    `added` are tags that the runs have beside those of their records.
    """
    totals = simulator.statistics.totals()
    assert totals["tokens_with_several_runs"] == 0
    assert totals["token_conflicts"] == 0
    assert totals["repeated_request_ids"] == 0
    assert {row["outcome"] for row in rows} <= {"created"}
    runs = runs_of(simulator)
    assert len(runs) == len(rows) == len(records)
    named = {row["job_id"]: runs[row["run_id"]] for row in rows}
    assert {name: content(run) for name, run in named.items()} == {r["job_id"]: content(r, added) for r in records}
    assert {row["run_id"]: row["retry_token"] for row in rows} == {run_id: runs[run_id]["token"] for run_id in runs}


def counted(**counts: int) -> dict[str, int]:
    """Return the counts of a summary: all that are not named are 0."""
    names = ("created", "partial", "rejected", "failed", "unresolved", "duplicate", "forgotten", "already_done")
    return dict.fromkeys(names, 0) | counts


def states(**counts: int) -> dict[str, int]:
    """Return jobs per state: all that are not named are 0."""
    return dict.fromkeys(("pending", "created", "partial", "failed", "unresolved", "forgotten"), 0) | counts


def runs_of(simulator: Simulator) -> dict[str, Document]:
    """Return the runs that the service has, by their ids."""
    return {str(run["run_id"]): run for run in simulator.statistics.runs()}


def content(document: Document, added: Mapping[str, str] = NO_TAGS) -> Document:
    """Return what a record asks for, or what a run has of that, without the stamp."""
    tags = document.get("tags", [])
    pairs = tags.items() if isinstance(tags, dict) else ((tag["key"], tag["value"]) for tag in tags)
    return {
        "experiment_id": document.get("experiment_id", "0"),
        "run_name": document.get("run_name"),
        "start_time": document.get("start_time"),
        "tags": {key: value for key, value in pairs if key != STAMP} | dict(added),
    }
