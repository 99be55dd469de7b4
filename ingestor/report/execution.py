"""One execution of a batch, from what the journal has of it."""

from collections.abc import Iterator

from ingestor.model.account import ExecutionRow
from ingestor.report.text import spell_count


def duration_of(execution: ExecutionRow) -> float | None:
    """Return how long an execution took, or has been running when it last wrote something down; None: not known."""
    end = execution.ended_at
    if end is None and execution.progress is not None:
        end = execution.progress.at
    return None if end is None else max(0.0, end - execution.started_at)


def done_by(execution: ExecutionRow) -> int | None:
    """Return how many records got an outcome in an execution; None: not known."""
    progress = execution.progress
    counts = execution.counts if execution.counts is not None or progress is None else progress.counts
    return None if counts is None else sum(counts.values())


def rest_of(execution: ExecutionRow) -> Iterator[str]:
    """Say what an execution left that has ended: nothing if it did all that there was to do."""
    if execution.left:
        yield f"{spell_count(execution.left, 'record')} {'is' if execution.left == 1 else 'are'} left"
    if execution.progress is not None and not execution.progress.exhausted:
        yield "the input was not read to its end"
