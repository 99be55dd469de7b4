"""Jobs whose end is not known: read in pages, and freed for a new attempt once they surely have no run."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingestor.journal.schema import State
from ingestor.journal.values import Value, chunks, flat, places
from ingestor.model.ports import Admission, AdmissionStatus, Unsettled
from ingestor.model.record import Job, Origin
from ingestor.policy.expiry import NEVER
from ingestor.policy.identity import Scope, retry_token
from ingestor.policy.retry import INVALIDATED_TOKEN


@dataclass(frozen=True, slots=True)
class Page:
    """Which jobs are asked for: those in `state`, past the row `after`, at most `limit`."""

    state: State
    after: int
    limit: int


def count(connection: sqlite3.Connection, batch: int) -> int:
    """Return how many jobs of a batch are pending or unresolved."""
    found = connection.execute(
        "SELECT count(*) FROM job WHERE batch = ? AND state <> 'created' AND state IN (?, ?)",
        (batch, State.PENDING, State.UNRESOLVED),
    )
    return int(found.fetchone()[0])


def find(connection: sqlite3.Connection, batch: int, page: Page) -> list[Unsettled]:
    """Return a page of jobs in the order of their rows. They have no body and no text: none is kept."""
    rows = connection.execute(
        """
        SELECT id, source, line, key, digest, token, experiment_id, stamped, first_sent_at, error_code
        FROM job WHERE batch = ? AND state <> 'created' AND state = ? AND id > ? ORDER BY id LIMIT ?
        """,
        (batch, page.state, page.after, page.limit),
    )
    return [_unsettled(row) for row in rows.fetchall()]


def renew(connection: sqlite3.Connection, scope: Scope, numbers: Sequence[int]) -> None:
    """Give the jobs of these rows, which failed, a token of the next generation, whose life has not begun."""
    for chunk in chunks([(number,) for number in numbers]):
        known = connection.execute(
            f"SELECT id, key, generation + 1 FROM job WHERE id IN (VALUES {places(chunk)})",  # noqa: S608 - only placeholders
            flat(chunk),
        ).fetchall()
        rows: list[tuple[Value, ...]] = [
            (number, generation, retry_token(scope, key, generation)) for number, key, generation in known
        ]
        connection.execute(
            f"""
            WITH renewed (id, generation, token) AS (VALUES {places(rows)})
            UPDATE job SET generation = renewed.generation, token = renewed.token, first_sent_at = ?
            FROM renewed WHERE job.id = renewed.id
            """,  # noqa: S608 - only placeholders are put in
            (*flat(rows), NEVER),
        )


def _unsettled(row: Sequence[Any]) -> Unsettled:
    number, source, line, key, digest, token, experiment_id, stamped, first_sent_at, error_code = row
    job = Job(Origin(source, line), key, b"", digest, token, experiment_id, b"")
    invalidated = error_code == INVALIDATED_TOKEN
    admission = Admission(
        job, AdmissionStatus.AGAIN, bool(stamped), first_sent_at, may_exist=True, invalidated=invalidated
    )
    return Unsettled(number, admission)
