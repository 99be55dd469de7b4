"""The requests that make a run: a job is an ordered plan of them."""

from enum import StrEnum

from ingestor.model.value import value


class Operation(StrEnum):
    """An operation of the service. The value is its path under `…/mlflow/`."""

    CREATE_RUN = "runs/create"
    LOG_BATCH = "runs/log-batch"
    LOG_INPUTS = "runs/log-inputs"
    UPDATE_RUN = "runs/update"
    DELETE_RUN = "runs/delete"
    SEARCH_RUNS = "runs/search"
    SEARCH_EXPERIMENTS = "experiments/search"
    GET_EXPERIMENT = "experiments/get"


@value(frozen=True, slots=True)
class Request:
    """One HTTP request: a POST with a JSON body, or a GET with a query.

    Attributes:
        operation: what it asks for.
        body: the bytes that are sent; a GET has none.
        token: the retry token; None sends none.
        is_repeatable: whether sending it twice has the same effect as sending it once. Only create is not repeatable:
            without a token that protects, it creates a second run.
        query: the percent-encoded query of a GET; empty for a POST.
    """

    operation: Operation
    body: bytes
    token: str | None = None
    is_repeatable: bool = False
    query: str = ""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.query else "POST"


@value(frozen=True, slots=True)
class Step:
    """A request of a plan that follows create. Only the run's id is missing: it comes with the answer to create.

    `members` are the JSON members of its body that follow `run_id`, without braces: `"status":"FINISHED"`.
    """

    operation: Operation
    members: bytes = b""
