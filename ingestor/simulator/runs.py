"""The runs that exist, and the retry tokens that guard their creation.

Made to hold millions: a run is its request body and little more, and its id is its place in the list.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import token_hex

from ingestor.model.record import RunDetails
from ingestor.simulator.bodies import Search, parse_create
from ingestor.simulator.exchange import ApiError

DEFAULT_EXPERIMENT = "0"
"""Where a run goes that names no experiment, as in MLflow."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was created: its body as it came, and the token it came under."""

    body: bytes
    token: str | None
    created_at: float

    @property
    def details(self) -> RunDetails:
        """What the body says."""
        return parse_create(self.body)


class RunStore:
    """All runs in the order of their creation; a position in it is a run's number."""

    def __init__(self, *, honour_tokens: bool, token_life: float, now: Callable[[], float]) -> None:
        self.runs: list[Run] = []
        self._honour_tokens = honour_tokens
        self._token_life = token_life
        self._now = now
        self._number_of_token: dict[str, int] = {}
        self._tag_indexes: dict[str, TagIndex] = {}
        self._id_prefix = token_hex(8)
        self._run_id = re.compile(f"{self._id_prefix}([0-9a-f]{{16}})")

    def create(self, body: bytes, token: str | None) -> tuple[int, bool]:
        """Create a run, or find the one that `token` made; return its number and whether it was there before.

        Raises ApiError (409 InvalidatedRetryToken) where a living token comes with another body.
        """
        now = self._now()
        if token is not None and self._honour_tokens:
            number = self._number_of_token.get(token)
            if number is not None and now - self.runs[number].created_at < self._token_life:
                self._check_same(body, self.runs[number])
                return number, True
            self._number_of_token[token] = len(self.runs)
        self.runs.append(Run(body, token, now))
        return len(self.runs) - 1, False

    def run_id(self, number: int) -> str:
        """Return a run's id, 32 hex digits: one prefix for this store, then the number."""
        return f"{self._id_prefix}{number:016x}"

    def number(self, run_id: str) -> int | None:
        """Return the number of the run with this id; None where there is none."""
        match = self._run_id.fullmatch(run_id)
        number = int(match[1], 16) if match else len(self.runs)
        return number if number < len(self.runs) else None

    def find(self, search: Search) -> Iterator[int]:
        """Yield the numbers of the runs that match, from `search.start` on, oldest first."""
        for number in self._candidates(search):
            details = self.runs[number].details
            if (details.experiment_id or DEFAULT_EXPERIMENT) in search.experiments:
                yield number

    def _candidates(self, search: Search) -> Iterator[int]:
        if search.deleted_only:
            return iter(())
        if search.tag is None:
            return iter(range(search.start, len(self.runs)))
        key, value = search.tag
        numbers = self._tag_indexes.setdefault(key, TagIndex(key)).numbers(value, self.runs)
        return iter(numbers[bisect_left(numbers, search.start) :])

    @staticmethod
    def _check_same(body: bytes, run: Run) -> None:
        if body != run.body:
            raise ApiError(409, "InvalidatedRetryToken", "The retry token was used with another request.")


class TagIndex:
    """The runs per value of one tag, brought up to date when asked: costs nothing until someone searches."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._numbers: dict[str, list[int]] = {}
        self._seen = 0

    def numbers(self, value: str, runs: list[Run]) -> list[int]:
        """Return the numbers of the runs whose tag has this value, in order."""
        for number in range(self._seen, len(runs)):
            for key, text in runs[number].details.tags:
                if key == self._key:
                    self._numbers.setdefault(text, []).append(number)
        self._seen = len(runs)
        return self._numbers.get(value, [])
