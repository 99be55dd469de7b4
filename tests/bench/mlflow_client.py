"""MLflow's own client: one for all threads, as its documentation recommends. It does not sign."""

import json
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from tests.bench.process import Task, given_task, timed_in_threads
from tests.bench.records import Sent, sent_requests


def call_of(request: Sent) -> dict[str, Any]:
    """Return the arguments of the call that creates the same run."""
    body: dict[str, Any] = json.loads(request.body)
    return body | {"tags": {tag["key"]: tag["value"] for tag in body["tags"]}}


def main(task: Task) -> None:
    """Carry out a task, and print what it took."""
    client = MlflowClient(tracking_uri=task.url)
    calls = iter([call_of(request) for request in sent_requests(Path(task.records), task.count)])

    def work(_: int) -> None:
        for call in calls:
            assert client.create_run(**call).info.run_id

    timed_in_threads(work, range(task.workers))


if __name__ == "__main__":
    main(given_task())
