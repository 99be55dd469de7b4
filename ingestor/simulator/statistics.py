"""Counts of the requests and of what they created: the numbers that tests compare with."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from ingestor.simulator.options import InjectedFault
from ingestor.simulator.runs import DEFAULT_EXPERIMENT, INVALIDATED_TOKEN, RunStore
from ingestor.simulator.wire import ApiError, HttpRequest

_LINES_PER_CHUNK = 500


class Statistics:
    """Counts, and the runs. Only the simulator changes the counters.

    Attributes:
        requests: all that arrived completely, except those to `/statistics`.
        requests_by_operation: the same by path below `mlflow/`; "" for any other path.
        requests_by_token: requests by retry token, also refused ones.
        done: requests that changed something, by operation; a repeated request counts once.
        statuses: responses by HTTP status, also those of the faults `html` and `html_ok`.
        faults: injected faults by kind, also those of requests that were refused.
        replays: requests that got the stored response of their token.
        token_conflicts: requests with a living retry token that was used with another request. It must stay 0.
        repeated_request_ids: requests whose opc-request-id occurred earlier.
        in_flight: requests that are being processed.
        max_in_flight: the highest value of `in_flight`.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._request_ids: set[int] = set()
        self.requests = 0
        self.requests_by_operation = Counter[str]()
        self.requests_by_token = Counter[str]()
        self.done = Counter[str]()
        self.statuses = Counter[int]()
        self.faults = Counter[InjectedFault]()
        self.replays = 0
        self.token_conflicts = 0
        self.repeated_request_ids = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def arrived(self, request: HttpRequest, operation: str) -> None:
        """Count a request that arrived."""
        self.requests += 1
        self.requests_by_operation[operation] += 1
        token = request.headers.get("opc-retry-token")
        if token is not None:
            self.requests_by_token[token] += 1
        self._count_request_id(request.headers.get("opc-request-id"))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def ended(self) -> None:
        """Count a request as no longer in flight."""
        self.in_flight -= 1

    def carried_out(self, operation: str, *, replayed: bool) -> None:
        """Count a request that was carried out, now or earlier."""
        self.replays += replayed
        self.done[operation] += not replayed

    def refused(self, refusal: ApiError) -> None:
        """Count a refusal."""
        self.token_conflicts += refusal.code == INVALIDATED_TOKEN

    @property
    def run_count(self) -> int:
        """How many runs were created."""
        return len(self._store.runs)

    @property
    def distinct_bodies(self) -> int:
        """How many different create bodies the runs have: fewer than runs where a record became two runs."""
        return len({run.body for run in self._store.runs})

    @property
    def throttled(self) -> int:
        """How many requests were answered with 429."""
        return self.statuses[429]

    @property
    def repeated_points(self) -> int:
        """How many metric points were equal to one that the run already had."""
        return self._store.repeated_points

    def runs_by_token(self) -> Counter[str]:
        """Count the runs by retry token: each should be 1."""
        return Counter(run.token for run in self._store.runs if run.token is not None)

    def runs(self) -> Iterator[dict[str, object]]:
        """Yield every run, in order of creation, with its retry token and all of its metric points."""
        for run in self._store.runs:
            details, content = run.details, self._store.content(run.number)
            yield {
                "run_id": self._store.run_id(run.number),
                "token": run.token,
                "experiment_id": details.experiment_id or DEFAULT_EXPERIMENT,
                "run_name": content.run_name or details.run_name,
                "start_time": details.start_time,
                "end_time": content.end_time,
                "status": content.status,
                "lifecycle_stage": "deleted" if content.is_deleted else "active",
                "tags": pairs(dict(details.tags) | content.tags),
                "params": pairs(content.params),
                "metrics": [one._asdict() for one in content.metrics],
                "dataset_inputs": list(content.dataset_inputs.values()),
            }

    def run_lines(self) -> Iterator[bytes]:
        """Yield the same as JSON lines, many at a time."""
        lines: list[str] = []
        for run in self.runs():
            lines.append(json.dumps(run) + "\n")
            if len(lines) == _LINES_PER_CHUNK:
                yield "".join(lines).encode()
                lines.clear()
        yield "".join(lines).encode()

    def totals(self) -> dict[str, object]:
        """Return the counts as a JSON document."""
        tokens = self.runs_by_token()
        return {
            "requests": self.requests,
            "requests_by_operation": dict(self.requests_by_operation),
            "done": dict(self.done),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "throttled": self.throttled,
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "request_ids": len(self._request_ids),
            "repeated_request_ids": self.repeated_request_ids,
            "runs": self.run_count,
            "distinct_bodies": self.distinct_bodies,
            "tokens": len(tokens),
            "tokens_with_several_runs": sum(count > 1 for count in tokens.values()),
            "most_requests_of_a_token": max(self.requests_by_token.values(), default=0),
            "replays": self.replays,
            "token_conflicts": self.token_conflicts,
            "repeated_points": self.repeated_points,
        }

    def _count_request_id(self, request_id: str | None) -> None:
        if request_id is None:
            return
        digest = hash(request_id)
        if digest in self._request_ids:
            self.repeated_request_ids += 1
        self._request_ids.add(digest)


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags or params in the API's shape."""
    return [{"key": key, "value": value} for key, value in values.items()]
