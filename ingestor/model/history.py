"""What is remembered of a batch over time: points of its speed, its pauses, and the records that it rejected.

All of it is bounded. Times of day are seconds since the epoch, latencies are milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

STEPS: Mapping[int, int] = MappingProxyType({1: 600, 60: 1440, 3600: 2160})
"""The seconds of a point, each with the number of points that are kept: ten minutes, a day, and ninety days."""

MOST_PAUSES = 500
"""Pauses that are kept of a batch: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What happened in `step` seconds from `start` on.

    Attributes:
        step: seconds: one of STEPS.
        start: when it begins: a multiple of `step`.
        seconds: how much of this time was observed.
        accepted: answers that are a success.
        refused: answers with 429.
        errors: attempts that ended in any other way.
        allowed: attempts a second that were allowed, on average; None: no limit was known.
        latency_p50: the time to an answer that half of the answers did not exceed; None without an answer.
        latency_p95: the same of 95 % of the answers.
        backlog: the most records that were read and waited to be sent.
        paused: seconds in which nothing was sent, because the service was down or refused everything.
    """

    step: int
    start: int
    seconds: float
    accepted: int = 0
    refused: int = 0
    errors: int = 0
    allowed: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    backlog: int = 0
    paused: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing was sent, from `began_at` to `ended_at`, for this reason (hostile text)."""

    began_at: float
    ended_at: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRecord:
    """An example of a rejected record: where it stands, and its `job_id`, if that can be read. All is hostile text."""

    source: str
    line: int
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectKind:
    """Records that were rejected for one reason: an example of it, how many, when, and some of them.

    `varies`: the reasons of others differ in numbers and names.
    """

    reason: str
    count: int
    first_at: float
    last_at: float
    varies: bool = False
    examples: Sequence[RejectedRecord] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejects:
    """The records that were rejected since a batch was last read from its beginning.

    Attributes:
        total: how many.
        kinds: the reasons, the first ones that occurred.
        others: records with further reasons.
        sources: how many records of each source: of the first sources that had one.
        other_sources: records of further sources.
    """

    total: int = 0
    kinds: Sequence[RejectKind] = ()
    others: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    other_sources: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an execution was when it was last written down.

    Attributes:
        at: when that was.
        records: records that were read.
        counts: records per outcome.
        already_done: records that earlier executions completed.
        left: records that were read and have no outcome.
        attempts: requests that ended.
        throttled: answers with 429.
        retries: requests that repeated an earlier one.
        latency_p50: milliseconds, over the whole execution; None without an answer.
        latency_p95: the same of 95 % of the answers.
        exhausted: whether the input was read to its end.
        reason: why it ended early; None if it did not, or has not ended.
        situation: what it did then, and why it was not faster, in one sentence; None after its end.
    """

    at: float
    records: int
    counts: Mapping[str, int]
    already_done: int
    left: int
    attempts: int
    throttled: int
    retries: int
    latency_p50: float | None
    latency_p95: float | None
    exhausted: bool = False
    reason: str | None = None
    situation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What an execution is: its command, what it reads, the settings in effect with secrets masked, and versions."""

    command: str
    sources: Sequence[str] = ()
    other_sources: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the journal remembers of a batch, or a change of it. A point or pause with a known start replaces it.

    `rejects` and `progress` are None in a change that leaves them as they are.
    """

    points: Sequence[Point] = ()
    pauses: Sequence[Pause] = ()
    rejects: Rejects | None = None
    progress: Progress | None = None
