"""What the journal knows, read beside whoever writes it. Every read is short, so that none holds up a checkpoint."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ingestor.journal.database import NAME, explained, open_read_only
from ingestor.journal.schema import State, version
from ingestor.journal.statements import last_moment
from ingestor.model.errors import UsageError
from ingestor.policy.expiry import resumed
from ingestor.policy.identity import Scope

_PAGE = 2000  # row ids in one read


@dataclass(frozen=True, slots=True)
class Execution:
    """One `ingestor run` over a batch. Times are seconds since the epoch; what follows is None until it ended.

    `counts` is records per outcome, `left` the jobs without one. A pass that never ended is under way or was killed.
    """

    started_at: float
    ended_at: float | None
    exit_code: int | None
    counts: Mapping[str, int] | None
    left: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest job without a known end; `age` is seconds since its token's life began."""

    job_id: str
    state: State
    first_sent_at: float
    age: float


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch: how many jobs are in each state (all states are there), the oldest open one, the last pass."""

    scope: Scope
    counts: Mapping[State, int]
    oldest: Waiting | None
    last_execution: Execution | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All that `status` tells: the journal's file, and its batches in the order of their beginning."""

    path: Path
    batches: tuple[BatchStatus, ...]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One job, in the names of the results file. `job_id` is its key; PENDING stands for no known end yet."""

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


def status(state_path: Path, *, now: float, scope: Scope | None = None) -> StatusReport:
    """Tell how every batch stands, or only that of `scope`; `now` is by the wall clock.

    Raises UsageError where there is no journal.
    """
    path = journal_of(state_path)
    with closing(open_read_only(path)) as connection, explained(path):
        last = last_moment(connection)
        time = now if last is None else resumed(last, now).time
        batches = connection.execute("SELECT id, platform, workspace, name FROM batch ORDER BY id").fetchall()
        reports = tuple(
            _batch_status(connection, id_, Scope(*names), time)
            for id_, *names in batches
            if scope is None or Scope(*names) == scope
        )
    return StatusReport(path, reports)


def results(state_path: Path, *, batch: str | None = None, outcome: State | None = None) -> Iterator[ResultRow]:
    """Return the jobs that are there now, in the order of their admission, each as it stands when it is reached.

    `batch` (a name, of any target) and `outcome` narrow them. Raises UsageError where there is no journal, at once.
    """
    path = journal_of(state_path)
    return _results(path, open_read_only(path), batch, outcome)


def batch_names(state_path: Path) -> list[str]:
    """Return the names of all batches, each once, oldest first. Raises UsageError without a journal."""
    path = journal_of(state_path)
    with closing(open_read_only(path)) as connection, explained(path):
        return [name for (name,) in connection.execute("SELECT name FROM batch GROUP BY name ORDER BY min(id)")]


def is_rehearsal(state_path: Path, scope: Scope) -> bool | None:
    """Return whether the batch's runs were created on this machine; None where there are none, or nobody knows."""
    path = state_path / NAME
    if not path.exists():
        return None
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute(_REHEARSAL, names).fetchone() if version(connection) >= _KNOWS_REHEARSALS else None
    return None if row is None or row[0] is None else bool(row[0])


_KNOWS_REHEARSALS = 3
_REHEARSAL = """
    SELECT rehearsal FROM batch WHERE platform = ? AND workspace = ? AND name = ?
      AND EXISTS (SELECT 1 FROM job WHERE job.batch = batch.id AND state = 'created')
"""


def _results(
    path: Path, connection: sqlite3.Connection, batch: str | None, outcome: State | None
) -> Iterator[ResultRow]:
    with closing(connection), explained(path):
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM job").fetchone()
        for start in range(0, last, _PAGE):
            bounds = (start, min(start + _PAGE, last))
            page = connection.execute(_RESULTS, (*bounds, batch, outcome)).fetchall()
            for job_id, source, line, state, *answer in page:
                yield ResultRow(job_id, source, line, State(state), *answer)


_RESULTS = """
    SELECT key, source, line, state, run_id, experiment_id, http_status, error_code, error_message,
           attempts, opc_request_id, token, batch.name, platform, workspace
    FROM job JOIN batch ON batch.id = job.batch
    WHERE job.id > ?1 AND job.id <= ?2 AND (?3 IS NULL OR batch.name = ?3) AND (?4 IS NULL OR state = ?4)
    ORDER BY job.id
"""


def _batch_status(connection: sqlite3.Connection, batch: int, scope: Scope, now: float) -> BatchStatus:
    # Most jobs are created ones, which the index of the others leaves out: they are what the others do not add up to.
    rest = connection.execute(
        "SELECT state, count(*) FROM job WHERE batch = ? AND state <> 'created' GROUP BY state", (batch,)
    ).fetchall()
    (total,) = connection.execute("SELECT count(*) FROM job WHERE batch = ?", (batch,)).fetchone()
    counts = dict.fromkeys(State, 0) | {State(state): count for state, count in rest}
    counts[State.CREATED] = total - sum(counts.values())
    return BatchStatus(scope, counts, _oldest(connection, batch, now), find_last_execution(connection, batch))


def _oldest(connection: sqlite3.Connection, batch: int, now: float) -> Waiting | None:
    row = connection.execute(
        "SELECT key, state, first_sent_at FROM job WHERE batch = ? AND state <> 'created' "
        "AND state IN ('pending', 'unresolved') ORDER BY first_sent_at, id LIMIT 1",
        (batch,),
    ).fetchone()
    return Waiting(row[0], State(row[1]), row[2], now - row[2]) if row else None


def find_last_execution(connection: sqlite3.Connection, batch: int) -> Execution | None:
    """Return the last pass over the batch with this id; None where there is none."""
    row = connection.execute(
        "SELECT started_at, ended_at, exit_code, counts, remaining FROM pass WHERE batch = ? ORDER BY id DESC LIMIT 1",
        (batch,),
    ).fetchone()
    if row is None:
        return None
    started_at, ended_at, exit_code, counts, left = row
    return Execution(started_at, ended_at, exit_code, json.loads(counts) if counts else None, left)


def journal_of(state_path: Path) -> Path:
    """Return the journal's path. Raises UsageError where there is none."""
    path = state_path / NAME
    if not path.exists():
        raise UsageError(f"There is no journal in {state_path} yet: `ingestor run --state {state_path}` makes one.")
    return path
