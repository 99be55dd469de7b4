"""The operations of the workspace's MLOps API that a client of runs needs."""

from collections.abc import Callable
from itertools import islice

from ingestor.simulator.answers import check_request_id, experiment_document, run_document
from ingestor.simulator.bodies import parse_create, parse_list, parse_search
from ingestor.simulator.exchange import Answer, ApiError, Call, invalid_parameter, json_answer, not_found
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.runs import DEFAULT_EXPERIMENT, RunStore
from ingestor.simulator.statistics import Statistics

LONGEST_TOKEN = 64
"""Characters in a retry token, at most (API page)."""

_Operation = tuple[str, Callable[[Call], Answer]]
"""An operation's method, and what carries it out."""


class Api:
    """Answers one request at a time, at once: what an answer tells of is done when it is returned."""

    def __init__(self, options: SimulatorOptions, store: RunStore, account: Statistics) -> None:
        platform, workspace = options.platform_id, options.workspace_key
        self._prefix = f"/20260430/aiDataPlatforms/{platform}/workspaces/{workspace}/mlops/api/2.0/mlflow/"
        self._options = options
        self._store = store
        self._account = account
        self._operations: dict[str, _Operation] = {
            "runs/create": ("POST", self._create_run),
            "runs/get": ("GET", self._get_run),
            "runs/search": ("POST", self._search_runs),
            "experiments/search": ("POST", self._search_experiments),
        }

    def operation(self, path: str) -> str:
        """Return the operation a path names, `runs/create` for one; "" where there is none."""
        name = path.removeprefix(self._prefix)
        return name if name in self._operations and name != path else ""

    def answer(self, call: Call) -> Answer:
        """Carry a request out. Raises ApiError with the refusal."""
        name = self.operation(call.path)
        if not name:
            raise not_found("There is no such platform, workspace or operation, or you may not use it.")
        method, operate = self._operations[name]
        if call.method != method:
            raise ApiError(405, "MethodNotAllowed", f"{name} takes {method} only.", {"Allow": method})
        check_request_id(call.headers.get("opc-request-id"))
        return operate(call)

    def _create_run(self, call: Call) -> Answer:
        token = call.headers.get("opc-retry-token")
        if token is not None and not 1 <= len(token) <= LONGEST_TOKEN:
            raise invalid_parameter(f"opc-retry-token must have 1 to {LONGEST_TOKEN} characters.")
        details = parse_create(call.body)
        self._check_poison(details.experiment_id, details.run_name)
        self._check_experiment(DEFAULT_EXPERIMENT if details.experiment_id is None else details.experiment_id)
        number = self._number_of_run(call.body, token)
        run_id = self._store.run_id(number)
        return json_answer({"run": run_document(run_id, details)}, headers={"etag": run_id})

    def _number_of_run(self, body: bytes, token: str | None) -> int:
        try:
            number, replayed = self._store.create(body, token)
        except ApiError:
            self._account.token_conflicts += 1
            raise
        self._account.replays += replayed
        return number

    def _get_run(self, call: Call) -> Answer:
        run_id = call.query.get("run_id", "")
        number = self._store.number(run_id)
        if number is None:
            raise not_found(f"There is no run {run_id}, or you may not see it.")
        return json_answer({"run": self._run_document(number)}, headers={"etag": run_id})

    def _search_runs(self, call: Call) -> Answer:
        search = parse_search(call.body)
        numbers = list(islice(self._store.find(search), search.most + 1))
        document: dict[str, object] = {}
        if numbers:
            document["runs"] = [self._run_document(number) for number in numbers[: search.most]]
        if len(numbers) > search.most:
            document["next_page_token"] = str(numbers[-1])
        return json_answer(document)

    def _search_experiments(self, call: Call) -> Answer:
        asked = parse_list(call.body)
        known = self._options.experiments
        ids = {DEFAULT_EXPERIMENT} if known is None else known
        there = [] if asked.deleted_only else sorted(ids - self._options.missing_experiments)
        end = asked.start + asked.most
        document: dict[str, object] = {"experiments": [experiment_document(one) for one in there[asked.start : end]]}
        if end < len(there):
            document["next_page_token"] = str(end)
        return json_answer(document)

    def _run_document(self, number: int) -> dict[str, object]:
        return run_document(self._store.run_id(number), self._store.runs[number].details)

    def _check_experiment(self, experiment_id: str) -> None:
        known = self._options.experiments
        exists = bool(experiment_id) if known is None else experiment_id in known
        if not exists or experiment_id in self._options.missing_experiments:
            raise not_found(f"There is no experiment {experiment_id}, or you may not use it.")

    def _check_poison(self, *names: str | None) -> None:
        if not self._options.poison.isdisjoint(names):
            raise ApiError(500, "InternalServerError", "The service could not carry the request out.")
