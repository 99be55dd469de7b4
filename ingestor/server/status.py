"""The document at `/status`: what a batch does now and what it did, for the page and for programs.

Times of day are seconds since the epoch (UTC), durations are seconds, latencies are milliseconds, sizes are bytes.
Texts of records and of the service are hostile: show them as text only. Lists are bounded, and say how much they leave
out. A later version may add members. It changes or removes a member only together with `FORMAT`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.model.activity import Bound, Health, Phase
from ingestor.server.status_parts import (
    Attempts,
    Counts,
    End,
    FailureGroup,
    File,
    Lag,
    Latency,
    Program,
    Progress,
    Rates,
    Series,
    Setting,
)

FORMAT = 1
"""The version of the document."""

MOST_FAILURES = 50
"""How many groups of failures the document has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The document.

    Attributes:
        format: its version: `FORMAT`.
        sentence: what the batch does now, and why it is not faster.
        phase: how far the execution is.
        bound: what limits the speed; None before the work begins and after it has ended.
        health: the state of the service; None as above.
        is_ready: whether `/readyz` answers 200.
        follows: whether the input has no end (`--follow`).
        batch: the name of the batch.
        target: the address of the service, without credentials.
        program: what runs.
        now: when this document was made.
        started: when the execution began.
        uptime: how long it has been running.
        last_created: when the last run was created or updated; None if that is not known.
        last_success: when an execution of the batch last ended with exit code 0; None if that is not known.
        oldest_unresolved: when the oldest unresolved record was sent; None if there is none.
        counts: records by outcome.
        progress: how far the input is done.
        rates: what happens in a second.
        attempts: the requests.
        latency: the time to an answer.
        lag: what is not read yet.
        history: from the finest to the coarsest resolution. With `/status?since=T`, only points that begin at or after
            T, and of the last point of each resolution always the newest value.
        failures: groups of failures: first those that ended records, by frequency.
        other_failures: failures that are in no group.
        files: first the files with the most to do.
        other_files: how many files are not in `files`.
        settings: the settings in effect.
        end: how the execution ended; None while it runs.
    """

    format: int = FORMAT
    sentence: str
    phase: Phase
    bound: Bound | None
    health: Health | None
    is_ready: bool
    follows: bool
    batch: str
    target: str
    program: Program
    now: float
    started: float
    uptime: float
    last_created: float | None
    last_success: float | None
    oldest_unresolved: float | None
    counts: Counts
    progress: Progress
    rates: Rates
    attempts: Attempts
    latency: Latency
    lag: Lag
    history: Sequence[Series]
    failures: Sequence[FailureGroup]
    other_failures: int
    files: Sequence[File]
    other_files: int
    settings: Sequence[Setting]
    end: End | None
