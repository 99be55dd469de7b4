"""What a summary is made of: how the work ended, and where its results are."""

from dataclasses import dataclass

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.record import Outcome
from ingestor.report.metrics import Metrics, counts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where log, rejects and journal are, as the user would name them; None if there is none."""

    log: str | None
    rejects: str | None
    journal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How a reconciliation of `batches` ended. `left` is how many jobs it did not look up."""

    batches: tuple[str, ...]
    exit_code: ExitCode
    left: int
    duration: float


End = BatchFinished | Reconciled


def counts_at(end: End, metrics: Metrics) -> dict[str, int]:
    """Return the number of records per outcome, in the names of the summary."""
    if isinstance(end, BatchFinished):
        return counts_of(end)
    names = {"created": Outcome.CREATED, "not_created": Outcome.FAILED, "unresolved": Outcome.UNRESOLVED}
    return {name: metrics.counts[outcome] for name, outcome in names.items()}


def existing(end: End, files: Files) -> Files:
    """Leave out the rejects if nothing was rejected: then there is no such file."""
    has_rejects = isinstance(end, BatchFinished) and bool(counts_of(end)[Outcome.REJECTED])
    return Files(log=files.log, rejects=files.rejects if has_rejects else None, journal=files.journal)


def speed(finished: BatchFinished) -> float:
    """Return records a second that have an outcome."""
    return sum(counts_of(finished).values()) / finished.duration if finished.duration > 0 else 0.0
