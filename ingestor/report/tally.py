"""The most frequent errors, in bounded memory."""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

CAPACITY = 100
"""How many kinds of error are told apart; the rest is only counted."""

_MESSAGE_LIMIT = 300

_SPECIFIC = re.compile(r"(?<![\w.:-])[\w.:-]*\d[\w.:-]*")
"""Words that hold a digit: ids, times, counts. They differ where the error is the same."""


class Cost(StrEnum):
    """What an error did to its record."""

    REJECTED = "rejected"
    RETRIED = "retried"
    FAILED = "failed"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """A kind of error: how often it came, and the message it first came with (shortened, hostile)."""

    count: int
    cost: Cost
    http_status: int | None
    code: str | None
    message: str


_Kind = tuple[Cost, int | None, str | None, str]


class ErrorTally:
    """Counts errors by cost, status, code and message, where messages that differ in numbers and ids are the same.

    `others` is how many came once CAPACITY kinds were known and were of none of them.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Kind] = Counter()
        self._examples: dict[_Kind, str] = {}
        self.others = 0

    def add(self, cost: Cost, status: int | None, code: str | None, message: str) -> None:
        """Count one error."""
        example = message[:_MESSAGE_LIMIT]
        kind = (cost, status, code, _SPECIFIC.sub("#", example))
        if kind not in self._examples:
            if len(self._examples) >= CAPACITY:
                self.others += 1
                return
            self._examples[kind] = example
        self._counts[kind] += 1

    def most_frequent(self, limit: int) -> list[ErrorCount]:
        """Return at most `limit` kinds: what ended a record before what was retried, then the most frequent."""
        ordered = sorted(self._counts.items(), key=lambda item: (item[0][0] is Cost.RETRIED, -item[1]))
        return [
            ErrorCount(count, cost, status, code, self._examples[cost, status, code, shape])
            for (cost, status, code, shape), count in ordered[:limit]
        ]

    @property
    def kinds(self) -> int:
        """How many kinds there are."""
        return len(self._counts)
