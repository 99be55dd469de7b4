"""The operations of the workspace's MLOps API that a client of runs needs, and the documents that they return."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice

from ingestor.model.record import RunDetails
from ingestor.simulator.bodies import (
    Metric,
    parse_create,
    parse_delete,
    parse_log_batch,
    parse_log_inputs,
    parse_update,
)
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.runs import DEFAULT_EXPERIMENT, RunStore
from ingestor.simulator.search import View, parse_list, parse_search
from ingestor.simulator.statistics import Statistics, pairs
from ingestor.simulator.wire import (
    ApiError,
    HttpRequest,
    HttpResponse,
    check_request_id,
    invalid_parameter,
    json_response,
    not_found,
)

_VAGUE = "Authorization failed or requested resource not found."

MAX_TOKEN = 64
"""Characters in a retry token, at most (API page)."""

Operation = tuple[str, Callable[[HttpRequest], HttpResponse]]
"""An operation's HTTP method, and the function that carries it out."""


class Api:
    """Answers one request at a time, and at once: its effect is complete when the response is returned."""

    def __init__(self, options: SimulatorOptions, store: RunStore, statistics: Statistics) -> None:
        platform, workspace = options.platform_id, options.workspace_key
        self.prefix = f"/20260430/aiDataPlatforms/{platform}/workspaces/{workspace}/mlops/api/2.0/mlflow/"
        self._options = options
        self._store = store
        self._statistics = statistics
        self._steps: dict[str, Callable[[bytes], HttpResponse]] = {
            "runs/log-batch": self._log_batch,
            "runs/log-inputs": self._log_inputs,
            "runs/update": self._update_run,
            "runs/delete": self._delete_run,
        }
        self._operations: dict[str, Operation] = {
            "runs/create": ("POST", self._create_run),
            **{name: ("POST", partial(self._carry_out_step, name)) for name in self._steps},
            "runs/get": ("GET", self._get_run),
            "runs/search": ("POST", self._search_runs),
            "experiments/search": ("POST", self._search_experiments),
            "experiments/get": ("GET", self._get_experiment),
        }

    def operation(self, path: str) -> str:
        """Return the operation that a path names, such as `runs/create`; "" if there is none."""
        name = path.removeprefix(self.prefix)
        return name if name in self._operations and name != path else ""

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Carry a request out. Raises ApiError with the refusal."""
        name = self.operation(request.path)
        if not name or name in self._options.forbidden:
            raise self._not_found("There is no such platform, workspace or operation, or you may not use it.")
        method, operate = self._operations[name]
        if request.method != method:
            raise ApiError(405, "MethodNotAllowed", f"{name} takes {method} only.", {"Allow": method})
        check_request_id(request.headers.get("opc-request-id"))
        return operate(request)

    def _create_run(self, request: HttpRequest) -> HttpResponse:
        token = _retry_token(request)
        details = parse_create(request.body)
        self._check_poison(details.experiment_id, details.run_name)
        self._check_experiment(DEFAULT_EXPERIMENT if details.experiment_id is None else details.experiment_id)
        number, replayed = self._store.create(request.body, token)
        self._statistics.carried_out("runs/create", replayed=replayed)
        run_id = self._store.run_id(number)
        return json_response({"run": _created_document(run_id, details)}, headers={"etag": run_id})

    def _carry_out_step(self, name: str, request: HttpRequest) -> HttpResponse:
        token = _retry_token(request)
        before = self._store.replay(name, request.body, token)
        response = self._steps[name](request.body) if before is None else before
        if before is None:
            self._store.remember(name, request.body, token, response)
        self._statistics.carried_out(name, replayed=before is not None)
        return response

    def _log_batch(self, body: bytes) -> HttpResponse:
        self._store.log_batch(parse_log_batch(body))
        return json_response({})

    def _log_inputs(self, body: bytes) -> HttpResponse:
        self._store.log_inputs(parse_log_inputs(body))
        return json_response({})

    def _update_run(self, body: bytes) -> HttpResponse:
        number = self._store.update(parse_update(body))
        return json_response({"run_info": self._run_document(number)["info"]})

    def _delete_run(self, body: bytes) -> HttpResponse:
        self._store.delete(parse_delete(body))
        return json_response({})

    def _get_run(self, request: HttpRequest) -> HttpResponse:
        run_id = request.query.get("run_id", "")
        number = self._store.number(run_id)
        if number is None:
            raise not_found(f"There is no run {run_id}, or you may not use it.")
        return json_response({"run": self._run_document(number)}, headers={"etag": run_id})

    def _search_runs(self, request: HttpRequest) -> HttpResponse:
        search = parse_search(request.body)
        numbers = list(islice(self._store.find(search), search.limit + 1))
        document: dict[str, object] = {}
        if numbers:
            document["runs"] = [self._run_document(number) for number in numbers[: search.limit]]
        if len(numbers) > search.limit:
            document["next_page_token"] = str(numbers[-1])
        return json_response(document)

    def _get_experiment(self, request: HttpRequest) -> HttpResponse:
        experiment_id = request.query.get("experiment_id", "")
        self._check_experiment(experiment_id)
        return json_response({"experiment": _experiment_document(experiment_id)})

    def _search_experiments(self, request: HttpRequest) -> HttpResponse:
        listing = parse_list(request.body)
        known = self._options.experiments
        ids = {DEFAULT_EXPERIMENT} if known is None else known
        found = [] if listing.view is View.DELETED else sorted(ids - self._options.missing_experiments)
        end = listing.start + listing.limit
        document: dict[str, object] = {"experiments": [_experiment_document(one) for one in found[listing.start : end]]}
        if end < len(found):
            document["next_page_token"] = str(end)
        return json_response(document)

    def _run_document(self, number: int) -> dict[str, Mapping[str, object]]:
        run, content = self._store.runs[number], self._store.content(number)
        document = _created_document(self._store.run_id(number), run.details)
        changes = {
            "status": content.status,
            "end_time": content.end_time,
            "run_name": content.run_name,
            "lifecycle_stage": "deleted" if content.is_deleted else None,
        }
        document["info"] = {**document["info"], **{name: value for name, value in changes.items() if value is not None}}
        document["data"] = {
            "metrics": [one._asdict() for one in _latest(content.metrics)],
            "params": pairs(content.params),
            "tags": pairs(self._store.tags(number)),
        }
        document["inputs"] = {"dataset_inputs": list(content.dataset_inputs.values()), "model_inputs": []}
        return document

    def _check_experiment(self, experiment_id: str) -> None:
        known = self._options.experiments
        exists = bool(experiment_id) if known is None else experiment_id in known
        if not exists or experiment_id in self._options.missing_experiments:
            raise self._not_found(f"There is no experiment {experiment_id}, or you may not use it.")

    def _not_found(self, message: str) -> ApiError:
        return not_found(_VAGUE if self._options.vague_refusals else message)

    def _check_poison(self, *names: str | None) -> None:
        if not self._options.poison.isdisjoint(names):
            raise ApiError(500, "InternalServerError", "The service could not carry the request out.")


def _retry_token(request: HttpRequest) -> str | None:
    token = request.headers.get("opc-retry-token")
    if token is not None and not 1 <= len(token) <= MAX_TOKEN:
        raise invalid_parameter(f"opc-retry-token must have 1 to {MAX_TOKEN} characters.")
    return token


def _latest(metrics: Iterable[Metric]) -> list[Metric]:
    """Return one point a key: the greatest by step, timestamp and value, as MLflow has it."""
    latest: dict[str, Metric] = {}
    for one in sorted(metrics, key=lambda each: (each.step, each.timestamp, _sortable(each.value))):
        latest[one.key] = one
    return sorted(latest.values())  # keys are distinct: nothing else is compared


def _sortable(value: float | str) -> float:
    return 0.0 if value == "NaN" else float(value)


def _created_document(run_id: str, details: RunDetails) -> dict[str, Mapping[str, object]]:
    """Return a run as runs/create answers it (schema ExperimentRun)."""
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
        "data": {"metrics": [], "params": [], "tags": pairs(dict(details.tags))},
        "inputs": {"dataset_inputs": [], "model_inputs": []},
        "outputs": {"model_outputs": []},
    }


def _experiment_document(experiment_id: str) -> dict[str, object]:
    return {"experiment_id": experiment_id, "name": experiment_id, "lifecycle_stage": "active", "tags": []}
