"""Errors in groups: what differs only in ids and numbers is one kind. Experiments are listed one by one."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ingestor.model.record import Job, Outcome, Reject, Result
from ingestor.model.text import without_specifics

CAPACITY = 100
"""How many kinds of error are counted separately."""

MOST_EXPERIMENTS = 500
"""How many experiments are counted separately."""

RETRIED = "retried"
"""The cost of an error that did not end its record."""

_MESSAGE_LIMIT = 300
_ID_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One error of a kind: of which record, and the opc-request-id of the answer, as far as they are known. Hostile."""

    job_id: str | None = None
    source: str | None = None
    line: int | None = None
    request_id: str | None = None


def example_of_job(job: Job, request_id: str | None) -> Example:
    """Return the example of a job whose attempt got this answer."""
    return Example(job_id=job.key, source=job.origin.source, line=job.origin.line, request_id=request_id)


def example_of_reject(reject: Reject) -> Example:
    """Return the example of a rejected record."""
    return Example(job_id=reject.job_id, source=reject.origin.source, line=reject.origin.line)


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """A kind of error, how often it occurred, and its first message (shortened; hostile text).

    `cost` is what it did to its record: an outcome, or RETRIED. `varies`: the message is only an example, because
    others of the kind name other ids or numbers. `first_at` and `last_at` are seconds since the epoch.
    """

    count: int
    cost: str
    http_status: int | None
    code: str | None
    message: str
    varies: bool = False
    first_at: float = field(default=0.0, compare=False)
    last_at: float = field(default=0.0, compare=False)
    example: Example = field(default=Example(), compare=False)

    def members(self) -> dict[str, object]:
        """Return what a summary has of it, as members of a JSON object."""
        return {
            "count": self.count,
            "cost": self.cost,
            "http_status": self.http_status,
            "code": self.code,
            "message": self.message,
            "varies": self.varies,
        }


_Kind = tuple[str, int | None, str | None, str]


@dataclass(slots=True)
class _Seen:
    message: str
    example: Example
    first_at: float
    last_at: float
    count: int = 0
    varies: bool = False

    def of(self, cost: str, status: int | None, code: str | None) -> ErrorCount:
        times = (self.first_at, self.last_at)
        return ErrorCount(self.count, cost, status, code, self.message, self.varies, *times, self.example)


class ErrorTally:
    """Counts errors by cost, status, code and message. Messages that differ only in numbers and ids are one kind.

    `others` counts the errors of kinds that came after CAPACITY kinds were known. `now` is the wall clock.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kinds: dict[_Kind, _Seen] = {}
        self.others = 0

    def add(
        self,
        cost: str,
        status: int | None,
        code: str | None,
        message: str,
        name: str | None = None,
        *,
        example: Callable[[], Example] = Example,
    ) -> None:
        """Count one error. `name` is an id of the record that the message may contain; `example` describes it."""
        shown, now = message[:_MESSAGE_LIMIT], self._now()
        general = shown.replace(name, "#") if name is not None and len(name) > 3 else shown
        kind = (cost, status, code, without_specifics(general))
        seen = self._kinds.get(kind)
        if seen is None:
            if len(self._kinds) >= CAPACITY:
                self.others += 1
                return
            seen = self._kinds[kind] = _Seen(shown, example(), now, now)
        seen.varies = seen.varies or seen.message != shown
        seen.last_at = now
        seen.count += 1

    def most_frequent(self, limit: int) -> list[ErrorCount]:
        """Return at most `limit` kinds: first those that ended a record, then the retried ones, by frequency."""
        ordered = sorted(self._kinds.items(), key=lambda item: (item[0][0] == RETRIED, -item[1].count))
        return [seen.of(*kind[:3]) for kind, seen in ordered[:limit]]

    @property
    def kinds(self) -> int:
        """How many kinds there are."""
        return len(self._kinds)


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
