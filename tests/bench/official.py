"""The official client, `aidp-python-client`: one for each thread."""

import json
from pathlib import Path

from aidp_python_client.aidataplatform_dp import MLOpsClient
from aidp_python_client.aidataplatform_dp.models import CreateExperimentRunDetails, ExperimentRunTag

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from tests.bench.credentials import profile
from tests.bench.process import Task, given_task, timed_in_threads
from tests.bench.records import Sent, sent_requests

Call = tuple[str, CreateExperimentRunDetails]


def call_of(request: Sent) -> Call:
    """Return the retry token and the details of a request."""
    body = json.loads(request.body)
    body["tags"] = [ExperimentRunTag(**tag) for tag in body["tags"]]
    return request.token, CreateExperimentRunDetails(**body)


def main(task: Task) -> None:
    """Carry out a task, and print what it took."""
    assert task.oci_config is not None, "this client always signs"
    config = profile(Path(task.oci_config))
    clients = [MLOpsClient(config, service_endpoint=task.url) for _ in range(task.workers)]
    calls = iter([call_of(request) for request in sent_requests(Path(task.records), task.count)])

    def work(client: MLOpsClient) -> None:
        for token, details in calls:
            response = client.create_experiment_run(PLATFORM_ID, WORKSPACE_KEY, details, opc_retry_token=token)
            assert response.data.run.info.run_id

    timed_in_threads(work, clients)


if __name__ == "__main__":
    main(given_task())
