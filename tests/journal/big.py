"""Journals with many rows, made by SQL in moments. They have what the program would have written."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ingestor.journal.database import open_owned
from ingestor.journal.jobs import hash_of
from ingestor.policy.identity import Scope
from tests.support.records import SCOPE

_JOBS = """
    WITH RECURSIVE number (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n < :first + :count - 1)
    INSERT INTO job (
        id, batch, key, digest, token, state, stamped, first_sent_at, source, line, experiment_id, run_id, attempts,
        updated_at, http_status, error_code, error_message, opc_request_id
    )
    SELECT n, :batch, 'job-' || n, randomblob(32), 'token-' || n, :state, 1, :at, printf(:source, n % :sources), n,
        n % 7, iif(:state IN ('created', 'partial'), 'run-' || n, NULL), 1, :at,
        iif(:state = 'failed', 404, 200), iif(:state = 'failed', 'NotFound', NULL),
        iif(:state = 'failed', 'There is no experiment ' || (n % 7) || '.', NULL), 'request-' || n
    FROM number
"""


def add_rows(
    state: Path,
    count: int,
    *,
    job_state: str = "created",
    at: float = 1_700_000_000.0,
    scope: Scope = SCOPE,
    source: str = "runs-%d.jsonl",
    sources: int = 3,
    merged: bool = True,
) -> range:
    """Add rows of jobs in one state, which ended at one time; return their numbers.

    With `merged`, their keys are in the index; if not, they are found because their numbers are above the mark.
    """
    with closing(open_owned(state / "journal.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        names = (scope.platform, scope.workspace, scope.batch)
        connection.execute("INSERT OR IGNORE INTO batch (platform, workspace, name) VALUES (?, ?, ?)", names)
        (batch,) = connection.execute(
            "SELECT id FROM batch WHERE (platform, workspace, name) = (?, ?, ?)", names
        ).fetchone()
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM job").fetchone()
        (mark,) = connection.execute("SELECT last FROM key_index_mark").fetchone()
        first = max(last, mark) + 1
        values = {"first": first, "count": count, "batch": batch, "state": job_state, "at": at}
        connection.execute(_JOBS, {**values, "source": source, "sources": sources})
        if merged:
            connection.create_function("hash_of", 2, hash_of, deterministic=True)
            connection.execute(
                "INSERT OR IGNORE INTO key_index SELECT hash_of(batch, key), id FROM job WHERE id > ?", (mark,)
            )
            connection.execute("UPDATE key_index_mark SET last = ?", (first + count - 1,))
        connection.execute("COMMIT")
    return range(first, first + count)


def query(state: Path, statement: str) -> list[tuple[object, ...]]:
    """Return what a statement finds."""
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        return connection.execute(statement).fetchall()
