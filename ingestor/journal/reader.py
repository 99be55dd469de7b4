"""Reading the journal while another process may write it. Every read is short, so that SQLite can checkpoint its WAL.

Journals of earlier versions are read as they are. No right to write is needed (see `view`).
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ingestor.journal.batches import KnownBatch, find_batches, unknown_batch
from ingestor.journal.database import NAME, explained, refuse_remains
from ingestor.journal.executions import find_checkpoints, last_time
from ingestor.journal.forgotten import count_rejects
from ingestor.journal.memory import find_executions, find_pruned
from ingestor.journal.unfinished import find_kept
from ingestor.journal.view import JournalView
from ingestor.model.admission import JournalTime
from ingestor.model.errors import UsageError
from ingestor.model.record import Outcome, State
from ingestor.model.sources import Checkpoint
from ingestor.policy.expiry import resumed
from ingestor.policy.identity import Scope

Found = TypeVar("Found")

_PAGE = 2000  # row ids in one read


@dataclass(frozen=True, slots=True)
class Execution:
    """One `run` or `resume` of a batch. Times are seconds since the epoch. The other fields are None until it ended.

    `counts` is records per outcome, `left` the records without one, `already_done` those that earlier executions
    completed. An execution without an end is running or was killed. Then `situation` is what it did at `situation_at`,
    in one sentence, if it has written that. A later one has a larger `number`, which is that of no other.
    """

    started_at: float
    ended_at: float | None
    exit_code: int | None
    counts: Mapping[str, int] | None
    already_done: int | None
    left: int | None
    situation: str | None = None
    situation_at: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest job whose outcome is not known; `age` is seconds since its token's life began."""

    job_id: str
    state: State
    first_sent_at: float
    age: float


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch: the number of jobs in each state (all states are there), the oldest open one, the last execution.

    `forgotten_rejects` is the number of rejected records, which are no jobs, that the user gave up. `addresses` are
    further addresses of its tracking server. `pruned` is the number of jobs in each state that `ingestor prune` has
    deleted: `counts` leaves them out.
    """

    scope: Scope
    counts: Mapping[State, int]
    oldest: Waiting | None
    last_execution: Execution | None
    forgotten_rejects: int = 0
    addresses: tuple[str, ...] = ()
    pruned: Mapping[State, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All that `status` shows: the journal's file, and its batches, oldest first."""

    path: Path
    batches: tuple[BatchStatus, ...]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One job, in the names of the results file. `job_id` is its key; PENDING means that it has no outcome yet."""

    job_id: str
    source: str
    line: int
    outcome: State
    run_id: str | None
    experiment_id: str | None
    http_status: int | None
    error_code: str | None
    error_message: str | None
    attempts: int
    opc_request_id: str | None
    retry_token: str
    batch: str
    platform: str
    workspace: str


def status(state_path: Path, *, now: float) -> StatusReport:
    """Return the status of every batch; `now` is the wall clock's time. Raises UsageError if there is no journal."""

    def find(connection: sqlite3.Connection) -> tuple[BatchStatus, ...]:
        time = _time(connection, now).time
        return tuple(_batch_status(connection, it, time) for it in find_batches(connection))

    return StatusReport(state_path / NAME, read(state_path, find))


def results(state_path: Path, *, batch: str | None = None, outcome: State | None = None) -> Iterator[ResultRow]:
    """Return the jobs that exist now, in the order of admission, each as it is when it is read.

    `batch` (a name, of any target) and `outcome` select some of them. Raises UsageError, at once, if
    there is no journal, or no such batch in it.
    """
    known = batch_names(state_path)
    if batch is not None and batch not in known:
        raise unknown_batch(batch, known, state_path)
    return _results(JournalView(state_path / NAME), batch, outcome)


def known_batches(state_path: Path) -> list[KnownBatch]:
    """Return all batches, oldest first. Raises UsageError if there is no journal."""
    return read(state_path, find_batches)


def batch_names(state_path: Path) -> list[str]:
    """Return the names of all batches, each once, oldest first. Raises UsageError if there is no journal."""
    return list(dict.fromkeys(it.scope.batch for it in known_batches(state_path)))


def batches_of_target(state_path: Path, *, platform: str, workspace: str) -> list[str]:
    """Return the names of a target's batches, oldest first. Raises UsageError if there is no journal."""
    scopes = [it.scope for it in known_batches(state_path)]
    return [it.batch for it in scopes if (it.platform, it.workspace) == (platform, workspace)]


def is_rehearsal(state_path: Path, scope: Scope) -> bool | None:
    """Return whether the batch's runs were created on this machine; None if there are none, or it is not known."""
    return in_batch(state_path, scope, _is_rehearsal)


def known_sources(state_path: Path, scope: Scope) -> list[Checkpoint]:
    """Return the checkpoints of the batch's sources, in the order of reading; [] if there are none.

    A file that an execution read to its end is not among them, once that execution has ended with exit code 0 or 3.
    """
    return in_batch(state_path, scope, find_checkpoints) or []


def has_kept_records(state_path: Path, scope: Scope, *, now: float) -> bool:
    """Return whether the next execution will find kept records to send; `now` is the wall clock's time."""

    def find(connection: sqlite3.Connection, batch: int) -> bool:
        time, outcomes = _time(connection, now), (Outcome.FAILED, Outcome.UNRESOLVED)
        return any(find_kept(connection, batch, outcome, time, None, after=0, limit=1) for outcome in outcomes)

    return bool(in_batch(state_path, scope, find))


def sources_of_unresolved(state_path: Path, scope: Scope) -> list[str]:
    """Return the names of the sources of the batch's unsettled jobs, in the order of their first job."""
    return in_batch(state_path, scope, _sources_of_unresolved) or []


def has_journal(state_path: Path) -> bool:
    """Return whether there is a journal. Raises JournalError if that can't be found out, or if only parts are there."""
    path = state_path / NAME
    with explained(path):
        if path.exists():
            return True
        refuse_remains(path)
    return False


def read(state_path: Path, work: Callable[[sqlite3.Connection], Found]) -> Found:
    """Return what `work` finds in the journal. Raises UsageError if there is none, and JournalError."""
    if not has_journal(state_path):
        raise UsageError(f"There is no journal in {state_path} yet: `ingestor run --state {state_path}` creates one.")
    with closing(JournalView(state_path / NAME)) as journal:
        return journal.read(work)


def in_batch(state_path: Path, scope: Scope, find: Callable[[sqlite3.Connection, int], Found]) -> Found | None:
    """Return what `find` finds of a batch; None if there is no such batch, or no journal."""

    def find_in_batch(connection: sqlite3.Connection) -> Found | None:
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute("SELECT id FROM batch WHERE (platform, workspace, name) = (?, ?, ?)", names).fetchone()
        return None if row is None else find(connection, row[0])

    return read(state_path, find_in_batch) if has_journal(state_path) else None


def _time(connection: sqlite3.Connection, now: float) -> JournalTime:
    """Return the journal's time when the wall clock shows `now`."""
    last = last_time(connection)
    return JournalTime(now, now) if last is None else resumed(last, now)


def _is_rehearsal(connection: sqlite3.Connection, batch: int) -> bool | None:
    row = connection.execute(
        """
        SELECT rehearsal FROM batch
        WHERE id = ?1 AND (
            EXISTS (SELECT 1 FROM job WHERE batch = ?1 AND state IN ('created', 'partial'))
            OR EXISTS (SELECT 1 FROM pruned WHERE batch = ?1)
        )
        """,
        (batch,),
    ).fetchone()
    return None if row is None or row[0] is None else bool(row[0])


def _sources_of_unresolved(connection: sqlite3.Connection, batch: int) -> list[str]:
    rows = connection.execute(
        """
        SELECT source FROM job WHERE batch = ? AND state <> 'created' AND state IN ('pending', 'unresolved')
        GROUP BY source ORDER BY min(id)
        """,
        (batch,),
    )
    return [source for (source,) in rows]


def _results(journal: JournalView, batch: str | None, outcome: State | None) -> Iterator[ResultRow]:
    with closing(journal):
        last = journal.read(_last_job)
        for start in range(0, last, _PAGE):
            bounds = (start, min(start + _PAGE, last))
            page = journal.read(partial(_find_results, values=(*bounds, batch, outcome)))
            for job_id, source, line, state, *answer in page:
                yield ResultRow(job_id, source, line, State(state), *answer)


def _last_job(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM job").fetchone()[0])


def _find_results(connection: sqlite3.Connection, values: Sequence[object]) -> list[Any]:
    return connection.execute(_RESULTS, values).fetchall()


_RESULTS = """
    SELECT key, source, line, state, run_id, experiment_id, http_status, error_code, error_message,
           attempts, opc_request_id, token, batch.name, platform, workspace
    FROM job JOIN batch ON batch.id = job.batch
    WHERE job.id > ?1 AND job.id <= ?2 AND (?3 IS NULL OR batch.name = ?3) AND (?4 IS NULL OR state = ?4)
    ORDER BY job.id
"""


def _batch_status(connection: sqlite3.Connection, known: KnownBatch, now: float) -> BatchStatus:
    batch = known.number
    # Most jobs are created ones, which the index of the others leaves out: they are the total less the others.
    rest = connection.execute(
        "SELECT state, count(*) FROM job WHERE batch = ? AND state <> 'created' GROUP BY state", (batch,)
    ).fetchall()
    (total,) = connection.execute("SELECT count(*) FROM job WHERE batch = ?", (batch,)).fetchone()
    counts = dict.fromkeys(State, 0) | {State(state): count for state, count in rest}
    counts[State.CREATED] = total - sum(counts.values())
    return BatchStatus(
        known.scope,
        counts,
        _oldest(connection, batch, now),
        _last_execution(connection, batch),
        count_rejects(connection, batch),
        known.addresses,
        find_pruned(connection, batch).counts,
    )


def _oldest(connection: sqlite3.Connection, batch: int, now: float) -> Waiting | None:
    row = connection.execute(
        "SELECT key, state, first_sent_at FROM job WHERE batch = ? AND state <> 'created' "
        "AND state IN ('pending', 'unresolved') ORDER BY first_sent_at, id LIMIT 1",
        (batch,),
    ).fetchone()
    return Waiting(row[0], State(row[1]), row[2], now - row[2]) if row else None


def _last_execution(connection: sqlite3.Connection, batch: int) -> Execution | None:
    for it in find_executions(connection, batch, 1):
        progress = it.progress if it.ended_at is None else None
        situation, at = (None, None) if progress is None else (progress.situation, progress.at)
        end = (it.ended_at, it.exit_code, it.counts, it.already_done, it.left)
        return Execution(it.started_at, *end, situation, at, it.number)
    return None
