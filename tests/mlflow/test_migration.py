"""Records through the program into a real MLflow server, and read back with MLflow's own client."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestor.policy.identity import STAMP
from ingestor.simulator.sample import records

pytestmark = pytest.mark.timeout(600)  # the server is slow to start

COUNT = 500


@pytest.fixture(scope="session")
def experiments(tracking_uri: str) -> dict[str, str]:
    """Create the experiments of the sample: their ids there by their ids in the records."""
    client = client_of(tracking_uri)
    ids = sorted({str(record["experiment_id"]) for record in records(COUNT)})
    return {number: client.create_experiment(f"experiment {number}") for number in ids}


def client_of(tracking_uri: str):  # type: ignore[no-untyped-def]  # noqa: ANN201 - MLflow has no types for strict use
    from mlflow import MlflowClient  # noqa: PLC0415 - it takes seconds to import

    return MlflowClient(tracking_uri)


def sample(experiments: dict[str, str]) -> Iterator[dict[str, object]]:
    for record in records(COUNT):
        yield record | {"experiment_id": experiments[str(record["experiment_id"])]}


def ingestor(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ingestor", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def runs_by_token(tracking_uri: str, experiments: dict[str, str]) -> dict[str, object]:
    client = client_of(tracking_uri)
    found = client.search_runs(list(experiments.values()), max_results=50_000)
    assert len(found) == COUNT
    return {run.data.tags[STAMP]: run for run in found}


def test_records_arrive_complete_and_once(tracking_uri: str, experiments: dict[str, str], tmp_path: Path) -> None:
    expected = {str(record["job_id"]): record for record in sample(experiments)}
    lines = "".join(json.dumps(record) + "\n" for record in expected.values())
    (tmp_path / "runs.jsonl").write_text(lines, encoding="utf-8")
    run = ("run", "--senders", "0", "runs.jsonl", "--tracking-uri", tracking_uri, "--concurrency", "8")

    first = ingestor(*run, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    again = ingestor(*run, "--output", "json", cwd=tmp_path)
    assert json.loads(again.stdout)["already_done"] == COUNT

    runs = runs_by_token(tracking_uri, experiments)
    results = ingestor("results", cwd=tmp_path).stdout.splitlines()
    assert len(results) == COUNT
    for row in map(json.loads, results):
        run_there = runs[row["retry_token"]]
        assert run_there.info.run_id == row["run_id"]  # type: ignore[attr-defined]
        assert_same(run_there, expected[row["job_id"]])


def assert_same(run: object, record: dict[str, object]) -> None:
    info, data = run.info, run.data  # type: ignore[attr-defined]
    tags = {tag["key"]: tag["value"] for tag in record["tags"]}  # type: ignore[attr-defined]
    assert info.experiment_id == record["experiment_id"]
    assert info.start_time == record["start_time"]
    if "run_name" in record:
        assert info.run_name == record["run_name"]
    added = {STAMP, "mlflow.runName"}  # the stamp, and the name that MLflow keeps as a tag too
    assert {key: value for key, value in data.tags.items() if key not in added} == tags


def test_a_refused_record_fails_with_the_message_of_the_server(tracking_uri: str, tmp_path: Path) -> None:
    """An unknown experiment, and a run name that contradicts the tag of the same meaning."""
    bad = [
        {"job_id": "nowhere", "experiment_id": "424242", "run_name": "a"},
        {"job_id": "two names", "experiment_id": "0", "run_name": "a", "tags": {"mlflow.runName": "b"}},
    ]
    (tmp_path / "bad.jsonl").write_text("".join(json.dumps(record) + "\n" for record in bad))
    done = ingestor("run", "--senders", "0", "bad.jsonl", "--tracking-uri", tracking_uri, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    rows = [json.loads(line) for line in ingestor("results", "--outcome", "failed", cwd=tmp_path).stdout.splitlines()]
    assert [(row["job_id"], row["http_status"], row["error_code"]) for row in rows] == [
        ("nowhere", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("two names", 400, "INVALID_PARAMETER_VALUE"),
    ]
    assert "424242" in rows[0]["error_message"]
