"""The documents of the API: what a run and an experiment look like from outside."""

import re
from secrets import token_hex

from ingestor.model.record import RunDetails
from ingestor.simulator.exchange import invalid_parameter
from ingestor.simulator.runs import DEFAULT_EXPERIMENT

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]+")


class RequestIds:
    """Makes opc-request-ids: the client's part, this service's part and a part for the one request."""

    def __init__(self) -> None:
        self._service = token_hex(16).upper()
        self._count = 0

    def answer(self, sent: str | None) -> str:
        """Return the id to answer with; a client part that is missing or not allowed is made up."""
        self._count += 1
        first = sent if sent is not None and _REQUEST_ID.fullmatch(sent) else token_hex(16).upper()
        return f"{first}/{self._service}/{self._count:032X}"


def check_request_id(sent: str | None) -> None:
    """Raise ApiError (400) for an opc-request-id with characters other than letters, digits, `_` and `-`."""
    if sent is not None and not _REQUEST_ID.fullmatch(sent):
        raise invalid_parameter("opc-request-id may hold letters, digits, underscore and dash only.")


def run_document(run_id: str, details: RunDetails) -> dict[str, object]:
    """Return a run as runs/create, runs/get and runs/search tell it (schema ExperimentRun)."""
    experiment_id = details.experiment_id or DEFAULT_EXPERIMENT
    return {
        "info": {
            "artifact_uri": f"simulated:/{experiment_id}/{run_id}/artifacts",
            "experiment_id": experiment_id,
            "lifecycle_stage": "active",
            "run_id": run_id,
            "run_name": details.run_name or f"run-{run_id[-8:]}",
            "run_uuid": run_id,
            "start_time": details.start_time or 0,
            "status": "RUNNING",
            "user_id": "simulated",
        },
        "data": {
            "metrics": [],
            "params": [],
            "tags": [{"key": key, "value": value} for key, value in details.tags],
        },
        "inputs": {"dataset_inputs": [], "model_inputs": []},
        "outputs": {"model_outputs": []},
    }


def experiment_document(experiment_id: str) -> dict[str, object]:
    """Return an experiment as experiments/search tells it."""
    return {"experiment_id": experiment_id, "name": experiment_id, "lifecycle_stage": "active", "tags": []}
