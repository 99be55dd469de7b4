"""MLflow's own client, one for all threads, as its documentation has it. It does not sign."""

import json
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from tests.bench.records import Request, requests
from tests.bench.task import Task, given, timed_in_threads


def call_of(request: Request) -> dict[str, Any]:
    """Return the arguments of the call that makes the same run."""
    body: dict[str, Any] = json.loads(request.body)
    return body | {"tags": {tag["key"]: tag["value"] for tag in body["tags"]}}


def main(task: Task) -> None:
    """Carry out a task."""
    client = MlflowClient(tracking_uri=task.url)
    calls = iter([call_of(request) for request in requests(Path(task.records), task.count)])

    def work(_: int) -> None:
        for call in calls:
            assert client.create_run(**call).info.run_id

    timed_in_threads(work, range(task.workers))


if __name__ == "__main__":
    main(given())
