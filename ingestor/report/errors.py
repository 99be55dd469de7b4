"""Errors in groups: what differs only in ids and numbers is one kind. Experiments are listed one by one."""

import re
from collections import Counter
from dataclasses import dataclass

from ingestor.model.record import Outcome, Result

CAPACITY = 100
"""How many kinds of error are counted separately."""

MOST_EXPERIMENTS = 500
"""How many experiments are counted separately."""

RETRIED = "retried"
"""The cost of an error that did not end its record."""

_MESSAGE_LIMIT = 300
_ID_LIMIT = 200

_SPECIFIC = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`)(?!\w)|(?<![\w.:/-])[\w.:/-]*\d[\w.:/-]*""")
"""Quoted text, and words that contain a digit: names, ids, times. They differ between two messages of one error."""


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """A kind of error, how often it occurred, and its first message (shortened; hostile text).

    `cost` is what it did to its record: an outcome, or RETRIED. `varies`: the message is only an example, because
    others of the kind name other ids or numbers.
    """

    count: int
    cost: str
    http_status: int | None
    code: str | None
    message: str
    varies: bool = False


_Kind = tuple[str, int | None, str | None, str]


class ErrorTally:
    """Counts errors by cost, status, code and message. Messages that differ only in numbers and ids are one kind.

    `others` counts the errors of kinds that came after CAPACITY kinds were known.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Kind] = Counter()
        self._examples: dict[_Kind, str] = {}
        self._varying: set[_Kind] = set()
        self.others = 0

    def add(self, cost: str, status: int | None, code: str | None, message: str, name: str | None = None) -> None:
        """Count one error. `name` is an id of the record that the message may contain."""
        example = message[:_MESSAGE_LIMIT]
        general = example.replace(name, "#") if name is not None and len(name) > 3 else example
        kind = (cost, status, code, _SPECIFIC.sub("#", general))
        known = self._examples.get(kind)
        if known is None:
            if len(self._examples) >= CAPACITY:
                self.others += 1
                return
            self._examples[kind] = example
        elif known != example:
            self._varying.add(kind)
        self._counts[kind] += 1

    def most_frequent(self, limit: int) -> list[ErrorCount]:
        """Return at most `limit` kinds: first those that ended a record, then the retried ones, by frequency."""
        ordered = sorted(self._counts.items(), key=lambda item: (item[0][0] == RETRIED, -item[1]))
        return [
            ErrorCount(count, *kind[:3], self._examples[kind], varies=kind in self._varying)
            for kind, count in ordered[:limit]
        ]

    @property
    def kinds(self) -> int:
        """How many kinds there are."""
        return len(self._counts)


class RefusedExperiments:
    """Counts the records that were answered with 403 or 404, failed and unresolved ones, for each experiment.

    `others` counts the records of experiments that came after MOST_EXPERIMENTS were known.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.others = 0

    def add(self, result: Result) -> None:
        """Count a result, if it is such a record."""
        experiment = result.job.experiment_id
        is_without_run = result.outcome in (Outcome.FAILED, Outcome.UNRESOLVED)
        if not is_without_run or result.http_status not in (403, 404) or not result.error_code or not experiment:
            return
        name = experiment[:_ID_LIMIT]
        if name in self._counts or len(self._counts) < MOST_EXPERIMENTS:
            self._counts[name] += 1
        else:
            self.others += 1

    def __len__(self) -> int:
        return len(self._counts)

    def most_frequent(self, limit: int | None = None) -> list[tuple[str, int]]:
        """Return at most `limit` experiments (hostile text) with their counts, the most frequent ones first."""
        return self._counts.most_common(limit)
