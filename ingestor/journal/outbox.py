"""Outcomes that may not be in the log yet: an outbox, filled and emptied in the transactions that settle.

A process may die between an outcome's commit and its line in the log. So each outcome is noted here as it is settled,
and forgotten once the log is on disk as far as that; what an earlier process left is told by the next one.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ingestor.journal.schema import State
from ingestor.journal.values import Value, chunks, flat, present, storable
from ingestor.model.outcome import Outcome, Result
from ingestor.model.record import Job, Origin

_ANSWER = (
    "attempts",
    "run_id",
    "http_status",
    "error_code",
    "error_message",
    "opc_request_id",
    "opc_client_request_id",
    "latency_ms",
)

_COLUMNS = "batch, number, job, attempts, latency_ms, opc_client_request_id"


def next_number(connection: sqlite3.Connection, batch: int) -> int:
    """Return the number after those of all outcomes that are noted."""
    found = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM untold WHERE batch = ?", (batch,))
    return int(found.fetchone()[0])


def find(connection: sqlite3.Connection, batch: int) -> list[Result]:
    """Return the outcomes that are noted, in their order.

    Left out are those of jobs that have been taken up again since. The jobs have no body and no text: none is kept.
    """
    rows = connection.execute(
        """
        SELECT source, line, key, digest, token, experiment_id, state, untold.attempts, run_id, http_status,
               error_code, error_message, opc_request_id, opc_client_request_id, latency_ms
        FROM untold JOIN job ON job.id = untold.job WHERE untold.batch = ? AND state <> ?
        ORDER BY number
        """,
        (batch, State.PENDING),
    )
    return [_result(row) for row in rows.fetchall()]


def add(connection: sqlite3.Connection, batch: int, ended: Iterable[tuple[int, Result]], *, first: int) -> None:
    """Note outcomes, each with its job's row, as untold, numbered from `first` on. They are settled already."""
    rows: list[tuple[Value, ...]] = [
        (batch, number, job, result.attempts, result.latency_ms, storable(result.opc_client_request_id))
        for number, (job, result) in enumerate(ended, first)
    ]
    for chunk in chunks(rows):
        connection.execute(f"INSERT INTO untold ({_COLUMNS}) {present(chunk)}", flat(chunk))


def forget(connection: sqlite3.Connection, batch: int, *, before: int) -> None:
    """Drop what is told: all outcomes numbered below `before`."""
    connection.execute("DELETE FROM untold WHERE batch = ? AND number < ?", (batch, before))


def _result(row: Sequence[Any]) -> Result:
    source, line, key, digest, token, experiment_id, state, *answer = row
    job = Job(Origin(source, line), key, b"", digest, token, experiment_id, b"")
    return Result(job=job, outcome=Outcome(state), **dict(zip(_ANSWER, answer, strict=True)))
