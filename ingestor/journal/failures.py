"""Questions that a page or a report asks about a batch: what failed, for which reasons, and what became of one job.

All are quick in a journal of ten million rows, where few failed: they use the index of the jobs that are not created,
and the index of keys. They may be asked from any thread, while another process writes.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ingestor.journal.jobs import hash_of
from ingestor.journal.reader import in_batch
from ingestor.model.account import FailureGroup, Failures, FoundJob
from ingestor.model.record import State
from ingestor.model.text import without_specifics
from ingestor.policy.identity import Scope

FAILURES = (State.FAILED, State.UNRESOLVED, State.PARTIAL)
"""The states of jobs that have a reason."""

MOST_GROUPS = 50
MOST_SCANNED = 200_000
"""The failures of one state that a page looks at: the last ones."""
_MOST_REASONS = 5000  # different texts that are compared
_MESSAGE_LIMIT = 300


def failures(
    state_path: Path, scope: Scope, *, limit: int = MOST_GROUPS, scanned: int | None = MOST_SCANNED
) -> Failures:
    """Return the failures of a batch by reason: at most `limit` groups.

    Of more than `scanned` failures of one state, the last ones are grouped, and the rest are `others`. Raises
    JournalError.
    """
    return in_batch(state_path, scope, partial(_failures, limit=limit, scanned=scanned)) or Failures((), 0)


def find_job(state_path: Path, scope: Scope, job_id: str) -> FoundJob | None:
    """Return what became of a job; None if the batch has no such job. Raises JournalError."""
    return in_batch(state_path, scope, partial(_find_job, job_id=job_id))


def _failures(connection: sqlite3.Connection, batch: int, *, limit: int, scanned: int | None) -> Failures:
    found: dict[tuple[object, ...], tuple[FailureGroup, int]] = {}
    total = 0
    for state in FAILURES:
        mine = "batch = ? AND state <> 'created' AND state = ?"
        total += connection.execute(f"SELECT count(*) FROM job WHERE {mine}", (batch, state)).fetchone()[0]  # noqa: S608 - a constant
        for group, example in _reasons(connection, batch, state, -1 if scanned is None else scanned):
            key = (state, group.http_status, group.error_code, without_specifics(group.message))
            found[key] = _joined(found[key], group, example) if key in found else (group, example)
    groups = sorted(found.values(), key=lambda it: -it[0].count)[:limit]
    shown = _with_examples(connection, groups)
    return Failures(shown, total - sum(group.count for group in shown))


def _reasons(
    connection: sqlite3.Connection, batch: int, state: State, scanned: int
) -> Iterator[tuple[FailureGroup, int]]:
    """Yield the failures of one state by their exact reason, each with the row of the last one."""
    rows = connection.execute(
        """
        SELECT http_status, error_code, substr(coalesce(error_message, ''), 1, ?), count(*) AS number,
            min(updated_at), max(updated_at), max(id)
        FROM (
            SELECT id, http_status, error_code, error_message, updated_at FROM job
            WHERE batch = ? AND state <> 'created' AND state = ? ORDER BY id DESC LIMIT ?
        )
        GROUP BY 1, 2, 3 ORDER BY number DESC LIMIT ?
        """,
        (_MESSAGE_LIMIT, batch, state, scanned, _MOST_REASONS),
    )
    for status, code, message, count, first_at, last_at, example in rows.fetchall():
        group = FailureGroup(
            state=state,
            count=count,
            http_status=status,
            error_code=code,
            message=message,
            varies=False,
            first_at=first_at,
            last_at=last_at,
        )
        yield group, example


def _joined(known: tuple[FailureGroup, int], other: FailureGroup, example: int) -> tuple[FailureGroup, int]:
    group, last = known
    joined = replace(
        group if last > example else other,
        count=group.count + other.count,
        varies=True,
        first_at=min(group.first_at, other.first_at),
        last_at=max(group.last_at, other.last_at),
    )
    return joined, max(last, example)


def _with_examples(connection: sqlite3.Connection, groups: Sequence[tuple[FailureGroup, int]]) -> list[FailureGroup]:
    numbers = json.dumps([number for _, number in groups])
    columns = "id, key, source, line, opc_request_id, run_id"
    rows = connection.execute(
        f"SELECT {columns} FROM job WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant
        (numbers,),
    )
    known = {number: example for number, *example in rows.fetchall()}
    names = ("job_id", "source", "line", "opc_request_id", "run_id")
    return [replace(group, **dict(zip(names, known[number], strict=True))) for group, number in groups]


def _find_job(connection: sqlite3.Connection, batch: int, *, job_id: str) -> FoundJob | None:
    """Find the row of a key: by the index, or among the last rows, which are not in the index yet."""
    row = connection.execute(
        """
        WITH candidate (id) AS (
            SELECT job FROM key_index WHERE hash = ?
            UNION ALL
            SELECT id FROM job WHERE id > (SELECT last FROM key_index_mark)
        )
        SELECT key, state, run_id, experiment_id, http_status, error_code, error_message, opc_request_id, attempts,
            source, line, updated_at
        FROM candidate CROSS JOIN job ON job.id = candidate.id WHERE job.batch = ? AND job.key = ? LIMIT 1
        """,
        (hash_of(batch, job_id), batch, job_id),
    ).fetchone()
    if row is None:
        return None
    key, state, run_id, experiment_id, status, code, message, request_id, attempts, source, line, updated_at = row
    return FoundJob(
        job_id=key,
        outcome=State(state),
        run_id=run_id,
        experiment_id=experiment_id,
        http_status=status,
        error_code=code,
        error_message=message,
        opc_request_id=request_id,
        attempts=attempts,
        source=source,
        line=line,
        updated_at=updated_at,
    )
