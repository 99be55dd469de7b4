"""The runs that exist, and the retry tokens, which prevent that a request is carried out twice.

It can hold millions of runs: a run is little more than its create request, and its id is its index in the list. What
later requests add to a run is stored separately.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from secrets import token_hex

from ingestor.model.record import RunDetails
from ingestor.simulator.bodies import Document, LogBatch, LogInputs, Metric, RunUpdate, parse_create
from ingestor.simulator.search import Search, View
from ingestor.simulator.wire import ApiError, HttpResponse, invalid_parameter, not_found

INVALIDATED_TOKEN = "InvalidatedRetryToken"  # noqa: S105 - an error code
"""The error code of a retry token that was used with another request."""

DEFAULT_EXPERIMENT = "0"
"""The experiment of a run that names none, as in MLflow."""


@dataclass(slots=True)
class Content:
    """What the requests after create added to a run.

    Attributes:
        status: as runs/update set it.
        end_time: milliseconds since the epoch, as runs/update set it.
        run_name: the name that runs/update set; None: the name from create.
        is_deleted: runs/delete was carried out.
        metrics: every point, in the order of arrival; equal points are stored once.
        params: by key; a param never changes.
        tags: by key; they replace create's tags of the same key.
        dataset_inputs: by the dataset's name and digest.
    """

    status: str = "RUNNING"
    end_time: int | None = None
    run_name: str | None = None
    is_deleted: bool = False
    metrics: dict[Metric, None] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    dataset_inputs: dict[tuple[str, str], Document] = field(default_factory=dict)


NOTHING = Content()
"""The content of a run that was only created."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was created: its number, the request's body and retry token, and when (seconds since the epoch)."""

    number: int
    body: bytes
    token: str | None
    created_at: float

    @property
    def details(self) -> RunDetails:
        """The content of the body."""
        return parse_create(self.body)


@dataclass(frozen=True, slots=True)
class _Use:
    """A request other than create that was carried out under a token."""

    digest: bytes
    created_at: float
    response: HttpResponse


class RunStore:
    """All runs in the order of their creation. The number of a run is its index."""

    def __init__(self, *, honour_tokens: bool, token_life: float, now: Callable[[], float]) -> None:
        self.runs: list[Run] = []
        self.repeated_points = 0
        self._contents: dict[int, Content] = {}
        self._honour_tokens = honour_tokens
        self._token_life = token_life
        self._now = now
        self._uses: dict[str, Run | _Use] = {}
        self._tag_indexes: dict[str, _TagIndex] = {}
        self._id_prefix = token_hex(8)
        self._run_id = re.compile(f"{self._id_prefix}([0-9a-f]{{16}})")

    def create(self, body: bytes, token: str | None) -> tuple[int, bool]:
        """Create a run, or find the one that was created under `token`; return its number and whether it existed.

        Raises ApiError (409 InvalidatedRetryToken) if a living token was used with another request.
        """
        use = self._living_use(token)
        if use is not None:
            if not isinstance(use, Run) or use.body != body:
                raise _invalidated()
            return use.number, True
        run = Run(len(self.runs), body, token, self._now())
        self.runs.append(run)
        if token is not None:
            self._uses[token] = run
        return run.number, False

    def replay(self, operation: str, body: bytes, token: str | None) -> HttpResponse | None:
        """Return the response that a request other than create has already got under this token; None if it is new.

        Raises ApiError as `create` does.
        """
        use = self._living_use(token)
        if use is None:
            return None
        if not isinstance(use, _Use) or use.digest != _digest(operation, body):
            raise _invalidated()
        return use.response

    def remember(self, operation: str, body: bytes, token: str | None, response: HttpResponse) -> None:
        """Keep the response of a request other than create that was carried out, for `replay`."""
        if token is not None:
            self._uses[token] = _Use(_digest(operation, body), self._now(), response)

    def _living_use(self, token: str | None) -> Run | _Use | None:
        use = self._uses.get(token) if token is not None and self._honour_tokens else None
        return use if use is not None and self._now() - use.created_at < self._token_life else None

    def log_batch(self, batch: LogBatch) -> None:
        """Add metric points, params and tags to a run: all or none. Raises ApiError (400, 404)."""
        content = self._active(batch.run_id)
        for key, value in batch.params:
            if content.params.get(key, value) != value:
                raise invalid_parameter(f"The param {key} has another value already; params can't be changed.")
        before = len(content.metrics)
        content.metrics.update(dict.fromkeys(batch.metrics))
        self.repeated_points += before + len(batch.metrics) - len(content.metrics)
        content.params.update(batch.params)
        content.tags.update(batch.tags)
        for key, _ in batch.tags:
            self._index(key).add_later(self._number(batch.run_id))

    def log_inputs(self, inputs: LogInputs) -> None:
        """Add datasets to a run. A dataset with the name and digest of another is the same. Raises ApiError."""
        content = self._active(inputs.run_id)
        for one in inputs.dataset_inputs:
            content.dataset_inputs.setdefault((one.name, one.digest), one.document)

    def update(self, update: RunUpdate) -> int:
        """Set the fields that the update names; return the run's number. Raises ApiError (400, 404)."""
        content = self._active(update.run_id)
        content.status = update.status or content.status
        content.end_time = content.end_time if update.end_time is None else update.end_time
        content.run_name = update.run_name or content.run_name
        return self._number(update.run_id)

    def delete(self, run_id: str) -> None:
        """Mark a run as deleted; it may already be deleted. Raises ApiError (404)."""
        self._changeable(run_id).is_deleted = True

    def _active(self, run_id: str) -> Content:
        content = self._changeable(run_id)
        if content.is_deleted:
            raise invalid_parameter(f"The run {run_id} is deleted; only an active run can be changed.")
        return content

    def _changeable(self, run_id: str) -> Content:
        return self._contents.setdefault(self._number(run_id), Content())

    def _number(self, run_id: str) -> int:
        number = self.number(run_id)
        if number is None:
            raise not_found(f"There is no run {run_id}, or you may not use it.")
        return number

    def content(self, number: int) -> Content:
        """Return what the requests after create added to a run. Do not change it."""
        return self._contents.get(number, NOTHING)

    def tags(self, number: int) -> dict[str, str]:
        """Return a run's tags."""
        return dict(self.runs[number].details.tags) | self.content(number).tags

    def run_id(self, number: int) -> str:
        """Return a run's id, 32 hex digits: the prefix of this store, then the number."""
        return f"{self._id_prefix}{number:016x}"

    def number(self, run_id: str) -> int | None:
        """Return the number of the run with this id; None if there is none."""
        match = self._run_id.fullmatch(run_id)
        number = int(match[1], 16) if match else len(self.runs)
        return number if number < len(self.runs) else None

    def find(self, search: Search) -> Iterator[int]:
        """Yield the numbers of the runs that match, beginning at `search.start`, oldest first."""
        for number in self._candidates(search):
            if search.view is not View.ALL and self.content(number).is_deleted is not (search.view is View.DELETED):
                continue
            if (self.runs[number].details.experiment_id or DEFAULT_EXPERIMENT) in search.experiments:
                yield number

    def _candidates(self, search: Search) -> Iterator[int]:
        if search.tag is None:
            yield from range(search.start, len(self.runs))
            return
        key, value = search.tag
        numbers = self._index(key).numbers(value, self)
        for number in numbers[bisect_left(numbers, search.start) :]:
            if self.tags(number)[key] == value:
                yield number

    def _index(self, key: str) -> "_TagIndex":
        return self._tag_indexes.setdefault(key, _TagIndex(key))


class _TagIndex:
    """The runs per value of one tag. Each search updates it; it costs nothing until then.

    A run is listed under every value that its tag ever had.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._numbers: dict[str, list[int]] = {}
        self._seen = 0
        self._later: list[int] = []

    def add_later(self, number: int) -> None:
        """Record that the tag of this run was set after create."""
        self._later.append(number)

    def numbers(self, value: str, store: RunStore) -> list[int]:
        """Return the numbers of the runs whose tag has or had this value, in order."""
        for number in range(self._seen, len(store.runs)):
            for key, text in store.runs[number].details.tags:
                if key == self._key:
                    self._numbers.setdefault(text, []).append(number)
        self._seen = len(store.runs)
        self._insert_later(store)
        return self._numbers.get(value, [])

    def _insert_later(self, store: RunStore) -> None:
        for number in self._later:
            numbers = self._numbers.setdefault(store.content(number).tags[self._key], [])
            place = bisect_left(numbers, number)
            if place == len(numbers) or numbers[place] != number:
                numbers.insert(place, number)
        self._later.clear()


def _digest(operation: str, body: bytes) -> bytes:
    return hashlib.sha256(b"%s %s" % (operation.encode(), body)).digest()


def _invalidated() -> ApiError:
    return ApiError(409, INVALIDATED_TOKEN, "The retry token was used with another request.")
