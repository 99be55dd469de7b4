"""`ingestor report`: a document about a batch, from the journal alone.

The jobs are counted in the same pass that makes the digest of `ingestor results`: so the totals are those of its lines.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from ingestor import __version__
from ingestor.app.inspect import result_line
from ingestor.app.scope import absolute
from ingestor.journal.batches import KnownBatch
from ingestor.journal.failures import failures
from ingestor.journal.lock import holder_of
from ingestor.journal.memory import find_account
from ingestor.journal.reader import in_batch, results
from ingestor.journal.tally import Tally
from ingestor.model.account import Account, CountTable, ExecutionRow
from ingestor.model.errors import JournalError
from ingestor.model.history import STEPS, Point, Rejects
from ingestor.model.record import Outcome
from ingestor.model.shell import shell_option
from ingestor.policy.identity import Scope
from ingestor.report.batch_report import BatchReport, Digest, Life

_EXECUTIONS = 200  # that are read
_TRIES = 5  # to count while rows are pruned
_ROWS = 50  # of the tables of sources and of experiments
_GROUPS = 50  # of failures
_OTHER_SOURCES = "(other sources)"
_DEFAULT_STATE = Path(".ingestor")
_TOLERANCE = 5.0  # seconds between the clocks of journal and lock


@dataclass(frozen=True, slots=True)
class _Jobs:
    """What one pass over the jobs found."""

    counts: Counter[str]
    sources: CountTable
    experiments: CountTable
    digest: str
    lines: int


def make_report(
    state: Path, known: Sequence[KnownBatch], chosen: KnownBatch, say: Callable[[int], object]
) -> BatchReport:
    """Return the report of one of the `known` batches of a journal. Raises JournalError.

    `say` is called with the number of rows that were read, often.
    """
    scope, made_at = chosen.scope, time.time()
    found, jobs = _found(state, scope, say)
    rejects = found.memory.rejects or Rejects()
    last = found.executions[0] if found.executions else None
    return BatchReport(
        batch=scope.batch,
        target=scope.target,
        state_option="" if state == _DEFAULT_STATE else f" {shell_option('state', str(state))}",
        made_at=made_at,
        made_by=__version__,
        life=_life(state, found.executions),
        jobs=jobs.counts,
        pruned=found.pruned,
        rejects=rejects,
        forgotten_rejects=found.forgotten_rejects,
        executions=found.executions,
        failures=failures(state, scope, limit=_GROUPS, scanned=None),
        sources=jobs.sources,
        experiments=jobs.experiments,
        points=_finest(found.memory.points, last.started_at if last is not None else 0.0),
        all_points=_finest(found.memory.points, 0.0) if len(found.executions) > 1 else (),
        pauses=found.memory.pauses,
        digest=Digest(
            sha256=jobs.digest,
            lines=jobs.lines,
            batches=sum(it.scope.batch == scope.batch for it in known),
        ),
    )


def _found(state: Path, scope: Scope, say: Callable[[int], object]) -> tuple[Account, _Jobs]:
    """Return what the journal knows; count again if rows were pruned meanwhile. Raises JournalError."""
    find = partial(in_batch, state, scope, partial(find_account, executions=_EXECUTIONS))
    found = find()
    for _ in range(_TRIES):
        if found is None:
            raise JournalError(f"The journal in {absolute(state)} was replaced while it was read: try again.")
        jobs = _count(state, scope, found.memory.rejects or Rejects(), say)
        before, found = found, find()
        if found is not None and found.pruned == before.pruned:
            return before, jobs
    raise JournalError(f"Rows of the journal in {absolute(state)} are being pruned: wait for the end of that.")


def _count(state: Path, scope: Scope, rejects: Rejects, say: Callable[[int], object]) -> _Jobs:
    """Read the lines of `ingestor results` once. Lines of other batches with the name are in the digest alone."""
    digest, counts, lines = sha256(), Counter[str](), 0
    with closing(Tally()) as tally:
        for row in results(state, batch=scope.batch):
            digest.update(result_line(row).encode() + b"\n")
            lines += 1
            if (row.platform, row.workspace) == (scope.platform, scope.workspace):
                counts[row.outcome] += 1
                tally.add("source", row.source, row.outcome)
                tally.add("experiment", row.experiment_id or "", row.outcome)
            if lines % 10_000 == 0:
                say(lines)
        for source, count in rejects.sources.items():
            tally.add("source", source, Outcome.REJECTED, count)
        if rejects.other_sources:
            tally.add("source", _OTHER_SOURCES, Outcome.REJECTED, rejects.other_sources)
        tables = (tally.table("source", _ROWS), tally.table("experiment", _ROWS))
    return _Jobs(counts, *tables, digest.hexdigest(), lines)


def _life(state: Path, executions: Sequence[ExecutionRow]) -> Life:
    if not executions:
        return Life.UNKNOWN
    last = executions[0]
    if last.ended_at is not None:
        return Life.ENDED
    try:
        holder = holder_of(state)
    except OSError:  # a user who may only read the journal
        return Life.UNKNOWN
    is_another = holder is not None and holder.since is not None and holder.since > last.started_at + _TOLERANCE
    return Life.KILLED if holder is None or is_another else Life.RUNNING


def _finest(points: Sequence[Point], since: float) -> Sequence[Point]:
    """Return the points after a time of the finest step that has the first of them, or nearly so."""
    by_step = [[it for it in points if it.step == step and it.start + step > since] for step in sorted(STEPS)]
    for fine, coarse in pairwise(by_step):
        if fine and coarse and fine[0].start < coarse[0].start + coarse[0].step:
            return fine
    return by_step[-1]
