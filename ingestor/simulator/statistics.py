"""The account of what was asked of the simulator and what it created, for tests to hold against."""

import json
from collections import Counter
from collections.abc import Iterator

from ingestor.simulator.exchange import Call
from ingestor.simulator.faults import InjectedFault
from ingestor.simulator.runs import DEFAULT_EXPERIMENT, RunStore

_LINES_PER_CHUNK = 500


class Statistics:
    """Counts, and the runs. The counters are public to read; only the simulator writes them.

    Attributes:
        requests: all that arrived whole, `/account` aside.
        requests_by_operation: the same per path below `mlflow/`; "" for any other path.
        requests_by_token: create requests per retry token, whatever became of them.
        statuses: answers per HTTP status, those of the faults `html` and `html_ok` included.
        faults: injected faults per kind, those that a refusal forestalled included.
        replays: create requests that were answered with the run their token had made before.
        token_conflicts: retry tokens that came again, while they lived, with another body. A client must keep it 0.
        repeated_request_ids: requests whose opc-request-id had come before.
        in_flight: requests that are being worked on.
        max_in_flight: the most there ever were.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._request_ids: set[int] = set()
        self.requests = 0
        self.requests_by_operation = Counter[str]()
        self.requests_by_token = Counter[str]()
        self.statuses = Counter[int]()
        self.faults = Counter[InjectedFault]()
        self.replays = 0
        self.token_conflicts = 0
        self.repeated_request_ids = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def arrived(self, call: Call, operation: str) -> None:
        """Count a request that came in."""
        self.requests += 1
        self.requests_by_operation[operation] += 1
        token = call.headers.get("opc-retry-token")
        if token is not None:
            self.requests_by_token[token] += 1
        self._count_request_id(call.headers.get("opc-request-id"))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def left(self) -> None:
        """Count a request as no longer in flight."""
        self.in_flight -= 1

    @property
    def run_count(self) -> int:
        """How many runs were created."""
        return len(self._store.runs)

    @property
    def distinct_bodies(self) -> int:
        """How many different request bodies the runs have: fewer than runs where a record became two runs."""
        return len({run.body for run in self._store.runs})

    @property
    def throttled(self) -> int:
        """How many requests were answered with 429."""
        return self.statuses[429]

    def runs_by_token(self) -> Counter[str]:
        """Count the runs per retry token: each should be 1."""
        return Counter(run.token for run in self._store.runs if run.token is not None)

    def runs_by_body(self) -> Counter[bytes]:
        """Count the runs per request body."""
        return Counter(run.body for run in self._store.runs)

    def saw_request_id(self, request_id: str) -> bool:
        """Return whether a request came with this opc-request-id."""
        return hash(request_id) in self._request_ids

    def runs(self) -> Iterator[dict[str, object]]:
        """Yield every run, in order of creation: run_id, token, experiment_id, run_name, start_time, tags."""
        for number, run in enumerate(self._store.runs):
            details = run.details
            yield {
                "run_id": self._store.run_id(number),
                "token": run.token,
                "experiment_id": details.experiment_id or DEFAULT_EXPERIMENT,
                "run_name": details.run_name,
                "start_time": details.start_time,
                "tags": [{"key": key, "value": value} for key, value in details.tags],
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
        }

    def _count_request_id(self, request_id: str | None) -> None:
        if request_id is None:
            return
        digest = hash(request_id)
        if digest in self._request_ids:
            self.repeated_request_ids += 1
        self._request_ids.add(digest)
